"""Fixtures of the tests over real DDS. They import ROS only when used: most other tests here run without it."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started by a shell's `&`: Ctrl-C is what some tests are about
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"  # no test hears, or is heard on, the network


@pytest.fixture(autouse=True)
def _no_participant_stays() -> Iterator[None]:
    """A test's nodes leave its domain: they are in reference cycles, and each keeps its participant and its name."""
    yield
    for path in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):  # a thread that ended meanwhile
            if path.read_text().startswith("dds."):
                gc.collect()
                return


@pytest.fixture
def domain(tmp_path: Path):
    """A fresh ROS domain to start processes in."""
    from test.ros.processes import Domain

    return Domain(tmp_path)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch):
    """`rig(**settings)` makes a Rig in a fresh ROS domain; all are closed in the end."""
    from test.ros.rig import Rig

    made = []

    def make(**settings) -> Rig:
        made.append(Rig(monkeypatch, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def context():
    """An rclpy context of its own, in a fresh ROS domain, for the nodes of a test file."""
    import rclpy

    from test.ros.processes import new_domain

    made = rclpy.Context()
    rclpy.init(context=made, domain_id=new_domain())
    yield made
    rclpy.shutdown(context=made)
