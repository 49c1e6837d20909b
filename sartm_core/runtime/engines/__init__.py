"""What runs the network, one file each. A new engine is such a file and one line in `ENGINES`."""

from sartm_core.preprocess.prepare import Pixels
from sartm_core.runtime.engines import onnxruntime, openvino, tensorrt, torch_compile, torch_eager
from sartm_core.runtime.engines.base import PRECISIONS, Engine, Kind, Settings, Source

__all__ = ["AUTO", "ENGINES", "PRECISIONS", "Engine", "Kind", "Settings", "Source"]

ENGINES: dict[str, Kind] = {
    "torch": Kind(torch_eager.make, torch_eager.precisions, batches=True),
    "torch-compile": Kind(torch_compile.make, torch_eager.precisions),
    "openvino": Kind(
        openvino.make, openvino.precisions, "openvino", Pixels.ALWAYS,
        limits="int8 is to be asked for, bf16 only where the CPU has it, fp16 overflows", quantises=True,
    ),
    "onnxruntime": Kind(
        onnxruntime.make, onnxruntime.precisions, "onnxruntime", Pixels.ALWAYS,
        extra="onnx onnxscript onnxruntime", limits="fp16 only on CUDA, no bf16",
    ),
    "tensorrt": Kind(
        tensorrt.make, tensorrt.precisions, "onnxruntime",
        extra="onnx onnxscript onnxruntime", limits="int8 only from exported files", needs=tensorrt.NEEDS,
    ),
}  # fmt: skip
AUTO = {"cpu": ("openvino", "torch"), "cuda": ("torch",)}
"""`engine: auto` by device: the first that is installed. A compiler's minute at the start is to be asked for."""
