"""ONNX files that `trtexec` takes as they are: what TensorRT 10's parser has, and the restrictions it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sartm_core.export.check import CAMERAS
from sartm_core.export.config import ExportConfig
from sartm_core.export.run import describe
from sartm_core.model.sartm import SARTM
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.runtime.exported import onnx_file
from sartm_core.runtime.exported.description import JOINTS, PRESENT
from sartm_core.runtime.exported.parts import Parts
from sartm_core.runtime.quantisation.onnx_qdq import quantised
from test.core.conftest import LITE0, make_batch, make_frames, make_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
SIZE = (64, 96)

SUPPORTED = {
    "Abs", "Add", "And", "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip",
    "Concat", "Constant", "ConstantOfShape", "Conv", "ConvTranspose", "Cos", "DepthToSpace", "DequantizeLinear",
    "Div", "Elu", "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND",
    "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "Greater", "GreaterOrEqual", "GroupNormalization",
    "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "IsInf", "IsNaN", "LayerNormalization",
    "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mod",
    "Mul", "Neg", "Not", "Or", "Pad", "Pow", "PRelu", "QuantizeLinear", "Range", "Reciprocal", "ReduceL1",
    "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu",
    "Reshape", "Resize", "Round", "ScatterElements", "ScatterND", "Selu", "Shape", "Sigmoid", "Sign", "Sin",
    "Size", "Slice", "Softmax", "Softplus", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tan",
    "Tanh", "Tile", "TopK", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor",
}  # fmt: skip
"""Of docs/operators.md of onnx/onnx-tensorrt (TensorRT 10.1); without those that make shapes depend on data."""
OPSETS = range(9, 21)
LARGEST_K = 3839
TYPES = ("FLOAT", "FLOAT16", "INT64", "INT32", "INT8", "UINT8", "BOOL")
TRANSFORMS = ("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners")
WITH_CONSTANT_AXES = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Unsqueeze", "Squeeze")


class Graph:
    """An ONNX file with the types and shapes of its tensors."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(path)
        onnx.checker.check_model(self.model, full_check=True)
        known = onnx.shape_inference.infer_shapes(self.model, check_type=True, strict_mode=True, data_prop=True).graph
        self.nodes = self.model.graph.node
        self.values = {value.name: value for value in (*known.value_info, *known.input, *known.output)}
        self.constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in known.initializer}

    def type_of(self, name: str) -> str:
        constant = self.constants.get(name)
        if constant is not None:
            return onnx.TensorProto.DataType.Name(onnx.helper.np_dtype_to_tensor_dtype(constant.dtype))
        return onnx.TensorProto.DataType.Name(self.values[name].type.tensor_type.elem_type)

    def of(self, *kinds: str) -> list[Any]:
        return [node for node in self.nodes if node.op_type in kinds]


def attribute(node: Any, name: str) -> Any:
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), None)


