"""A mailbox with one slot: the reader always gets the newest item, the writer never waits."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """One slot between threads. `put` overwrites what nobody took yet and counts it in `dropped`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._closed = False
        self.dropped = 0
        """Items overwritten, or put after `close`."""

    def put(self, item: T) -> bool:
        """Store `item`; returns False when this dropped an item (the older one, or this one after `close`)."""
        with self._changed:
            dropped = self._closed or self._item is not None
            self.dropped += dropped
            if not self._closed:
                self._item = item
                self._changed.notify()
        return not dropped

    def take(self, timeout: float | None = None) -> T | None:
        """Wait up to `timeout` seconds (None: for ever) for an item; None when none came or the box is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout)
            item, self._item = self._item, None
        return item

    def close(self) -> None:
        """Wake the reader and drop what is in the slot; `take` returns None from now on."""
        with self._changed:
            self.dropped += self._item is not None
            self._item = None
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed
