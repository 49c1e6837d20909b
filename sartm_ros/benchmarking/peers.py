"""The measuring processes of a benchmark: commands in on stdin, answers out on stdout, one line of JSON each."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from sartm_core.support.fields import from_dict, to_dict
from sartm_ros.benchmarking.plan import Plan

END_SECONDS = 10.0


class PeerError(RuntimeError):
    """A process that did not do what it was asked; the text says which and why."""


class Peer:
    """`python -m module` as a process that answers; a context manager. What it logs goes to `log`."""

    def __init__(self, module: str, plan: Plan, log: Path) -> None:
        self._name, self._log = module.rsplit(".", 1)[-1], log
        with log.open("wb") as out:
            # Its own session: Ctrl-C in the terminal reaches the command alone, which then ends this in order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, json.dumps(to_dict(plan))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, text=True, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, command: str, **arguments: Any) -> Any:
        """The answer to a command. PeerError when it failed or the process is gone."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        line = ""
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps([command, arguments]) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        if not line:
            raise PeerError(f"{self._name} ended during '{command}'; its log: {self._log}\n{tail(self._log)}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self._name}: {answer['error']}")
        return answer["value"]

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        process = self._process
        if kind is not None:
            process.terminate()  # not after the minutes that a run may still take
        with suppress(BrokenPipeError):
            if process.stdin is not None:
                process.stdin.close()  # it ends when there is nothing more to read
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log file."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def serve(make: Callable[[Plan], Any]) -> int:
    """In the process: make what answers, call its methods by name until stdin ends, close it."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    peer = make(from_dict(Plan, json.loads(sys.argv[1])))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        command, arguments = json.loads(line)
        try:
            answer = {"value": getattr(peer, command)(**arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    peer.close()
    rclpy.try_shutdown()
    return 0
