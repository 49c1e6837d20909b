"""What a benchmark measures: the options of `sartm benchmark`."""

from __future__ import annotations

from dataclasses import dataclass

from sartm_core.model.config import full_name
from sartm_core.preprocess.config import STRIDE
from sartm_core.runtime.engines import ENGINES, PRECISIONS
from sartm_core.runtime.opening import shipped_backbone
from sartm_core.support.device import pick_device
from sartm_core.support.fields import at_least, one_of

Size = tuple[int, int]
"""(height, width)."""

FEWEST_RUNS = 5
"""A median of fewer says little."""
AUTO = "auto"
DEVICES = (AUTO, "cpu", "cuda")


@dataclass(frozen=True)
class BenchmarkConfig:
    """Which models, how they are run, and what else is measured."""

    backbones: tuple[str, ...] = ()
    """`lite0`, `nano`, `t`, `s`, `b+`, `l`, or names of backbones. That of the shipped weights has those, the others
    random ones of a fixed seed. None: that of the shipped weights."""
    checkpoint: str | None = None
    """Measure these weights instead of `backbones`: a `.safetensors` file, `default` or `hf:OWNER/NAME`."""
    sam2: str | None = None
    """Official SAM2 file, where `checkpoint` is an adapter."""
    resolutions: tuple[str, ...] = ("480x640",)
    """Sizes of frames and model input as HEIGHTxWIDTH, multiples of 32."""
    engine: tuple[str, ...] = ()
    """Names of engines, `auto` for the one that `auto` picks; none: all there are."""
    precision: tuple[str, ...] = ()
    """Number formats, `auto` for the fastest that agrees with fp32; none: all that an engine offers."""
    device: str = "auto"
    """`auto`, `cpu` or `cuda`."""
    threads: int = 0
    """CPU threads; the measuring processes get as many CPUs. 0: as many as there are CPUs."""
    runs: int = 10
    """Rounds, at least 5; in each, every engine and the baseline segment one frame in each way."""
    warmup: int = 2
    """Frames before the first round."""
    data: str | None = None
    """Folder of real frames (rgb/ and thermal/, or a data set as `evaluate` knows it); none: synthetic scenes."""
    calibration: str | None = None
    """Folder of frames to make `int8` by, as `data`; none: synthetic scenes. int8 is measured where it is asked for."""
    agreement_frames: int = 20
    """Frames on which the outputs are compared with plain fp32; 0: no comparison."""
    peer: tuple[str, ...] = ()
    """Exported networks of others (.onnx), timed beside each model on the same frames: one image of 4 or 6 channels, or
    two. The network alone, without a word about its masks."""
    startup: bool = True
    """Also start every engine twice in a fresh process, first without and then with its caches."""

    def __post_init__(self) -> None:
        for name in self.backbones:
            full_name("BenchmarkConfig", "backbones", name)
        for name in self.engine:
            one_of("BenchmarkConfig", "engine", name, (AUTO, *ENGINES))
        for name in self.precision:
            one_of("BenchmarkConfig", "precision", name, (AUTO, *PRECISIONS))
        if self.checkpoint and self.backbones:
            raise ValueError("BenchmarkConfig.backbones: given together with checkpoint, expected one of the two")
        if not self.resolutions:
            raise ValueError("BenchmarkConfig.resolutions: none given, expected at least one HEIGHTxWIDTH (480x640)")
        for text in self.resolutions:
            parse_size(text)
        one_of("BenchmarkConfig", "device", self.device.split(":")[0], DEVICES)
        at_least("BenchmarkConfig", "runs", self.runs, FEWEST_RUNS)
        for name in ("threads", "warmup", "agreement_frames"):
            at_least("BenchmarkConfig", name, getattr(self, name), 0)

    @property
    def sizes(self) -> list[Size]:
        """The resolutions as numbers, each once."""
        return list(dict.fromkeys(parse_size(text) for text in self.resolutions))

    @property
    def names(self) -> list[str]:
        """Full names of the backbones, each once; none when a checkpoint is given."""
        if self.checkpoint:
            return []
        names = self.backbones or (shipped_backbone(),)
        return list(dict.fromkeys(full_name("BenchmarkConfig", "backbones", name) for name in names))

    @property
    def ways(self) -> list[tuple[str, str]]:
        """(engine, precision) to try, each once; an engine that cannot run here too, to be told why."""
        device = pick_device(self.device)
        ways = []
        for engine in dict.fromkeys(self.engine or tuple(ENGINES)):
            offered = ENGINES[engine].precisions(device) if engine in ENGINES else ()
            ways += [(engine, precision) for precision in dict.fromkeys(self.precision or offered or (AUTO,))]
        return ways


def parse_size(text: str) -> Size:
    """`480x640` -> (480, 640). ValueError names the option."""
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()) or any(not n or n % STRIDE for n in (int(height), int(width))):
        raise ValueError(
            f"BenchmarkConfig.resolutions: got {text!r}, expected HEIGHTxWIDTH in multiples of {STRIDE} (480x640)"
        )
    return int(height), int(width)


def size_name(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
