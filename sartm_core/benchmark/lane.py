"""Rows of the table and the processes that measure them."""

from __future__ import annotations

import logging
from typing import Any

from sartm_core.benchmark.flops import Product
from sartm_core.benchmark.machine import CACHES, environment
from sartm_core.benchmark.rates import Rates
from sartm_core.benchmark.results import Row, spread
from sartm_core.benchmark.session import Session, Turn, Way
from sartm_core.benchmark.worker import Worker, WorkerError
from sartm_core.runtime.engines import PRECISIONS

log = logging.getLogger(__name__)


class Lane:
    """Asks until something goes wrong; then the row says why, and the others go on."""

    def __init__(self, row: Row, way: Way) -> None:
        self.row, self.way = row, way
        self.worker: Worker | None = None
        self.turns: list[Turn] = []

    def open(self, warmup: int) -> None:
        """Load and warm up, in a new process."""
        try:
            with environment(dict.fromkeys(CACHES, self.way.caches)):
                self.worker = Worker(Session, self.way)
        except WorkerError as error:
            self.row.why_not = str(error)
            return
        self.row.ran = self.ask("facts") or {}
        self.ask("warm_up", warmup)

    @property
    def alive(self) -> bool:
        return self.worker is not None

    def ask(self, method: str, *args: object) -> Any:
        """The answer of `Session`'s method; None once something went wrong."""
        if self.worker is None:
            return None
        try:
            return self.worker.ask(method, *args)
        except WorkerError as error:
            self.row.why_not = str(error)
            self.close()
            return None

    def turn(self, i: int) -> None:
        turn = self.ask("turn", i)
        if turn is not None:
            self.turns.append(turn)

    def summarize(self) -> None:
        """Put the turns into the row. One that ended before the last round has no numbers."""
        if not self.alive:
            return
        self.row.forward = spread([turn.forward for turn in self.turns])
        for name in ("mask", "confidence"):
            calls = [getattr(turn, name) for turn in self.turns]
            setattr(self.row, name, {stage: spread([call[stage] for call in calls]) for stage in calls[0]})

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
            self.worker = None


class Meter:
    """The machine's rates in one number format, measured in a process of its own beside the lanes."""

    def __init__(self, precision: str, products: list[Product], beside: Lane) -> None:
        self.precision = precision
        self.laps: list[list[float]] = []
        """By round, milliseconds of each product. None where the machine cannot multiply in this format."""
        self.worker: Worker | None = None
        try:
            self.worker = Worker(Rates, products, PRECISIONS[precision], beside.row.ran["device"], beside.way.threads)
            self.worker.ask("turn")  # the first is slower
        except WorkerError as error:
            self._give_up(error)

    def turn(self) -> None:
        if self.worker is None:
            return
        try:
            self.laps.append(self.worker.ask("turn"))
        except WorkerError as error:
            self._give_up(error)

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
            self.worker = None

    def _give_up(self, error: WorkerError) -> None:
        log.warning("the products in %s cannot be timed: %s", self.precision, error)
        self.laps.clear()
        self.close()
