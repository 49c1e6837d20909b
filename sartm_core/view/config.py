"""What a page can be told."""

from __future__ import annotations

from dataclasses import dataclass

from sartm_core.support.fields import at_least

LOOPBACK = "127.0.0.1"
LARGEST_PORT = 65535


@dataclass(frozen=True)
class PageConfig:
    """Where the page is, and the model for what is dropped on it."""

    host: str = LOOPBACK
    """Address to listen on. Another than this machine's own lets everybody on that network look."""
    port: int = 8710
    """0: any that is free."""
    upload_mb: int = 32
    """Largest size in MB of what is dropped on the page, both files together."""
    celsius: tuple[float, ...] = ()
    """SCALE OFFSET that make degrees Celsius of thermal values: `0.01 -273.15` for hundredths of a kelvin. Without:
    the values themselves are shown."""
    checkpoint: str = "default"
    """A `.safetensors` file of a training run, an exported `.onnx` or `.xml`, or `default`, the shipped weights."""
    sam2: str | None = None
    """Official SAM2 file, for adapter checkpoints."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    engine: str = "auto"
    """What runs the network: `torch`, `torch-compile`, `openvino`, `onnxruntime`; `auto`: the fastest there is."""
    precision: str = "auto"
    """`fp32`, `bf16`, `fp16`, `int8`; `auto`: the fastest that gives (nearly) the masks of fp32."""

    def __post_init__(self) -> None:
        owner = type(self).__name__
        if not 0 <= self.port <= LARGEST_PORT:
            raise ValueError(f"{owner}.port: got {self.port}, expected 0 to {LARGEST_PORT}")
        at_least(owner, "upload_mb", self.upload_mb, 1)
        if len(self.celsius) not in (0, 2):
            raise ValueError(f"{owner}.celsius: got {len(self.celsius)} numbers, expected two: scale and offset")

    @property
    def to_celsius(self) -> tuple[float, float] | None:
        return (self.celsius[0], self.celsius[1]) if self.celsius else None


@dataclass(frozen=True)
class ViewConfig(PageConfig):
    """Which frames to show as well."""

    rgb: str | None = None
    """Colour frames: an image or a folder of images. Alone, or with `thermal`."""
    thermal: str | None = None
    """Thermal frames of the same kind. Folders pair by file name."""
    dataset: str | None = None
    """Layout of the folder: `folder`, `mfnet`, `pst900` or `fmb`. None: found out."""
    split: str | None = None
    """Only this split of it: `train`, `val`, `test` or another list. None: all frames."""
    synthetic: bool = False
    """Synthetic scenes instead, for who has no frames at hand."""
    threshold: float = 0.0
    """0..1; pixels whose class has a lower confidence are shown as ignored."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.synthetic and (self.rgb or self.thermal):
            raise ValueError(f"{type(self).__name__}.synthetic: given with rgb or thermal; give one or the other")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"{type(self).__name__}.threshold: got {self.threshold}, expected 0..1")
