"""A network made ready in a process of its own, for what it leaves in the cache: torch, the tracing and the compiler
take a gigabyte, which the process that segments never has.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from sartm_core.preprocess.config import ThermalNorm
from sartm_core.runtime.engines import cache
from sartm_core.runtime.engines.base import INT8
from sartm_core.support import child
from sartm_core.support.fields import to_dict

log = logging.getLogger(__name__)

MODULE = "sartm_core.runtime.ready"
"""Does it."""
PATIENCE = 1800.0
"""Seconds it may take, but int8, whose time is that of the user's frames."""
KINDS: dict[str, type[Exception]] = {"ValueError": ValueError, "FileNotFoundError": FileNotFoundError}
"""Errors that come back as they are."""


@dataclass(frozen=True)
class Order:
    """Weights, and how they are to run, as of `Segmenter.load`."""

    checkpoint: str
    sha256: str
    engine: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    calibration: str | None = None
    size: tuple[int, int] | None = None
    """(H, W) to be compiled for; None: the weights are only tried."""
    thermal: ThermalNorm | None = None
    """As of `load`; None: that of the weights."""

    def __str__(self) -> str:
        size = "" if self.size is None else f" for {self.size[0]}x{self.size[1]}"
        numbers = "" if self.precision == "auto" else f" in {self.precision}"
        return f"making the network ready{size}{numbers}"


@dataclass(frozen=True)
class Elsewhere:
    """Where a source's network can be made ready."""

    order: Order
    """Its weights."""

    def __call__(self, **wanted: object) -> None:
        """Have what the other fields of an `Order` say in the cache, as far as possible. ValueError as of loading."""
        make_ready(replace(self.order, **wanted))  # type: ignore[arg-type]


def make_ready(order: Order) -> None:
    """Do it in another process. ValueError tells what went wrong there."""
    if not keeps():
        return
    many = "several minutes" if order.precision == INT8 else "a minute"
    log.info("%s in a process of its own, once; up to %s", order, many)
    try:
        failure = attempted(order)
    except OSError as problem:
        log.warning("no process for %s (%s); it is done in this one", order, problem)
        return
    if failure is not None:
        raise failure


def attempted(order: Order) -> Exception | None:
    """What went wrong there. OSError: there could be no such process."""
    with tempfile.TemporaryDirectory() as folder:
        error = Path(folder) / "error.json"
        words = [json.dumps(to_dict(order)), str(error)]
        try:
            child.run(MODULE, words, str(order), math.inf if order.precision == INT8 else PATIENCE)
        except TimeoutError as late:
            return ValueError(f"checkpoint: {order.checkpoint}: {order}: {late}")
        except child.ChildError as failed:
            return told(error, order, failed)
    return None


def told(error: Path, order: Order, failed: child.ChildError) -> Exception:
    """What the other process raised, as far as it could tell."""
    if error.is_file():
        kind, text = json.loads(error.read_text(encoding="utf-8"))
        if kind in KINDS:
            return KINDS[kind](text)
        return ValueError(f"checkpoint: {order.checkpoint}: {kind}: {text}")
    hint = "; most often the system's memory ran out" if failed.code == -signal.SIGKILL else ""
    return ValueError(f"checkpoint: {order.checkpoint}: the process that makes the network ready {failed}{hint}")


def keeps() -> bool:
    """Whether what another process leaves in the cache would be found."""
    folder = cache.folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
