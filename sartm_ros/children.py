"""Processes that a command starts: the segment node, on this machine only, in a ROS domain of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sartm_ros.frames import transport

STOP_SECONDS = 10.0
DOMAINS = range(61, 101)
"""The upper ones that every system has; robots take the lower ones."""


def isolate() -> None:
    """A ROS domain of our own on this machine only, so that we meet no robot; the shipped Fast DDS profile."""
    os.environ["ROS_DOMAIN_ID"] = str(DOMAINS[os.getpid() % len(DOMAINS)])
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    transport.use_shipped_profile()


@contextmanager
def node_process(module: str, parameters: Mapping[str, Any], log: Path) -> Iterator[subprocess.Popen]:
    """A segment node as `python -m module`, what it prints in `log`; stopped like Ctrl-C does on leaving.

    parameters: by name, over those of config/segment.yaml.
    """
    file = transport.shipped("segment.yaml")
    command = [sys.executable, "-m", module, "--ros-args"]
    command += ["--params-file", str(file)] if file else []
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    with log.open("wb") as out:
        # Its own session: Ctrl-C in the terminal reaches the command alone, which then stops the node in order.
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            yield process
        finally:
            stop(process)


def stop(process: subprocess.Popen) -> None:
    """Ask a process to end as Ctrl-C does; after `STOP_SECONDS` kill it."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
