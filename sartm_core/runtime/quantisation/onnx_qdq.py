"""An ONNX network in int8 as TensorRT reads it: Q/DQ pairs before products, all zero points 0, weights by channel.

What is quantised is what is many multiplications on coarse maps: convolutions and products with constant weights. The
rest stays as it is: attention, products of two images, and depthwise convolutions, which wait for memory anyway.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

PRODUCTS = ("Conv", "MatMul", "Gemm")
FINEST = 4
"""Stride of the finest maps that are quantised. Finer ones have few channels, and most to lose: without them 0.2 % more
pixels stay as in fp32 (docs/export.md)."""
FEWEST_CHANNELS = 64
"""Rows of a matrix of weights: a smaller product is not worth a conversion."""
PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")
"""Tells the quantiser that shapes are known and nothing is left to fold."""


def quantised(network: Any, names: Sequence[str], inputs: Sequence[Sequence[np.ndarray]]) -> Any:
    """An `onnx.ModelProto` in fp32 -> the same with int8 products.

    names: of its inputs. inputs: what they got of some frames, by which ranges are measured.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    onnx.helper.set_model_props(network, dict([PREPARED]))
    with tempfile.TemporaryDirectory() as folder:
        plain, done = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        onnx.save(network, plain)
        quantize_static(
            plain, done, Frames(names, inputs), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, op_types_to_quantize=list(PRODUCTS),
            nodes_to_quantize=worthwhile(network),
            extra_options={
                "CalibMovingAverage": True, "ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False,
                "OpTypesToExcludeOutputQuantization": list(PRODUCTS),
            },
        )  # fmt: skip
        result = onnx.load(done)
    onnx.helper.set_model_props(result, {})
    return result


class Frames:
    """A `CalibrationDataReader`."""

    def __init__(self, names: Sequence[str], inputs: Sequence[Sequence[np.ndarray]]) -> None:
        self._rest = (dict(zip(names, each, strict=True)) for each in inputs)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rest, None)


def worthwhile(network: Any) -> list[str]:
    """Names of the nodes that become int8."""
    import onnx

    known = onnx.shape_inference.infer_shapes(network, strict_mode=True).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*known.value_info, *known.input)}
    weights = {tensor.name: list(tensor.dims) for tensor in known.initializer}
    finest = max(shape[-1] for shape in shapes.values() if len(shape) == 4) // FINEST  # the widest is an image
    return [
        node.name
        for node in known.node
        if node.op_type in PRODUCTS and is_worthwhile(node, shapes.get(node.input[0], []), weights, finest)
    ]


def is_worthwhile(node: Any, shape: list[int], weights: dict[str, list[int]], widest: int) -> bool:
    """shape: of what comes in. weights: name -> shape. widest: columns of the finest map to take."""
    weight = weights.get(node.input[1])
    if weight is None:
        return False
    if node.op_type == "Conv":
        return weight[1] > 1 and shape[-1] <= widest
    return len(weight) == 2 and weight[0] >= FEWEST_CHANNELS
