"""Which layers break a quantised network: few that have to stay in float, found from the rooms down to the layers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from sartm_core.runtime.quantisation.verdict import Verdict

log = logging.getLogger(__name__)

Layers = tuple[str, ...]
"""Paths of modules, `fusion.0.fuse`."""


@dataclass(frozen=True)
class Found:
    """A network with some layers in float."""

    layers: Layers
    verdict: Verdict


def search(layers: Sequence[str], judge: Callable[[Layers], Verdict]) -> Found:
    """The first that is good, or that with all layers in float. judge: how the network does with these in float."""
    known = cache(lambda some: Found(some, judge(some)))
    found = known(())
    if found.verdict.is_good:
        return found
    log.info("int8: %s. Looking for the layers that break it", found.verdict)
    return narrowed((), tuple(layers), known)


def narrowed(base: Layers, layers: Layers, known: Callable[[Layers], Found]) -> Found:
    """`base` and some of `layers` in float: parts that help most first, and of the last part again only parts."""
    parts = parts_of(layers)
    if len(parts) == 1:
        return known(base + layers)
    for part in sorted(parts, key=lambda one: known(base + one).verdict.order, reverse=True):
        found = known(base + part)
        if found.verdict.is_good:
            return narrowed(base, part, known)
        base = found.layers
    return known(base)


def parts_of(layers: Layers) -> list[Layers]:
    """The layers by the first name in which their paths differ."""
    paths = {layer: layer.split(".") for layer in layers}
    depth = 0
    while len(layers) > 1 and len({tuple(path[: depth + 1]) for path in paths.values()}) == 1:
        depth += 1
    parts: dict[tuple[str, ...], Layers] = {}
    for layer, path in paths.items():
        key = tuple(path[: depth + 1])
        parts[key] = (*parts.get(key, ()), layer)
    return list(parts.values())
