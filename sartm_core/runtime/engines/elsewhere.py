"""A network made ready in a process of its own, for what it leaves in the cache: torch, the tracing and the compiler
take a gigabyte, which the process that segments never has.

python -m sartm_core.runtime.engines.elsewhere order.json error.txt
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sartm_core.support import child
from sartm_core.support.fields import from_dict, to_dict
from sartm_core.support.files import cache_folder

log = logging.getLogger(__name__)

PATIENCE = 1800.0
"""Seconds it may take; int8 takes minutes."""


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
    log.info("making the network ready in a process of its own, once for these weights; up to a minute")
    with tempfile.TemporaryDirectory() as folder:
        file, error = Path(folder) / "order.json", Path(folder) / "error.txt"
        file.write_text(json.dumps(to_dict(order)), encoding="utf-8")
        try:
            child.run(__name__, [str(file), str(error)], "making the network ready", PATIENCE)
        except TimeoutError as late:
            raise ValueError(f"checkpoint: {order.checkpoint}: making the network ready: {late}") from late
        except OSError as problem:
            log.warning("no process to make the network ready in (%s); it is done in this one", problem)
        except child.ChildError as failed:
            raise ValueError(
                error.read_text(encoding="utf-8")
                if error.is_file()
                else f"checkpoint: {order.checkpoint}: the process that makes the network ready {failed}"
                + ("; most often the system's memory ran out" if failed.code < 0 else "")
            ) from failed


def keeps() -> bool:
    """Whether what another process leaves in the cache would be found."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def main(order: str, error: str) -> None:
    """Do it in this process."""
    try:
        fill(from_dict(Order, json.loads(Path(order).read_text(encoding="utf-8"))))
    except Exception as problem:
        kind = "" if isinstance(problem, ValueError) else f"{type(problem).__name__}: "
        Path(error).write_text(f"{kind}{problem}", encoding="utf-8")
        raise


def fill(order: Order) -> None:
    """Load and run once. ValueError as of that, or when the file has changed."""
    from sartm_core.runtime.segmenter import Segmenter

    segmenter = Segmenter.load(
        order.checkpoint, "cpu", order.precision, order.engine, input_size=order.size, threads=order.threads,
        untrained=True, calibration=order.calibration,
    )  # fmt: skip
    if segmenter.sha256 != order.sha256:
        raise ValueError(f"checkpoint: {order.checkpoint} has changed since it was loaded; load it again")
    if order.size is not None:
        segmenter.check(np.zeros((*order.size, 3), np.uint8), None)


if __name__ == "__main__":
    child.end_with_parent()
    main(*sys.argv[1:])
