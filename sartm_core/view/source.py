"""What a page can show: frames of a list, each when it is asked for, or the newest of a running node."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sartm_core.support.classes import Color

FRAMES_PER_SECOND = 2.0
"""How fast a list plays that has no rate of its own."""
WAIT_S, WATCHED_S = 15.0, 20.0
"""A client that waits for a newer frame gets an answer after so long at the latest, and asks again; after so long
without a question nobody looks."""


@dataclass(frozen=True, eq=False)
class Shown:
    """One frame as people see it. Any of its pictures may be missing."""

    name: str
    rgb: np.ndarray | None = None
    """(H, W, 3) uint8."""
    thermal: np.ndarray | None = None
    """(h, w) uint8, uint16 or float32."""
    mask: np.ndarray | None = None
    """(H, W) uint8 class ids, 255 where nobody knows."""
    confidence: np.ndarray | None = None
    """(H, W) uint8."""
    classes: Sequence[str] = ()
    """Names by id; "" where there is no such class."""
    palette: Sequence[Color] = ()
    """Their colours, the data set's own."""
    state: Mapping[str, str] = field(default_factory=dict)
    """What there is to tell of this frame, for people."""
    error: str = ""
    """Why it cannot be shown."""


class Listed(ABC):
    """Frames by number."""

    title: str
    """What they are, for people."""
    names: list[str]
    tags: Mapping[str, list[list[str]]] = {}
    """What to filter by: for each filter the values of every frame."""
    rate: float = FRAMES_PER_SECOND

    @abstractmethod
    def read(self, index: int) -> Shown:
        """The frame with this number. ValueError or OSError says why it cannot be shown; called by one thread."""


class Live:
    """The newest frame and the newest state of something that runs; whatever is older is gone. For any threads."""

    def __init__(self, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.title = title
        self._clock = clock
        self._lock = threading.Lock()
        self._frame: tuple[int, Shown | None] = (0, None)
        self._state: tuple[int, Mapping[str, str]] = (0, {})
        self._asked: float | None = None
        self.on_change: Callable[[], None] = lambda: None
        """Called after every change, by the thread that made it."""

    def show(self, shown: Shown) -> None:
        """A new frame takes the place of the last one."""
        with self._lock:
            self._frame = self._frame[0] + 1, shown
        self.on_change()

    def tell(self, state: Mapping[str, str]) -> None:
        """A new state takes the place of the last one."""
        with self._lock:
            self._state = self._state[0] + 1, state
        self.on_change()

    def newest(self) -> tuple[tuple[int, Shown | None], tuple[int, Mapping[str, str]]]:
        """Frame and state, each with the number of its kind; 0: none yet. Counts as being watched."""
        with self._lock:
            self._asked = self._clock()
            return self._frame, self._state

    def watched(self) -> bool:
        """Whether somebody has asked within the last `WATCHED_S`."""
        with self._lock:
            return self._asked is not None and self._clock() - self._asked <= WATCHED_S
