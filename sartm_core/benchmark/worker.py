"""An object in a process of its own: its memory is its own, and several can be asked in turn.

No torch in here: a new process reads this file first.
"""

from __future__ import annotations

import contextlib
import signal
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

PATIENCE = 10.0
"""Seconds that a process has to end by itself."""


class WorkerError(Exception):
    """What went wrong in the other process, in a line."""


class Worker:
    """`factory(*args)`, made in a new process; `ask` calls its methods there. Arguments and results are pickled."""

    def __init__(self, factory: Callable[..., object], *args: object) -> None:
        """WorkerError when the object cannot be made."""
        context = get_context("spawn")  # a forked process would have the memory and threads of this one
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, factory, args))
        self.process.start()
        theirs.close()
        try:
            self._receive()
        except BaseException:
            self.close()
            raise

    def ask(self, method: str, *args: object) -> Any:
        """WorkerError when the method raises or the process has ended."""
        with contextlib.suppress(BrokenPipeError):  # what it said last can still be read
            self.pipe.send((method, args))
        return self._receive()

    def close(self) -> None:
        """End the process, at once if it does not by itself."""
        self.pipe.close()
        self.process.join(0 if self.busy else PATIENCE)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join()

    busy = False
    """Whether an answer is still to come."""

    def _receive(self) -> Any:
        self.busy = True
        try:
            well, answer = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join(PATIENCE)
            raise WorkerError(ending(self.process.exitcode)) from None
        self.busy = False
        if not well:
            raise WorkerError(answer)
        return answer


def ending(code: int | None) -> str:
    """What an exit code says."""
    if code == -signal.SIGKILL:
        return "killed, most likely for want of memory"
    return f"its process ended with exit code {code}"


def serve(pipe: Connection, factory: Callable[..., object], args: tuple[object, ...]) -> None:
    """Answer until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    subject: object = None
    try:
        while True:
            try:
                if subject is None:
                    subject = factory(*args)
                    pipe.send((True, None))
                method, given = pipe.recv()
                pipe.send((True, getattr(subject, method)(*given)))
            except (EOFError, BrokenPipeError):
                return
            except Exception as error:
                pipe.send((False, in_a_line(error)))
                if subject is None:
                    return
    finally:
        pipe.close()


def in_a_line(error: Exception) -> str:
    """The first line that says something, with the type where it is no ordinary refusal."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if isinstance(error, ValueError | ImportError) and text:
        return text
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({place.name} in {place.filename.rpartition('/')[2]}, line {place.lineno})"
