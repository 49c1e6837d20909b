"""Products of matrices in int8 as convolutions, for CPUs with AVX2 but without VNNI.

There OpenVINO multiplies matrices in int8 by its general routine (`jit_gemm`), which is slower than fp32, and convolves
by kernels made for such CPUs, which are faster. The numbers are the same: a product with weights is a convolution of
1x1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

TO_CHANNELS, FROM_CHANNELS = (0, 3, 1, 2), (0, 2, 3, 1)
"""Orders of axes: from (N, H, W, C) to what a convolution takes, and back."""
PIXEL_RANK = 4
"""Of a batch of pictures."""
RANKS = (2, 3, PIXEL_RANK)
"""Of what is multiplied; its last axis is that of the features."""


class Weights(NamedTuple):
    """As NNCF writes them."""

    values: np.ndarray
    """(out, in) int8."""
    scale: np.ndarray
    """(out, 1) or (1, 1) float32."""


def as_convolutions(network: Any) -> Any:
    """An `openvino.Model` -> a copy in which products with int8 weights are convolutions."""
    result = network.clone()
    for operation in result.get_ordered_ops():
        if operation.get_type_name() == "MatMul" and (weights := weights_of(operation)):
            replace(operation, weights)
    result.validate_nodes_and_infer_types()
    return result


def weights_of(product: Any) -> Weights | None:
    """Those of a linear layer in int8, else None."""
    scaled = product.input_value(1).get_node()
    if scaled.get_type_name() != "Multiply" or product.input_value(0).get_partial_shape().is_dynamic:
        return None
    converted, scale = (value.get_node() for value in scaled.input_values())
    if converted.get_type_name() != "Convert" or scale.get_type_name() != "Constant":
        return None
    stored = converted.input_value(0).get_node()
    options = product.get_attributes()
    if stored.get_type_name() != "Constant" or stored.get_data().dtype != np.int8 or stored.get_data().ndim != 2:
        return None
    if options["transpose_a"] or not options["transpose_b"] or len(product.get_input_shape(0)) not in RANKS:
        return None
    return Weights(stored.get_data(), scale.get_data())


def replace(product: Any, weights: Weights) -> None:
    """Let a convolution, with the bias, do what `product` does."""
    from openvino import opset13 as ops

    shape, (out, features) = list(product.get_input_shape(0)), weights.values.shape
    pixels = ops.reshape(product.input_value(0), as_pixels(shape), False)  # (N, H, W, in)
    kernel = ops.multiply(
        ops.convert(ops.constant(weights.values.reshape(out, features, 1, 1)), np.float32),
        ops.constant(weights.scale.reshape(-1, 1, 1, 1)),
    )
    channels = ops.transpose(pixels, TO_CHANNELS)  # (N, in, H, W)
    result = ops.convolution(channels, kernel, [1, 1], [0, 0], [0, 0], [1, 1])  # (N, out, H, W)
    last, bias = bias_of(product, out)
    if bias is not None:
        result = ops.add(result, ops.constant(bias.reshape(1, out, 1, 1)))
    result = ops.reshape(ops.transpose(result, FROM_CHANNELS), [*shape[:-1], out], False)
    result.set_friendly_name(last.get_friendly_name())
    for reader in last.output(0).get_target_inputs():
        reader.replace_source_output(result.output(0))


def as_pixels(shape: list[int]) -> list[int]:
    """Four axes in place of two to four, the last one stays that of the features."""
    return [*shape[:-1], *[1] * (PIXEL_RANK - len(shape)), shape[-1]]


def bias_of(product: Any, out: int) -> tuple[Any, np.ndarray | None]:
    """The operation that adds it, and the bias; the product itself and None where there is none."""
    readers = list(product.output(0).get_target_inputs())
    after = readers[0].get_node()
    if len(readers) == 1 and after.get_type_name() == "Add":
        other = after.input_value(1 - readers[0].get_index()).get_node()
        if other.get_type_name() == "Constant" and other.get_data().shape[-1:] == (out,) == (other.get_data().size,):
            return after, other.get_data()
    return product, None
