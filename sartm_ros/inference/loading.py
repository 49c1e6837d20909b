"""Work that takes seconds, done beside the executor: a thread, its outcome, and a limit to the patience."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class Loading:
    """`work()` in a thread of its own, begun at once. Ask `done`, `wait` for it, take its `result`."""

    def __init__(self, work: Callable[[], Any], name: str = "sartm-loading") -> None:
        self.started = time.monotonic()
        self._future: Future[Any] = Future()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            outcome = work()
        except BaseException as error:  # also SystemExit: it belongs to who asks for the result
            forget_frames(error)
            self._future.set_exception(error)
        else:
            if self._abandoned.is_set():
                outcome = None
            self._future.set_result(outcome)

    @property
    def done(self) -> bool:
        """Whether there is an outcome."""
        return self._future.done()

    def late(self, limit: float) -> bool:
        """Whether it is still not done `limit` seconds after its start."""
        return not self.done and time.monotonic() - self.started >= limit

    def wait(self, seconds: float) -> bool:
        """Wait for the outcome; whether it is there."""
        try:
            self._future.exception(seconds)
        except TimeoutError:
            return False
        except BaseException as error:  # Python 3.10: concurrent.futures has a TimeoutError of its own
            if type(error).__name__ != "TimeoutError":
                raise
            return False
        return True

    def result(self) -> Any:
        """The outcome; raises what the work raised. Only once `done`."""
        return self._future.result(0)

    def when_done(self, callback: Callable[[], None]) -> None:
        """Call back once there is an outcome: at once if there is one, else from the working thread."""
        self._future.add_done_callback(lambda _: callback())

    def abandon(self) -> None:
        """Nobody wants the outcome any more; it is thrown away when it comes."""
        self._abandoned.set()

    def join(self, seconds: float) -> None:
        """Wait for the thread to end; at the end of a process, so that it is not cut off inside a library."""
        self._thread.join(seconds)


def forget_frames(error: BaseException | None) -> None:
    """Let go of what the functions held in which an exception, and those before it, came up: half a model, maybe."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