def write(model: SARTM, precision: str, thermal: str, path: Path) -> Path:
    model.info = replace(model.info, preprocess=PreprocessConfig(SIZE))
    config = ExportConfig(camera="72x100", thermal_camera="60x80", thermal=thermal, precision=precision)
    about = describe(model, config, Path("tiny.safetensors"), "0" * 64)
    frames = [(*(x.numpy() for x in make_batch(1)), np.array([True, True]))]
    quantise = (lambda network: quantised(network, (*JOINTS, PRESENT), frames)) if precision == "int8" else None
    onnx_file.write(Parts.of(model.eval(), about, quantise), about, path)
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By precision; an official kind of trunk and one of `timm`."""
    folder = tmp_path_factory.mktemp("tensorrt")
    return {
        "fp16": write(make_model(), "fp16", "float32", folder / "fp16.onnx"),
        "int8": write(make_model(backbone=LITE0), "int8", "uint8", folder / "int8.onnx"),
    }


@pytest.fixture(scope="module", params=("fp16", "int8"))
def graph(request: pytest.FixtureRequest, written: dict[str, Path]) -> Graph:
    return Graph(written[request.param])


def test_operators_and_opset_are_those_of_the_parser(graph: Graph) -> None:
    assert {node.op_type for node in graph.nodes} - SUPPORTED == set()
    assert {node.domain for node in graph.nodes} <= {""} and not graph.model.functions
    (opset,) = graph.model.opset_import
    assert opset.domain == "" and opset.version in OPSETS


def test_every_shape_is_fixed_and_every_type_known(graph: Graph) -> None:
    names = {name for node in graph.nodes for name in node.output if name}
    assert names <= set(graph.values)
    for value in graph.values.values():
        assert all(side.HasField("dim_value") for side in value.type.tensor_type.shape.dim), value.name
    assert {graph.type_of(name) for name in (*graph.values, *graph.constants)} <= set(TYPES)


def test_pixels_become_floats_at_once_and_ids_come_from_floats(graph: Graph) -> None:
    """Regression: a transposed uint8 image and ids cast from int64 were refused by the parser's first node."""
    for node in graph.nodes:
        if "UINT8" in [graph.type_of(name) for name in (*node.input, *node.output) if name]:
            assert node.op_type == "Cast"
            types = {graph.type_of(node.input[0]), graph.type_of(node.output[0])} - {"UINT8"}
            assert types <= {"FLOAT", "FLOAT16"}, node.name


def test_restrictions_of_single_operators(graph: Graph) -> None:
    """Regression: a median needed 9602 of 19200 values sorted."""
    assert all(int(graph.constants[node.input[1]]) <= LARGEST_K for node in graph.of("TopK"))
    for node in graph.of("Resize"):
        assert attribute(node, "mode") in (b"linear", b"nearest")
        assert attribute(node, "coordinate_transformation_mode").decode() in TRANSFORMS
    for node in graph.of(*WITH_CONSTANT_AXES):
        assert all(name in graph.constants for name in node.input[1:] if name), node.name
    for node in graph.of("LayerNormalization"):
        assert len([name for name in node.output if name]) == 1
    assert len(graph.of("Resize")) >= 1 and len(graph.of("LayerNormalization")) >= 1


def test_int8_is_symmetric_and_by_channel(written: dict[str, Path]) -> None:
    graph = Graph(written["int8"])
    pairs = graph.of("QuantizeLinear", "DequantizeLinear")
    assert pairs
    for node in pairs:
        zero = graph.constants[node.input[2]]
        assert zero.dtype == np.int8 and not zero.any(), node.name
    sources = {node.output[0]: node for node in pairs if node.op_type == "DequantizeLinear"}
    products = [node for node in graph.of("Conv", "MatMul", "Gemm") if node.input[1] in sources]
    assert len(products) > 80
    for node in products:
        weight = sources[node.input[1]]
        values, scales = graph.constants[weight.input[0]], graph.constants[weight.input[1]]
        axis = attribute(weight, "axis") or 0
        assert values.dtype == np.int8 and scales.shape == (values.shape[axis],)
        assert node.input[0] in sources, node.name  # its other factor too
        if node.op_type == "Conv":
            assert attribute(node, "group") in (None, 1)
    assert all(name not in sources for node in graph.of("Conv", "Gemm") for name in node.input[2:])  # no bias


@pytest.mark.parametrize("precision", ("fp16", "int8"))
def test_what_was_written_runs(precision: str, written: dict[str, Path]) -> None:
    run = onnx_file.Runner(written[precision])
    rgb, thermal = make_frames(72, 100)
    thermal = np.resize(thermal, (60, 80)).astype("float32" if precision == "fp16" else "uint8")
    for present in CAMERAS:
        mask, confidence, scores = run(rgb, thermal, np.array(present))
        assert mask.shape == confidence.shape == (72, 100) and np.isfinite(scores).all()
        assert scores.shape == (1, 4, 16, 24)
