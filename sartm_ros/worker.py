"""The thread that runs the model: takes the newest job out of a mailbox, hands it on, survives its errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from sartm_ros.images import Incoming
from sartm_ros.mailbox import Mailbox


@dataclass(frozen=True, eq=False)
class Job:
    """Frames for one mask, one of them None in degraded mode. `received`: arrival of the newer one, monotonic s."""

    rgb: Incoming | None
    thermal: Incoming | None
    received: float

    @property
    def master(self) -> Incoming:
        """The frame whose header and size the outputs carry: rgb, or thermal when it is alone."""
        frame = self.rgb or self.thermal
        assert frame is not None
        return frame

    @property
    def one_camera(self) -> bool:
        """Whether the other camera's frame is missing."""
        return self.rgb is None or self.thermal is None


class Worker:
    """One thread between `start` and `stop`; `work` gets every job, `failed` every exception it raises."""

    def __init__(self, work: Callable[[Job], None], failed: Callable[[Job, Exception], None]) -> None:
        self.mailbox: Mailbox[Job] = Mailbox()
        self._work = work
        self._failed = failed
        self._thread = threading.Thread(target=self._run, name="sartm-worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Drop what waits, let the running job finish, join the thread."""
        self.mailbox.close()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self.mailbox.closed:
            job = self.mailbox.take()
            if job is None:
                continue
            try:
                self._work(job)
            except Exception as error:  # a bad frame or a model error costs one mask, not the node
                self._failed(job, error)
