"""The one place where the node meets the model, whose code is imported when it is loaded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from sartm_ros.inference import fallback
from sartm_ros.inference.jobs import CHECKPOINT, Request

if TYPE_CHECKING:
    from sartm_core.runtime.network import Network

WARMUP_SIZE = (480, 640)
TORCH = ("torch", "torch-compile")
"""Engines whose network torch runs."""
SHRINK = 0.7
"""A smaller input has this share of the height and width, rounded to the model's stride: half the memory."""
SMALLEST_SIDE = 128
"""No input gets smaller than this."""


class Model:
    """A `Segmenter` whose calls use `threads` CPU threads, whichever thread calls: torch's number is one per thread.
    0: as many as torch chooses.

    Where another library runs the network on a CPU, torch has what comes before and after it, and one thread: a second
    one waits for a CPU that this library keeps busy (measured in docs/benchmark_ros.md).
    """

    def __init__(self, segmenter: Any, threads: int) -> None:
        self._segmenter = segmenter
        self._threads = (threads or library_threads()) if segmenter.engine in TORCH else 1
        self.name: str = segmenter.name
        self.sha256: str = segmenter.sha256
        self.classes: tuple[str, ...] = segmenter.classes
        self.palette: tuple[tuple[int, int, int], ...] = segmenter.palette
        self.device = str(segmenter.device)
        self.engine: str = segmenter.engine
        self.takes_batches: bool = segmenter.takes_batches
        """Whether several pairs at a time are faster than one after the other."""
        self.note = ""
        """What is less than asked for, e.g. a smaller input after the GPU's memory ran out."""
        self.warnings: list[str] = []
        """To be told once after loading."""

    @property
    def precision(self) -> str:
        """Number format; known for sure once there was a frame."""
        return str(self._segmenter.precision)

    @property
    def choice(self) -> str:
        """Why this engine and precision, a sentence."""
        return str(self._segmenter.choice)

    @property
    def adapters(self) -> tuple[str, ...]:
        """The names of what is loaded, the checkpoint's first."""
        return tuple(self._segmenter.adapters)

    def weights(self, adapter: str) -> Network:
        """What a value of the parameter `adapter` stands for. ValueError: it is not loaded."""
        loaded, own = self._segmenter.adapters, CHECKPOINT
        if adapter not in (own, *loaded):
            raise ValueError(f"adapter: got '{adapter}', loaded are {own} ({', '.join(loaded)})")
        network: Network = loaded[self.name if adapter == own else adapter]
        return network

    @property
    def compiling(self) -> str:
        """The input size, WxH, for which a network is being compiled at the moment; empty when none is."""
        sizes = (network.watch.size for network in self._segmenter.adapters.values())
        return next((f"{width}x{height}" for height, width in filter(None, sizes)), "")

    @property
    def compilations(self) -> int:
        """How many of them have begun."""
        return sum(network.watch.count for network in self._segmenter.adapters.values())

    def batch(self, requests: Sequence[Request]) -> list[Any]:
        """A `SegmentationResult` for each request."""
        from sartm_core.runtime.segmenter import FramePair

        self._use_threads()
        pairs = [
            FramePair(
                r.rgb,
                r.thermal,
                r.registration,
                r.thermal_norm,
                r.confidence_threshold,
                r.confidence,
                adapter=self.weights(r.adapter).name,
                scores=r.scores,
                drawing=drawing_of(r),
            )  # fmt: skip
            for r in requests
        ]
        return list(self._segmenter.batch(pairs))

    def check(self, rgb: np.ndarray | None, thermal: np.ndarray | None) -> None:
        """Raise ValueError when the weights of an adapter give no usable scores for a frame pair."""
        self._use_threads()
        self._segmenter.check(rgb, thermal)

    def shrink(self) -> str:
        """Work at a smaller input from now on, each adapter at its own; a note about the largest.

        Empty when all are as small as they may get.
        """
        from sartm_core.preprocess.config import STRIDE

        changed = []
        for network in self._segmenter.adapters.values():
            before = network.preprocess.input_size or WARMUP_SIZE
            size = tuple(round(side * SHRINK / STRIDE) * STRIDE for side in before)
            if min(size) < SMALLEST_SIDE:
                continue
            with suppress(ValueError):  # an exported file has one size only
                network.set_input_size(size)
                changed.append((before, size))
        if not changed:
            return ""
        before, size = max(changed, key=lambda sizes: sizes[0][0] * sizes[0][1])
        return f"input {size[0]}x{size[1]} instead of {before[0]}x{before[1]} after the GPU ran out of memory"

    def memory_mb(self) -> float | None:
        """GPU memory in use, MB; None on the CPU."""
        used: float | None = self._segmenter.memory_mb()
        return used

    def warm_up(self, shrink: bool) -> None:
        """Run every adapter twice on an empty pair. Smaller when memory runs out, if asked."""
        rgb, thermal = np.zeros((*WARMUP_SIZE, 3), np.uint8), np.zeros(WARMUP_SIZE, np.uint8)
        while True:
            try:
                self.check(rgb, thermal)
                self.check(rgb, thermal)
                return
            except Exception as error:
                if not (shrink and fallback.is_out_of_memory(error)):
                    raise
            note = self.shrink()
            if not note:
                raise RuntimeError("out of memory, even with the smallest input")
            self.note = note

    def _use_threads(self) -> None:
        if "torch" not in sys.modules:  # another library runs the network, and nothing has wanted torch yet
            return
        import torch

        library_threads()  # before it changes
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)


def drawing_of(request: Request) -> Any:
    """The pictures that it wants, as the model takes it: `sartm_core.runtime.batching.Drawing`, or None."""
    from sartm_core.runtime.batching import Drawing

    wanted, settings = request.drawing, request.settings
    if not wanted or settings.class_map is None:
        return None
    ids, palette = settings.class_map.lut, settings.class_map.palette
    lut = None if ids is None else ids.tobytes()
    return Drawing(palette, lut, "overlay" in wanted, settings.alpha, "color_mask" in wanted)


@cache
def library_threads() -> int:
    """The number of CPU threads torch chose by itself; to be asked before anything changes it."""
    import torch

    return torch.get_num_threads()
