"""A thread for what may come a little later than the mask."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sartm_ros.inference.inference import JOIN_S, tell_system
from sartm_ros.inference.mailbox import Mailbox, MailRoom

NAME = "sartm-outputs"
Task = Callable[[], None]


class Aside:
    """Runs one task at a time. One that still waits when the next comes is dropped, and counted."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._room: MailRoom[Task] | None = None
        self._box: Mailbox[Task] | None = None
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def start(self) -> None:
        """From now on tasks are run."""
        self._room = MailRoom()
        self._box = self._room.open()
        self._thread = threading.Thread(target=self._run, args=(self._room,), name=NAME, daemon=True)
        self._thread.start()

    def put(self, task: Task) -> None:
        """Run it soon. Nothing is waited for."""
        if self._box is not None:
            self.dropped += not self._box.put(task)

    def stop(self) -> None:
        """Forget what waits, let the running task end. Safe to call twice."""
        if self._room is not None and self._thread is not None:
            self._room.close()
            self._thread.join(JOIN_S)
        self._room = self._box = self._thread = None

    def _run(self, room: MailRoom[Task]) -> None:
        tell_system(NAME)
        while not room.closed:
            for _, task in room.take():
                try:
                    task()
                except Exception as error:
                    self._failed(error)
