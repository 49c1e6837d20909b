"""What a standstill of the process made old (see `beat`): dropped when something newer comes, used when nothing does.

    frames  1  2 |-- nothing runs --| 3  4  5                       3 and 4 waited, 5 is fresh: 3 and 4 are dropped
    frames  1  2 |-- nothing runs --| 3                  3          nothing newer came: 3 is better than no mask
                                      `DRAINED_S` later, ^

One slot: the newest job that is old. Any thread may call.
"""

from __future__ import annotations

import threading
from math import inf
from typing import Any

from sartm_ros.pairing.nearest import STREAMS


class Leftover:
    """The newest job (`inference.jobs.Job`) that a standstill made old, until it is known whether a newer one comes."""

    def __init__(self) -> None:
        self.dropped = dict.fromkeys(STREAMS, 0)
        """Frames dropped since newer ones came, by stream."""
        self._lock = threading.Lock()
        self._job: Any = None
        self._fresh = -inf

    def keep(self, job: Any) -> None:
        """Of this job and the one kept the newer stays, if nothing newer than it has gone to the model."""
        with self._lock:
            older, newer = sorted((job, self._job or job), key=lambda one: one.received)
            if older is not newer:
                self._drop(older)
            self._job = newer
            self._compare()

    def newer(self, received: float) -> None:
        """A job of that time (monotonic s) goes to the model: what is older is not needed any more."""
        with self._lock:
            self._fresh = max(self._fresh, received)
            self._compare()

    def superseded(self, job: Any) -> bool:
        """Whether a newer one has gone to the model."""
        return bool(job.received < self._fresh)

    def take(self) -> Any:
        """The job kept, or None; it is not kept any more."""
        with self._lock:
            job, self._job = self._job, None
            return job

    def _compare(self) -> None:
        if self._job is not None and self.superseded(self._job):
            self._drop(self._job)
            self._job = None

    def _drop(self, job: Any) -> None:
        for stream in STREAMS:
            self.dropped[stream] += getattr(job, stream) is not None
