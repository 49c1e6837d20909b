"""PyTorch compiled: fused kernels, on a GPU as one CUDA graph. Compiles once per input shape, about a minute."""

from __future__ import annotations

import logging
import os
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sartm_core.runtime.batching import input_size
from sartm_core.runtime.engines.base import Engine, Settings, Source, Watch, Watched
from sartm_core.support.files import cache_folder
from sartm_core.support.gpu import on_gpu, replayed
from sartm_core.support.late import torch

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

SHAPES = 64
"""Compiled shapes kept; every change of size, cameras or batch is one."""


def allow_shapes(count: int) -> None:
    """torch gives up after 8 shapes of one function; here each is a size, a set of cameras or a batch."""
    from torch._dynamo import config as settings

    for name in ("recompile_limit", "cache_size_limit"):  # the second until torch 2.6
        if hasattr(settings, name):
            setattr(settings, name, max(getattr(settings, name), count))


def make(source: Source, settings: Settings) -> Engine:
    """One compiled function per shape; what the compiler wrote is reused by the next start."""
    from sartm_core.runtime.graph.graph import FoldedSARTM, Layouts

    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "engines" / "inductor"))
    allow_shapes(SHAPES)
    folded = source.shared.among(FoldedSARTM(source()).to(settings.device, settings.dtype))
    layouts = Layouts(folded)
    together = on_gpu(settings.device)
    options: dict[str, Any] = {} if together else {"freezing": True}
    compiled: dict[tuple[torch.Size | None, ...], Engine] = {}
    watch = Watch()

    def compiled_for(rgb: Tensor | None, thermal: Tensor | None) -> Engine:
        layout = layouts.of(rgb, thermal)

        def network(rgb: Tensor | None, thermal: Tensor | None) -> Tensor:
            return folded(rgb, thermal, layout, together)

        return torch.compile(network, dynamic=False, fullgraph=True, options=options)

    def build(rgb: Tensor | None, thermal: Tensor | None) -> Engine:
        shape = tuple(None if x is None else x.shape for x in (rgb, thermal))
        if shape not in compiled:
            log.info("torch.compile: compiling for inputs %s, once; this takes about a minute", shape)
            if len(compiled) == SHAPES:
                compiled.pop(next(iter(compiled)))
            compiled[shape] = compiled_for(rgb, thermal)
            started = perf_counter()
            with watch.compiling(input_size(rgb, thermal)):
                compiled[shape](rgb, thermal)  # the first call compiles
            log.info("torch.compile: ready after %.1f s", perf_counter() - started)
        return compiled[shape]

    network = replayed(build, settings.device)

    def run(rgb: Tensor | None, thermal: Tensor | None) -> Tensor:
        with torch.inference_mode():
            return network(rgb, thermal)

    return Watched(run, watch)
