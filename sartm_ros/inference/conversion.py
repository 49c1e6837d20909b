"""Frames on their way to the model: converted once, by whichever thread comes first.

The model's thread converts what it takes. While it is busy, a second thread may convert what waits (`ahead`), so that
decoding a frame (JPEG, Bayer, bgr8) costs the next mask no time. What a newer job overwrites is dropped, converted or
not; the model's thread always takes the newest one.
"""

from __future__ import annotations

import logging
import threading
import time

from sartm_ros.inference.jobs import Client, Job, Request
from sartm_ros.inference.mailbox import MailRoom
from sartm_ros.inference.timing import Trace

log = logging.getLogger(__name__)


class Conversion:
    """One job in a mailbox, and what the model needs of it."""

    def __init__(self, client: Client, job: Job) -> None:
        self.client = client
        self.trace = Trace(posted=time.monotonic())
        self._job = job
        self._at_it = threading.Lock()
        self._begun = False
        self._request: Request | None = None
        self._error: Exception | None = None

    @property
    def wanted_ahead(self) -> bool:
        """Whether a thread beside the model's should convert it."""
        return not self._begun and self.client.ahead()

    def run(self) -> None:
        """Convert it, unless that is done; when another thread is at it, wait."""
        with self._at_it:
            if self._begun:
                return
            self._begun = True
            self.trace.converting = time.monotonic()
            try:
                self._request = self.client.request(self._job)
            except Exception as error:  # told to who asks for the result
                self._error = error
            self.trace.converted = time.monotonic()

    def result(self) -> Request | None:
        """What the model needs, None when there is nothing to do; raises what the conversion raised."""
        self.run()
        if self._error is not None:
            raise self._error
        return self._request


def ahead(room: MailRoom[Conversion]) -> None:
    """Convert what waits in the room while its reader is away, until it is closed. For a thread of its own."""
    while (conversion := room.look(wanted)) is not None:
        conversion.run()


def wanted(waiting: Conversion) -> bool:
    """Whether to convert it ahead; what a node cannot tell is converted when its turn comes."""
    try:
        return waiting.wanted_ahead
    except Exception:
        log.exception("cannot tell whether a frame is to be converted ahead")
        return False
