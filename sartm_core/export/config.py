"""What to export, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from sartm_core.preprocess.config import STRIDE
from sartm_core.runtime.engines.base import INT8
from sartm_core.runtime.exported import onnx_file, openvino_file
from sartm_core.runtime.exported.description import THERMAL_TYPES, Size
from sartm_core.support.fields import one_of

FORMATS: dict[str, ModuleType] = {"onnx": onnx_file, "openvino": openvino_file}
"""By name. A new format is such a file, one line here and one in `sartm_core.runtime.engines.exported`."""
PRECISIONS = {"onnx": ("fp32", "fp16", "int8"), "openvino": ("fp32", "int8")}
"""What weights are stored in; OpenVINO picks bf16 itself, where the CPU has it."""


@dataclass(frozen=True)
class ExportConfig:
    """One exported file."""

    format: str = "onnx"
    """`onnx` (ONNX Runtime, TensorRT) or `openvino` (Intel and ARM CPUs)."""
    checkpoint: str = "default"
    """A `.safetensors` file, `default`, the small model shipped with the package, or `hf:OWNER/NAME`."""
    sam2: str | None = None
    """The official SAM2 file, for adapter checkpoints."""
    output: str | None = None
    """File to write, `.onnx` or `.xml` (a `.bin` joins it); None: the checkpoint's name, in the current folder."""
    camera: str = "480x640"
    """HEIGHTxWIDTH of the rgb frames, and so of the masks."""
    thermal_camera: str | None = None
    """HEIGHTxWIDTH of the thermal frames; None: those of the rgb frames."""
    thermal: str = "uint8"
    """Pixel type of the thermal frames: `uint8`, `uint16` or `float32`."""
    size: str | None = None
    """HEIGHTxWIDTH of the network's input, multiples of 32; None: what the checkpoint takes for that camera."""
    precision: str = "fp32"
    """What the weights are stored in: `fp32`, for ONNX on a GPU `fp16`, or `int8` (products; for OpenVINO it needs
    `nncf`, and minutes)."""
    calibration: str | None = None
    """Folder of frames (rgb/ and thermal/, day and night) to make `int8` by; None: synthetic scenes."""

    def __post_init__(self) -> None:
        one_of("ExportConfig", "format", self.format, tuple(FORMATS))
        one_of("ExportConfig", "thermal", self.thermal, THERMAL_TYPES)
        one_of("ExportConfig", "precision", self.precision, PRECISIONS[self.format])
        if self.calibration is not None and self.precision != INT8:
            raise ValueError(f"ExportConfig.calibration: given with precision {self.precision}, but it is for int8")
        suffix = FORMATS[self.format].SUFFIX
        if self.output is not None and Path(self.output).suffix != suffix:
            raise ValueError(f"ExportConfig.output: got {self.output!r}, expected a name ending in {suffix}")
        for name, stride in (("camera", 1), ("thermal_camera", 1), ("size", STRIDE)):
            parse_size(name, getattr(self, name), stride)

    def path(self, weights: Path) -> Path:
        """Where the file goes."""
        return Path(self.output or f"{weights.stem}{FORMATS[self.format].SUFFIX}")


def parse_size(name: str, text: str | None, stride: int = 1) -> Size | None:
    """`480x640` -> (480, 640), None for none. ValueError names the option."""
    if text is None:
        return None
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()) or any(n < 1 or n % stride for n in (int(height), int(width))):
        steps = f" in multiples of {stride}" if stride > 1 else ""
        raise ValueError(f"ExportConfig.{name}: got {text!r}, expected HEIGHTxWIDTH{steps} (480x640)")
    return int(height), int(width)
