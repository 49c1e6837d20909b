"""For tests over real DDS: nodes as processes in a ROS domain of their own, and a node that listens."""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions

from sartm_ros.frames.transport import use_shipped_profile
from test.patience import patience

ROOT = Path(__file__).resolve().parents[2]
DOMAINS_EACH, BLOCKS = 5, 12
"""Domains 1 to 60; those above are of the commands that isolate themselves (`sartm_ros.children`)."""


def _reserve_domains() -> Iterator[int]:
    """ROS domains no other test run on this machine uses, one after the other; a file lock holds `DOMAINS_EACH`."""
    for block in range(BLOCKS):
        lock = open(Path(tempfile.gettempdir()) / f"sartm-test-domains-{block}.lock", "w")  # noqa: SIM115 - held for life
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another run has it
            lock.close()
            continue
        _locks.append(lock)
        return itertools.cycle(range(1 + block * DOMAINS_EACH, 1 + (block + 1) * DOMAINS_EACH))
    raise RuntimeError(f"{BLOCKS} test runs use all ROS domains of this machine; wait for one to end")


_locks: list[IO[str]] = []
_domains = _reserve_domains()


def new_domain() -> int:
    """The ROS domain of the next test."""
    return next(_domains)


class Domain:
    """A fresh ROS domain with the shipped Fast DDS profile, for this process and those it starts."""

    def __init__(self, folder: Path) -> None:
        os.environ["ROS_LOG_DIR"] = str(folder)
        use_shipped_profile()
        self.id = new_domain()
        self.folder = folder

    @contextmanager
    def process(self, module: str, *ros_args: str, arguments: Sequence[str] = ()) -> Iterator[Process]:
        """`python -m module ... --ros-args ...` until the block ends; interrupted then if it still runs."""
        process = Process(module, [*arguments, *(["--ros-args", *ros_args] if ros_args else [])], self)
        try:
            yield process
        finally:
            process.interrupt()

    @contextmanager
    def listener(self) -> Iterator[Listener]:
        """A node that keeps what it hears, spinning in a thread of its own."""
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=self.id, signal_handler_options=SignalHandlerOptions.NO)
        node = Listener(context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        thread = threading.Thread(target=executor.spin, daemon=True)
        thread.start()
        try:
            yield node
        finally:
            executor.shutdown()
            thread.join()
            node.destroy_node()
            rclpy.shutdown(context=context)


class Process:
    """A node as a process; everything it prints goes to a file."""

    def __init__(self, module: str, arguments: Sequence[str], domain: Domain) -> None:
        self.log = domain.folder / f"{module.rsplit('.', 1)[-1]}.log"
        command = [sys.executable, "-m", module, *arguments]
        environment = os.environ | {"ROS_DOMAIN_ID": str(domain.id)}
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=environment)

    @property
    def output(self) -> str:
        """All it has printed."""
        return self.log.read_text(errors="replace")

    def wait(self, timeout: float = 60.0) -> int:
        """Its exit code, once it has ended by itself."""
        return self._process.wait(timeout * patience())

    def wait_for(self, condition: Callable[[], bool], timeout: float = 60.0) -> None:
        """Return once `condition()` holds, asked ten times a second; AssertionError when the process ends before."""
        for _ in range(round(timeout * patience() * 10)):
            if condition():
                return
            assert self._process.poll() is None, f"ended with {self._process.returncode}: {self.output}"
            time.sleep(0.1)
        raise AssertionError(f"not within {timeout:g} s: {self.output}")

    def interrupt_with(self, sig: signal.Signals) -> None:
        """Send a signal and wait for nothing."""
        self._process.send_signal(sig)

    def interrupt(self, timeout: float = 20.0, sig: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C (or another signal); its exit code. Killed (and TimeoutExpired raised) when it does not end."""
        if self._process.poll() is None:
            self._process.send_signal(sig)
        try:
            return self._process.wait(timeout * patience())
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise


class Listener(Node):
    """Keeps the messages of the topics it was told to hear."""

    def __init__(self, context: rclpy.Context) -> None:
        super().__init__("listener", context=context)
        self._changed = threading.Condition()
        self.heard: dict[str, list[Any]] = {}

    def hear(self, topic: str, kind: type, qos: Any = qos_profile_sensor_data) -> list[Any]:
        """Subscribe; returns the list that fills."""
        messages = self.heard.setdefault(topic, [])

        def keep(message: Any) -> None:
            with self._changed:
                messages.append(message)
                self._changed.notify_all()

        self.create_subscription(kind, topic, keep, qos)
        return messages

    def wait_for(self, condition: Callable[[], bool], timeout: float = 60.0) -> None:
        """Return as soon as a message makes `condition()` true; AssertionError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout * patience()):
                counts = {topic: len(messages) for topic, messages in self.heard.items()}
                raise AssertionError(f"not within {timeout:g} s; heard {counts}")


def stamp_ns(message: Any) -> int:
    """Header stamp in nanoseconds."""
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
