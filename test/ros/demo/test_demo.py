"""Parts of the demo that need no node; whole runs are in test_end_to_end.py."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Picture

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from sartm_ros.demo import __main__ as demo
from sartm_ros.demo import player as demo_player
from test.ros.processes import Domain

pytestmark = pytest.mark.alone

ALIVE = SimpleNamespace(poll=lambda: None)


def waiting_player(monkeypatch: pytest.MonkeyPatch, connected: bool) -> demo_player.Player:
    monkeypatch.setattr(demo_player, "START_DEADLINE_SECONDS", 0.2)
    monkeypatch.setattr(demo_player, "POLL_SECONDS", 0.01)
    player = demo_player.Player(ALIVE)
    player.cameras = SimpleNamespace(connected=lambda: connected)
    return player


def test_many_frames_are_not_all_rendered_before_the_start() -> None:
    options = argparse.Namespace(data=None, frames=1000, seed=0)
    with demo.open_source(options) as pairs:
        assert pairs.depth == demo.READ_AHEAD < 1000
    assert demo.DEFAULT_FRAMES < demo.READ_AHEAD


def test_the_start_deadline_counts_from_the_last_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    player = waiting_player(monkeypatch, connected=True)
    begin = time.monotonic()
    player.wait_until(lambda: time.monotonic() - begin > 0.6, lambda: round((time.monotonic() - begin) * 20))


@pytest.mark.parametrize(
    ("connected", "message"), [(True, "no pair was ready after the first 7"), (False, "does not listen")]
)
def test_a_start_without_progress_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, connected: bool, message: str
) -> None:
    with pytest.raises(demo_player.DemoError, match=message):
        waiting_player(monkeypatch, connected).wait_until(lambda: False, lambda: 7)


def test_the_command_that_shows_the_frames(tmp_path: Path) -> None:
    assert demo.view_command(None).endswith("sartm view --synthetic")
    assert demo.view_command(tmp_path / "my data").endswith(f"sartm view '{tmp_path}/my data'")


def test_only_the_demos_own_overlays_are_deleted(tmp_path: Path) -> None:
    for name in ("00000.png", "00119.png", "100000.png", "mine.png", "0001.png", "00001.txt"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    demo.clear_overlays(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.png", "0001.png", "00001.txt", "sub"}
    demo.clear_overlays(tmp_path / "new" / "overlays")
    assert (tmp_path / "new" / "overlays").is_dir()


def test_a_16_bit_label_ends_the_demo_with_the_reason(domain: Domain, tmp_path: Path) -> None:
    data = tmp_path / "data"
    images = {"rgb": np.zeros((32, 32, 3), np.uint8), "thermal": np.zeros((32, 32), np.uint8)}
    for kind, image in {**images, "labels": np.full((32, 32), 300, np.uint16)}.items():
        (data / kind).mkdir(parents=True)
        Picture.fromarray(image).save(data / kind / "1.png")
    with domain.process("sartm_ros.demo", arguments=("--data", str(data), "--output", str(tmp_path / "out"))) as run:
        assert run.wait() == 1
    assert "demo failed: " in run.output and "labels/1.png" in run.output and "Traceback" not in run.output
