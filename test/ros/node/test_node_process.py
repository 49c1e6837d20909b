"""The segment node as a process: signals, exit codes, the Fast DDS profile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from sensor_msgs.msg import Image

from sartm_ros import start
from sartm_ros.frames import transport
from test.patience import patience
from test.ros.processes import ROOT

pytestmark = pytest.mark.alone

NODE = "test.ros.fake_segmenter"


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_code_zero_and_no_traceback(domain, sig):
    with domain.process(NODE, "--params-file", "config/segment.yaml", "-r", "__ns:=/robot1/sartm") as node:
        node.wait_for(lambda: "listening to" in node.output, 20)
        assert node.interrupt(10, sig) == 0, node.output
    assert "/robot1/sartm/rgb/image_raw" in node.output
    assert "Traceback" not in node.output and "Error" not in node.output, node.output


def test_a_bad_params_file_ends_it_with_code_one_and_the_reason(domain, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("/**/segment:\n  ros__parameters:\n    sync: {policy: closest}\n")
    with domain.process(NODE, "--params-file", str(bad)) as node:
        assert node.wait(20) == 1
    assert "sync.policy: got 'closest'" in node.output and "Traceback" not in node.output


def test_large_best_effort_images_arrive_through_the_shipped_profile(domain, monkeypatch):
    """640x480 bgr8 between two processes: without the profile nearly none arrive (FACTS 1)."""
    for name in transport.USER_VARIABLES:  # the sender is to find the profile itself
        monkeypatch.setenv(name, "")
    with domain.listener() as listener:
        images = listener.hear("/big", Image)
        with domain.process("test.ros.image_sender") as sender:
            listener.wait_for(lambda: len(images) >= 55, 20)
    assert {len(image.data) for image in images} == {640 * 480 * 3}
    assert "Traceback" not in sender.output, sender.output


def test_a_stale_copy_in_the_venv_does_not_win(monkeypatch, tmp_path):
    """`pip install -e` copies config/ into sys.prefix once; what runs from a checkout reads the checkout."""
    stale = tmp_path / "share" / "sartm_ros" / "config"
    stale.mkdir(parents=True)
    (stale / "segment.yaml").write_text("stale")
    monkeypatch.setattr(transport.sys, "prefix", str(tmp_path))
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    assert transport.shipped("segment.yaml") == ROOT / "config" / "segment.yaml"
    monkeypatch.setattr(
        transport, "__file__", str(tmp_path / "site-packages" / "sartm_ros" / "frames" / "transport.py")
    )
    assert transport.shipped("segment.yaml") == stale / "segment.yaml"
    assert transport.shipped("no such file") is None


def test_the_users_own_profile_wins_under_either_name(monkeypatch):
    for name, other in (transport.USER_VARIABLES, transport.USER_VARIABLES[::-1]):
        monkeypatch.setenv(name, "/somewhere/mine.xml")
        monkeypatch.setenv(other, "")
        assert transport.use_shipped_profile() is None
        assert os.environ[transport.variable()] == "/somewhere/mine.xml"


@pytest.mark.parametrize("name", ["segment", "cameras", "replay", "calibrate"])
def test_ctrl_c_while_importing_is_quiet(monkeypatch, name):
    def interrupted(module):
        raise KeyboardInterrupt

    monkeypatch.setattr(start.importlib, "import_module", interrupted)
    assert getattr(start, name)() == (130 if name == "calibrate" else 0)


def test_two_ctrl_c_in_a_row_end_it_with_code_zero_and_no_traceback(domain):
    with domain.process(NODE) as node:
        node.wait_for(lambda: "listening to" in node.output, 20)
        node._process.send_signal(signal.SIGINT)
        assert node.interrupt(10) == 0, node.output
    assert "Traceback" not in node.output, node.output


@pytest.mark.parametrize(
    ("module", "parts"),
    [
        ("segment_node", ("two camera topics in", "sync.tolerance [0.05]", "Takes effect: live.")),
        ("cameras", ("Several camera pairs", "cameras_file []")),
        ("replay_node", ("Publishes recorded or synthetic", "rate [")),
    ],
)
def test_help_of_a_node_is_text_and_starts_nothing(module, parts):
    """Regression: rclpy knows no --help, so the node started."""
    command = [sys.executable, "-m", f"sartm_ros.{module}", "--help"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60 * patience())
    assert run.returncode == 0 and all(part in run.stdout for part in parts), run.stdout + run.stderr
