"""The few highest of many, without keeping the rest."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Ranking(Generic[T]):
    """Keeps the `size` entries of the highest rank among all that are offered; of equal ones the earlier."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._heap: list[tuple[float, int, T]] = []  # (rank, -number, entry): the lowest that is kept on top
        self._offered = 0

    def offer(self, rank: float, make: Callable[[], T]) -> None:
        """`make` is only called for what is kept."""
        self._offered += 1
        key = (rank, -self._offered)
        full = len(self._heap) >= self.size
        if self.size == 0 or (full and key < self._heap[0][:2]):
            return
        (heapq.heapreplace if full else heapq.heappush)(self._heap, (*key, make()))

    def best(self) -> list[T]:
        """The highest first."""
        return [entry for *_, entry in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]
