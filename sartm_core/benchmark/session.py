"""One way to run one model, with the stopwatch beside it. Lives in a process of its own, see `worker.py`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter

import numpy as np
import torch

from sartm_core.benchmark.baseline import MS, PlainSegmenter
from sartm_core.benchmark.config import Size
from sartm_core.benchmark.subjects import Frames, Weights, load_plain
from sartm_core.runtime.batching import FramePair
from sartm_core.runtime.engines import ENGINES
from sartm_core.runtime.engines.base import INT8
from sartm_core.runtime.result import SegmentationResult
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.device import pick_device
from sartm_core.support.gpu import forget_most_held, most_held, on_gpu, synchronize
from sartm_core.support.memory import peak_resident, reset_peak, resident

NETWORK = ("timm", "sartm_core.model.checkpoint")
"""Imported by what makes a network of weights."""
QUICK = 100.0
"""Milliseconds of a forward for which caches that are still cold make a difference."""


@dataclass(frozen=True)
class Way:
    """What to run and how."""

    weights: Weights
    size: Size
    frames: str
    """File of `Frames`."""
    engine: str
    precision: str
    device: str
    threads: int
    caches: str
    """Folder of what it keeps for its next start."""
    plain: bool = False
    """The baseline instead of an engine."""
    calibration: str | None = None
    """Folder of frames to make int8 by."""

    def load(self) -> Segmenter | PlainSegmenter:
        """ValueError, ImportError: why this way cannot run."""
        weights = self.weights
        if not self.plain:
            return Segmenter.load(
                weights.checkpoint, self.device, self.precision, self.engine, sam2=weights.sam2, input_size=self.size,
                threads=self.threads, untrained=True, calibration=self.calibration if self.precision == INT8 else None,
            )  # fmt: skip
        model = load_plain(weights)
        return PlainSegmenter(model, model.info.preprocess, self.size, pick_device(self.device))


@dataclass(frozen=True)
class Turn:
    """Milliseconds of one round."""

    forward: float
    """The engine alone: prepared inputs to scores."""
    mask: dict[str, float]
    """A whole call without confidence: `total` and its stages."""
    confidence: dict[str, float]
    """A whole call with confidence."""


@dataclass(frozen=True)
class Peak:
    """Most bytes beside what the process had before the model was made; on a GPU, of its memory that torch held."""

    starting: int
    """Until the first frames were done."""
    running: int | None
    """From then on; None where the system does not tell it apart."""


class Session:
    """A model, loaded, and frames for it."""

    def __init__(self, way: Way) -> None:
        torch.set_num_threads(way.threads)
        self.frames = Frames.load(way.frames)
        import_packages(way.engine)
        reset_peak()  # imports make garbage
        self.base = resident()
        started = perf_counter()
        self.segmenter = way.load()
        self.seconds = perf_counter() - started
        self.device = self.segmenter.device
        self.inputs = self.segmenter.inputs(FramePair(self.frames.rgb[0], self.frames.thermal[0]))
        self.starting = 0
        self.told_apart = False

    def facts(self) -> dict[str, str]:
        """What runs."""
        own = self.segmenter
        return {"engine": own.engine, "precision": own.precision, "choice": own.choice, "device": str(own.device)}

    def warm_up(self, frames: int) -> float:
        """Everything that happens only once; returns the seconds from loading on."""
        started = perf_counter()
        for i in range(1 + frames):
            self.call(i, False)
            self.call(i, True)
        self.starting = self._peak()
        self.told_apart = self._reset_peak()
        return self.seconds + perf_counter() - started

    def turn(self, i: int) -> Turn:
        """One frame in each way. Where that is quick, after one that is not timed: another process had the caches."""
        forward = self.forward()
        if forward < QUICK:
            forward = self.forward()
        return Turn(forward, self.call(i, False)[1], self.call(i, True)[1])

    def forward(self) -> float:
        started = perf_counter()
        self.segmenter.scores(self.inputs)
        synchronize(self.device)
        return (perf_counter() - started) * MS

    def call(self, i: int, confidence: bool) -> tuple[SegmentationResult, dict[str, float]]:
        """The i-th frame from arrays to arrays."""
        pair = self._pair(i, confidence)
        started = perf_counter()
        result = self.segmenter.batch([pair])[0]
        return result, {"total": (perf_counter() - started) * MS, **result.timing}

    def peak(self) -> Peak:
        return Peak(self.starting, self._peak() if self.told_apart else None)

    def scores(self, i: int) -> np.ndarray:
        """(C, H / 4, W / 4) float32 of the i-th frame."""
        return self.segmenter.scores(self.segmenter.inputs(self._pair(i, False)))[0].float().cpu().numpy()

    def masks(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) uint8 of the i-th frame: from a call without confidence, and from one with it."""
        return self.call(i, False)[0].mask, self.call(i, True)[0].mask

    def _pair(self, i: int, confidence: bool) -> FramePair:
        i %= len(self.frames)
        return FramePair(self.frames.rgb[i], self.frames.thermal[i], confidence=confidence)

    def _peak(self) -> int:
        if on_gpu(self.device):
            return most_held(self.device)
        return peak_resident() - self.base

    def _reset_peak(self) -> bool:
        if on_gpu(self.device):
            forget_most_held(self.device)
            return True
        return reset_peak()


def import_packages(engine: str) -> None:
    """What an engine computes with belongs to the process, not to the model; with "auto" it could be any.

    So does what the network's code imports, whether a start needs that code or not.
    """
    for package in NETWORK:
        import_module(package)
    for name, kind in ENGINES.items():
        if engine in (name, "auto") and find_spec(kind.package):
            import_module(kind.package)
