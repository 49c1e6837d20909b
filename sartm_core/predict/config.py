"""What a prediction can be told."""

from __future__ import annotations

from dataclasses import dataclass

from sartm_core.data.layouts import DISK_LAYOUTS
from sartm_core.runtime.engines import ENGINES, PRECISIONS
from sartm_core.runtime.opening import DEFAULT
from sartm_core.support.fields import at_least, one_of


@dataclass(frozen=True)
class PredictConfig:
    """Which frames, which weights, what to write."""

    rgb: str | None = None
    """Colour frames: an image, a folder of images, or a video. Alone, or with `thermal`."""
    thermal: str | None = None
    """Thermal frames of the same kind; images of 8 or 16 bits or float TIFF. Folders pair by file name, videos by
    frame number."""
    data: str | None = None
    """Instead of the two: the folder of a data set (rgb/ and thermal/, MFNet, PST900, FMB as downloaded)."""
    dataset: str | None = None
    """Layout of `root`: `folder`, `mfnet`, `pst900` or `fmb`. None: found out."""
    split: str | None = None
    """Only this split of `root`: `train`, `val`, `test` or another list. None: all frames."""
    checkpoint: str = DEFAULT
    """A `.safetensors` file of a training run, an exported `.onnx` or `.xml`, `default`, the shipped weights, or
    `hf:OWNER/NAME`."""
    sam2: str | None = None
    """Official SAM2 file, for adapter checkpoints."""
    untrained: bool = False
    """Take a checkpoint whose classes were never trained: masks that mean nothing, to try the way they go."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    engine: str = "auto"
    """What runs the network: `torch`, `torch-compile`, `openvino`, `onnxruntime`; `auto`: the fastest there is."""
    precision: str = "auto"
    """`fp32`, `bf16`, `fp16`, `int8`; `auto`: the fastest that gives (nearly) the masks of fp32."""
    batch: int = 1
    """Pairs that share a forward pass; more help on a GPU, and cost memory."""
    threshold: float = 0.0
    """0..1; pixels whose class has a lower confidence become 255 in the mask."""
    confidence: bool = False
    """Also write confidence/NAME.png: 0..255 = the softmax of the winning class."""
    overlay: bool = False
    """Also write overlay/NAME.png: class colours over the frame."""
    sheet: bool = False
    """Also write sheet.png: up to 12 frames, evenly spread, as rgb, thermal and overlay."""

    def __post_init__(self) -> None:
        owner = type(self).__name__
        frames = [name for name in ("rgb", "thermal") if getattr(self, name)]
        if self.data and frames:
            raise ValueError(f"{owner}.data: got {self.data!r} with {' and '.join(frames)}; give one or the other")
        if not self.data and not frames:
            raise ValueError(f"{owner}: no frames; give --rgb and --thermal, one of them, or --data DIR")
        for name in ("dataset", "split"):
            if getattr(self, name) and not self.data:
                raise ValueError(
                    f"{owner}.{name}: got {getattr(self, name)!r} without a root; it belongs to --data DIR"
                )
        if self.dataset is not None:
            one_of(owner, "dataset", self.dataset, tuple(DISK_LAYOUTS))
        one_of(owner, "engine", self.engine, ("auto", *ENGINES))
        one_of(owner, "precision", self.precision, ("auto", *PRECISIONS))
        at_least(owner, "batch", self.batch, 1)
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"{owner}.threshold: got {self.threshold}, expected 0..1")
