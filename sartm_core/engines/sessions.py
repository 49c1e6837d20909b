"""Engines that compile a fixed graph: one session per input size, pairs one by one, a missing camera as a flag."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

log = logging.getLogger(__name__)

Size = tuple[int, int]
Session = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""rgb (1, 3, H, W) float32, thermal (1, 1, H, W) float32, present (2,) bool -> scores (1, C, H / 4, W / 4) float32."""
KEPT = 2
"""Sessions in memory: each has its own copy of the weights."""


class Traceable(Protocol):
    """A `torch.nn.Module` of fixed sizes, tensors in, tensors out, like `FixedGraph`."""

    def eval(self) -> Module: ...

    def example(self) -> tuple[Tensor, ...]:
        """Inputs to trace it with."""


class Sessions:
    """Calls like an `Engine`; `build` makes the session of a size."""

    def __init__(self, build: Callable[[Size], Session]) -> None:
        self._build = build
        self._sessions: OrderedDict[Size, Session] = OrderedDict()

    def __call__(self, rgb: Tensor | None, thermal: Tensor | None) -> Tensor:
        image = rgb if rgb is not None else thermal
        assert image is not None
        count, size = image.shape[0], (image.shape[-2], image.shape[-1])
        session = self._session(size)
        present = np.array([rgb is not None, thermal is not None])
        rgb = torch.zeros(count, 3, *size) if rgb is None else rgb.cpu()
        thermal = torch.zeros(count, 1, *size) if thermal is None else thermal.cpu()
        scores = [session(rgb[i : i + 1].numpy(), thermal[i : i + 1].numpy(), present) for i in range(count)]
        return torch.from_numpy(scores[0] if count == 1 else np.concatenate(scores))

    def _session(self, size: Size) -> Session:
        if size in self._sessions:
            self._sessions.move_to_end(size)
            return self._sessions[size]
        if len(self._sessions) == KEPT:
            self._sessions.popitem(last=False)  # before the new one, so that memory stays flat
        started = perf_counter()
        session = self._sessions[size] = self._build(size)
        log.info("network for %dx%d ready after %.1f s", *size, perf_counter() - started)
        return session
