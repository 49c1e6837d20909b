"""Engines that compile a fixed graph: one session per input size, pairs one by one, a missing camera as a flag."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sartm_core.runtime.batching import input_size
from sartm_core.runtime.engines.base import Watch
from sartm_core.runtime.engines.hardware import give_back_memory
from sartm_core.support.late import torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

log = logging.getLogger(__name__)

Size = tuple[int, int]
Session = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""rgb (1, 3, H, W) float32 or (1, H, W, 3) uint8, thermal (1, 1, H, W) float32, present (2,) bool ->
scores (1, C, H / 4, W / 4) float32."""
KEPT = 3
"""Sessions in memory: each has its own copy of the weights."""


class Traceable(Protocol):
    """A `torch.nn.Module` of fixed sizes, tensors in, tensors out, like `FixedGraph`."""

    def eval(self) -> Module: ...

    def example(self) -> tuple[Tensor, ...]:
        """Inputs to trace it with."""


class Sessions:
    """Calls like an `Engine`; `build` makes the session of a size.

    pixels: whether its rgb input is uint8 pixels. prepare: called before each session, `built` after it.
    """

    def __init__(
        self, build: Callable[[Size], Session], pixels: bool = True, built: Callable[[], None] = lambda: None,
        device: str = "cpu", prepare: Callable[[Size], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._build, self._pixels, self._device = build, pixels, device
        self._prepare, self._built = prepare, built
        self._sessions: OrderedDict[Size, Session] = OrderedDict()
        self._dropped: set[Size] = set()
        self.watch = Watch()

    def __call__(self, rgb: Tensor | None, thermal: Tensor | None) -> Tensor:
        scores = self.arrays(*(None if x is None else x.cpu().numpy() for x in (rgb, thermal)))
        return torch.from_numpy(scores).to(self._device)

    def arrays(self, rgb: np.ndarray | None, thermal: np.ndarray | None) -> np.ndarray:
        """The same without torch."""
        size = input_size(rgb, thermal)
        present = np.array([rgb is not None, thermal is not None])
        if rgb is None:
            assert thermal is not None
            rgb = blank_rgb(len(thermal), size, self._pixels)
        thermal = np.zeros((len(rgb), 1, *size), np.float32) if thermal is None else thermal
        run = self._session(size)
        scores = [run(*frame, present) for frame in zip(rgb[:, None], thermal[:, None], strict=True)]
        return scores[0] if len(scores) == 1 else np.concatenate(scores)

    def _session(self, size: Size) -> Session:
        if size in self._sessions:
            self._sessions.move_to_end(size)
            return self._sessions[size]
        if size in self._dropped:
            log.warning("network for %dx%d made again: more than %d sizes of camera frames take turns", *size, KEPT)
        if len(self._sessions) == KEPT:
            self._dropped.add(self._sessions.popitem(last=False)[0])  # before the new one: memory stays flat
        log.info("compiling the network for %dx%d, new to it; up to a minute, unless it was kept", *size)
        started = perf_counter()
        with self.watch.compiling(size):
            self._prepare(size)
            session = self._sessions[size] = self._build(size)
        self._built()
        give_back_memory()
        log.info("network for %dx%d ready after %.1f s", *size, perf_counter() - started)
        return session


def blank_rgb(count: int, size: Size, pixels: bool) -> np.ndarray:
    """Stands where a frame is missing."""
    return np.zeros((count, *size, 3), np.uint8) if pixels else np.zeros((count, 3, *size), np.float32)
