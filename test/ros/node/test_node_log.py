"""The node's log is right: no alarm without evidence, each thing once, numbers that were measured, tools that exist."""

from __future__ import annotations

import ast
import logging
import re
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from sensor_msgs.msg import Image

from sartm_core.preprocess.shapes import warn_of_shape
from sartm_core.support.text import plain
from sartm_ros import installed
from sartm_ros.frames.transport import DEFAULT_SEGMENT_BYTES, USER_VARIABLES
from sartm_ros.health import pace, rest
from sartm_ros.node.plain_log import forwarding
from test.ros.processes import ROOT
from test.ros.rig import RELIABLE

pytestmark = pytest.mark.alone

LARGE = (480, 640, 3)
ROOMS = ("node", "health", "inference", "pairing", "frames")
FOREIGN_TOOLS = re.compile(r"\bros2 \w|nvidia-smi|dmesg|apt install|\brqt|\bcolcon")
"""What need not be there where the node runs."""


def test_no_fast_dds_alarm_while_the_source_is_silent_or_has_finished(rig):
    """It came whenever large images stopped, and before the first one of a camera that takes its time."""
    r = rig()
    assert np.prod(LARGE) > DEFAULT_SEGMENT_BYTES
    r.rgb = lambda skew_ns=0: r.image(np.zeros(LARGE, np.uint8), "rgb8", "rgb_optical", r.clock_ns)
    r.ready()
    r.until(lambda: r.logs.having("warning", "no message arrives"), "silent from the start")
    r.masks_after(2)
    r.until(lambda: r.logs.having("warning", "present but stopped sending"), "silent")
    for stream in ("rgb", "thermal"):
        r.unplug(stream)
    r.until(lambda: r.logs.having("warning", "its publisher has gone"), "finished")
    assert not any(r.logs.having(word) for word in ("Fast DDS", *USER_VARIABLES))


def test_that_the_model_rests_is_said_once_and_once_that_it_works_again(rig):
    r = rig()
    r.ready()
    r.masks_after(1)
    for times in (1, 2):
        r.peer.destroy_subscription(next(s for s in r.peer.subscriptions if s.topic_name == "/sartm/semantic_mask"))
        r.stream_until(lambda times=times: len(r.logs.having(rest.RESTS)) == times, "the rest")
        asked, reports = len(r.fake.calls), len(r.diagnostics)
        r.stream_until(lambda reports=reports: len(r.diagnostics) >= reports + 3, "three more reports")
        assert len(r.fake.calls) == asked and len(r.logs.having(rest.RESTS)) == times
        r.peer.create_subscription(Image, "/sartm/semantic_mask", r.masks.append, RELIABLE)
        r.masks_after(1)
        r.stream_until(lambda times=times: len(r.logs.having(rest.WAKES)) == times, "that it works again")


def test_the_speed_in_the_log_is_that_of_the_first_masks(rig):
    """A rate guessed from one pass while loading was said: 0.7 to 3.9 a second where 2.3 came."""
    r = rig()
    assert not r.logs.having("a second")
    r.ready()
    r.masks_after(pace.TOLD_AFTER)
    r.stream_until(lambda: r.logs.having("info", "measured over the first"), "the speed")
    (said,) = r.logs.having("measured over the first")
    number, rate = re.search(r"the first (\d+) masks: ([\d.]+) a second", said).groups()
    assert int(number) >= pace.TOLD_AFTER and 0 < float(rate) <= 40, "20 pairs a second were sent, or fewer"
    assert "rgb 64x48 bgr8, thermal 30x20 16UC1" in said
    reports = len(r.diagnostics)
    r.stream_until(lambda: len(r.diagnostics) >= reports + 2, "more reports")
    assert len(r.logs.having("measured over the first")) == 1


def test_the_speed_is_the_median_of_the_model_and_the_rate_of_the_masks():
    own = pace.Pace()
    own.activate(100.0)
    masks = [99.0] + [100.0 + k / 2 for k in range(pace.TOLD_AFTER)]
    assert own.first(masks[:-1], [0.4] * 10, "") == ""
    said = own.first(masks, [9.0, 20.0] + [0.4] * 9, "rgb 640x480 rgb8")
    assert said == "measured over the first 10 masks: 2.0 a second, 400 ms in the model, rgb 640x480 rgb8"
    assert own.first(masks, [0.4] * 11, "") == "", "once"


def texts(path):
    """Strings in a file's code, parts of f-strings included; no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    constants = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [n.value for n in constants if id(n) not in alone]


def test_what_the_node_says_names_no_tool_that_may_be_missing():
    package = ROOT / "sartm_ros"
    files = [path for room in ROOMS for path in (package / room).glob("*.py")] + list(package.glob("[crs]*.py"))
    found = [f"{path.name}: {text}" for path in files for text in texts(path) if FOREIGN_TOOLS.search(text)]
    assert len(files) > 40 and found == []


@pytest.mark.parametrize(
    ("distro", "apt", "said"),
    [
        ("jazzy", "/usr/bin/apt", "apt install ros-jazzy-cv-bridge"),
        ("jazzy", None, "with a distro of ROS 2"),
        ("", "/usr/bin/apt", "with a distro of ROS 2"),
    ],
)
def test_a_package_of_a_distro_is_advised_where_there_is_one(monkeypatch, distro, apt, said):
    monkeypatch.setenv("ROS_DISTRO", distro)
    monkeypatch.setattr(installed, "which", lambda name: apt)
    assert said in installed.distro_package("cv_bridge")


def test_what_code_without_ros_warns_of_is_in_the_nodes_log() -> None:
    """Regression: a registration of another aspect was one bare line on stderr."""
    said: list[str] = []
    ros = SimpleNamespace(warning=lambda text: said.append(f"W {text}"), error=lambda text: said.append(f"E {text}"))
    with forwarding(ros):
        warn_of_shape.cache_clear()
        warn_of_shape("thermal", (160, 118), (160, 120))
        logging.getLogger("sartm_core.runtime").info("not this")
        logging.getLogger("sartm_ros.pairing").error("one\nline %s", "\x1b[31m")
    logging.getLogger("sartm_core").warning("nor this")
    assert said[0].startswith("W registration: thermal frames are 160x118")
    assert said[1:] == ["E " + plain("one\nline \x1b[31m")] and "\n" not in said[1]
