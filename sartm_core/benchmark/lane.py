"""Rows of the table and the processes that measure them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from sartm_core.benchmark.flops import Product
from sartm_core.benchmark.machine import CACHES, environment
from sartm_core.benchmark.peers import PeerSession, PeerWay
from sartm_core.benchmark.rates import Rates
from sartm_core.benchmark.results import Row, spread
from sartm_core.benchmark.session import Session, Turn, Way
from sartm_core.benchmark.worker import Worker, WorkerError
from sartm_core.runtime.engines.base import dtype_of

log = logging.getLogger(__name__)


class Asked(ABC):
    """A worker that is asked until something goes wrong; then it says why, and the others go on."""

    worker: Worker | None = None

    @property
    def alive(self) -> bool:
        return self.worker is not None

    def start(self, factory: Callable[..., object], *args: object) -> None:
        """A new process with `factory(*args)` in it."""
        try:
            self.worker = Worker(factory, *args)
        except WorkerError as error:
            self.failed(error)

    def ask(self, method: str, *args: object) -> Any:
        """The answer of the worker's method; None once something went wrong."""
        if self.worker is None:
            return None
        try:
            return self.worker.ask(method, *args)
        except WorkerError as error:
            self.close()
            self.failed(error)

    @abstractmethod
    def failed(self, error: WorkerError) -> None:
        """Says why."""

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
            self.worker = None


class Lane(Asked):
    """A row, and the process that measures it."""

    def __init__(self, row: Row, way: Way | PeerWay) -> None:
        self.row, self.way = row, way
        self.turns: list[Turn] = []

    @property
    def is_peer(self) -> bool:
        """Whether it runs a network of others."""
        return isinstance(self.way, PeerWay)

    def failed(self, error: WorkerError) -> None:
        self.row.why_not = str(error)

    def open(self, warmup: int) -> None:
        """Load and warm up, in a new process."""
        with environment(dict.fromkeys(CACHES, self.way.caches)):
            self.start(Session if isinstance(self.way, Way) else PeerSession, self.way)
        self.ask("warm_up", warmup)
        self.row.ran = self.ask("facts") or {}  # a precision that does not do is known by now

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


class Meter(Asked):
    """The machine's rates in one number format, measured in a process of its own beside the lanes."""

    def __init__(self, precision: str, products: list[Product], beside: Lane) -> None:
        self.precision = precision
        self.laps: list[list[float]] = []
        """By round, milliseconds of each product. None where the machine cannot multiply in this format."""
        self.start(Rates, products, dtype_of(precision), beside.row.ran["device"], beside.way.threads)
        self.ask("turn")  # the first is slower

    def failed(self, error: WorkerError) -> None:
        log.warning("the products in %s cannot be timed: %s", self.precision, error)
        self.laps.clear()

    def turn(self) -> None:
        laps = self.ask("turn")
        if laps is not None:
            self.laps.append(laps)
