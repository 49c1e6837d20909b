"""Mailboxes with one slot and one reader for all: the reader gets the newest item of each, no writer ever waits."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """One slot of a `MailRoom`. `put` overwrites what nobody took yet and counts it in `dropped`."""

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self.item: T | None = None
        """What waits; read and taken under the room's lock."""
        self.closed = False
        self.dropped = 0
        """Items overwritten, or put after `close`."""

    def put(self, item: T) -> bool:
        """Store `item`; returns False when this dropped an item (the older one, or this one after `close`)."""
        with self._changed:
            dropped = self.closed or self.item is not None
            self.dropped += dropped
            if not self.closed:
                self.item = item
                self._changed.notify()
        return not dropped

    def close(self) -> None:
        """Drop what is in the slot; from now on everything put is dropped."""
        with self._changed:
            self.dropped += self.item is not None
            self.item = None
            self.closed = True


class MailRoom(Generic[T]):
    """Any number of mailboxes with one reader."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._boxes: list[Mailbox[T]] = []
        self._closed = False

    def open(self) -> Mailbox[T]:
        """A new mailbox."""
        box: Mailbox[T] = Mailbox(self._changed)
        with self._changed:
            self._boxes = [*(b for b in self._boxes if not b.closed), box]
        return box

    def take(self, timeout: float | None = None) -> list[tuple[Mailbox[T], T]]:
        """Wait up to `timeout` seconds (None: for ever); the items that wait, with their boxes, in order of opening.

        Empty when none came in time or the room is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or any(b.item is not None for b in self._boxes), timeout)
            taken = [(box, box.item) for box in self._boxes if box.item is not None]
            for box, _ in taken:
                box.item = None
        return taken

    @property
    def closed(self) -> bool:
        """Whether the reader is to end."""
        return self._closed

    def close(self) -> None:
        """Close every mailbox and wake the reader."""
        for box in list(self._boxes):
            box.close()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
