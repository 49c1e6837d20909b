"""Processes of the soak (the node, cameras) and what their logs and /proc say about them."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from test.ros.processes import Domain, Process

NODE = "sartm_ros.segment_node"
SLOW_NODE = "test.soak.slow_node"
CAMERA = "test.soak.camera"
REPLAY = "sartm_ros.replay_node"
THREADS = 1
"""CPU threads of the model: the other cores are for those who send and for those who listen."""
KB = 1024
DEADLY = (
    "Traceback (most recent call last)",
    "terminate called",
    "Aborted",
    "Segmentation fault",
    "Fatal Python error",
)
"""Words that must not be in the log of a node."""
MEMORY = ("VmRSS", "RssAnon", "RssShmem")
"""Lines of /proc/PID/status that are sampled: all resident memory, the process's own, shared memory (DDS)."""


class Child(Process):
    """A process with a name of its own: `folder/name/*.log`. It can be killed and looked at."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], domain: Domain) -> None:
        own = copy.copy(domain)
        own.folder = domain.folder / name
        own.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        super().__init__(module, arguments, own)

    @property
    def pid(self) -> int:
        """Its process id, which stays the same as long as it lives."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait()

    def memory(self) -> dict[str, int] | None:
        """Bytes by the names of `MEMORY`; None once the process has gone."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return None
        found = {name: re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE) for name in MEMORY}
        return {name: int(match[1]) * KB for name, match in found.items() if match} or None

    def troubles(self) -> list[str]:
        """The `DEADLY` words in its log."""
        output = self.output
        return [word for word in DEADLY if word in output]


@contextmanager
def child(name: str, module: str, arguments: Sequence[str], domain: Domain) -> Iterator[Child]:
    """A `Child` until the block ends; ended by Ctrl-C then, and killed if that does not help."""
    process = Child(name, module, arguments, domain)
    try:
        yield process
    finally:
        process.interrupt()


@contextmanager
def camera(stream: str, rate: float, domain: Domain, stamps: Path | None = None) -> Iterator[Child]:
    """One camera, "rgb" or "thermal", of 640x480 at `rate` Hz; appends the stamps it sent to the file `stamps`."""
    arguments = ["--stream", stream, "--rate", str(rate), *(["--stamps", str(stamps)] if stamps else [])]
    with child(stream, CAMERA, arguments, domain) as process:
        yield process


def node_arguments(**parameters: object) -> list[str]:
    """`--ros-args -p name:=value ...`; `__` in a keyword is a dot in the parameter's name."""
    pairs = [f"{name.replace('__', '.')}:={_text(value)}" for name, value in parameters.items()]
    return ["--ros-args", *(part for pair in pairs for part in ("-p", pair))]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def isolate(folder: Path) -> Domain:
    """A ROS domain of our own on this machine only, with the shipped Fast DDS profile."""
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    folder.mkdir(parents=True, exist_ok=True)
    return Domain(folder)
