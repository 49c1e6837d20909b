"""Probe of the engines: which run the network here, in which precisions, and why not the others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sartm_core.doctor.findings import MISSING, NOTE, OK, Finding, guarded

if TYPE_CHECKING:
    import torch

COMPILES = ("torch-compile",)
"""Engines that call a C++ compiler."""


def engines() -> Iterator[Finding]:
    """On the device that `auto` takes."""
    from sartm_core.runtime.engines import ENGINES
    from sartm_core.runtime.engines.choice import Wish, pick_engine
    from sartm_core.support.device import pick_device

    device = pick_device("auto")
    auto, _ = pick_engine(Wish(device))
    for name in ENGINES:
        yield from guarded(name, partial(engine, name, device, auto))


def engine(name: str, device: torch.device, auto: str) -> Iterator[Finding]:
    """One of the table; `auto` is the one that `engine: auto` takes."""
    from sartm_core.runtime.engines import ENGINES, PRECISIONS

    kind = ENGINES[name]
    packages = (kind.extra or kind.package).split()
    if lacking := [package for package in packages if find_spec(package) is None]:
        yield Finding(MISSING, name, f"{', '.join(lacking)} not installed", f"pip install {' '.join(lacking)}")
        return
    import_module(kind.package)
    if obstacle := kind.obstacle(device):
        yield Finding(NOTE, name, obstacle)
        return
    if name in COMPILES and not any(map(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++"))):
        yield Finding(MISSING, name, "no C++ compiler", "sudo apt install g++")
        return
    offered = kind.precisions(device)
    version = f"{kind.package} {metadata.version(kind.package)}: " if kind.package != "torch" else ""
    limits = f" ({kind.limits})" if kind.limits and set(offered) < set(PRECISIONS) else ""
    default = "; `auto` takes it" if name == auto else ""
    yield Finding(OK, name, f"{version}{', '.join(offered)} on {device.type}{limits}{default}")
