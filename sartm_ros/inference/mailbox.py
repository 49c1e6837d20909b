"""Mailboxes with one slot and one reader for all: the reader gets the newest item of each, no writer ever waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """One slot of a `MailRoom`. `put` overwrites what nobody took yet and counts it in `dropped`."""

    def __init__(self, room: MailRoom[T], seal: Callable[[Any], T] | None = None) -> None:
        self._room = room
        self._seal = seal
        self.item: T | None = None
        """What waits; read and taken under the room's lock."""
        self.closed = False
        self.dropped = 0
        """Items overwritten, or put after `close`."""

    def put(self, item: Any) -> bool:
        """Store `item`; returns False when this dropped an item (the older one, or this one after `close`)."""
        sealed = item if self._seal is None else self._seal(item)
        with self._room.lock:
            dropped = self.closed or self.item is not None
            self.dropped += dropped
            if not self.closed:
                self.item = sealed
                self._room.arrived()
        return not dropped

    def close(self) -> None:
        """Drop what is in the slot; from now on everything put is dropped."""
        with self._room.lock:
            self.dropped += self.item is not None
            self.item = None
            self.closed = True


class MailRoom(Generic[T]):
    """Any number of mailboxes with one reader. While it is away, one onlooker may see what waits."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._reader, self._onlooker = threading.Condition(self.lock), threading.Condition(self.lock)
        self._reader_waits = False
        self._boxes: list[Mailbox[T]] = []
        self._closed = False

    def open(self, seal: Callable[[Any], T] | None = None) -> Mailbox[T]:
        """A new mailbox. seal: makes what waits in it of what is put; by default it is the same."""
        box: Mailbox[T] = Mailbox(self, seal)
        with self.lock:
            self._boxes = [*(b for b in self._boxes if not b.closed), box]
        return box

    def arrived(self) -> None:
        """An item waits now: wake who has to know. With the lock held."""
        (self._reader if self._reader_waits else self._onlooker).notify()

    def take(self, timeout: float | None = None) -> list[tuple[Mailbox[T], T]]:
        """Wait up to `timeout` seconds (None: for ever); the items that wait, with their boxes, in order of opening.

        Empty when none came in time or the room is closed.
        """
        with self.lock:
            self._reader_waits = True
            self._reader.wait_for(lambda: self._closed or any(b.item is not None for b in self._boxes), timeout)
            self._reader_waits = False
            taken = [(box, box.item) for box in self._boxes if box.item is not None]
            for box, _ in taken:
                box.item = None
        return taken

    def look(self, wanted: Callable[[T], bool]) -> T | None:
        """Wait until an item that is `wanted` waits while the reader is away; it stays where it is. For the onlooker.

        None when the room is closed. `wanted` is called with the lock held.
        """

        def found() -> T | None:
            waiting = () if self._reader_waits else (box.item for box in self._boxes)
            return next((item for item in waiting if item is not None and wanted(item)), None)

        with self.lock:
            while not self._closed:
                if (item := found()) is not None:
                    return item
                self._onlooker.wait()
        return None

    @property
    def closed(self) -> bool:
        """Whether the reader is to end."""
        return self._closed

    def close(self) -> None:
        """Close every mailbox and wake the reader."""
        for box in list(self._boxes):
            box.close()
        with self.lock:
            self._closed = True
            self._reader.notify_all()
            self._onlooker.notify_all()
