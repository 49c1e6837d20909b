"""Short versions of the soak (docs/reliability.md), over real DDS: real processes, the real default weights.

Growth of memory is not judged here: in a few seconds it is noise. What waits in the queues is. Time limits are wider
than the soak's, which runs on a machine of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from test.soak import faults, fuzz, slow, startstop

pytestmark = pytest.mark.alone

SMALL = "96x128"
"""Input of the model: its masks are not looked at."""
REACHED = 0.8
"""A busy machine loses best-effort messages; that all of them are answered for is the soak's to show."""


def test_a_slow_model_gives_fresh_masks_and_nothing_piles_up(tmp_path: Path) -> None:
    """A mask behind a queue would be whole inferences older."""
    load = slow.Load(seconds=4, warmup=0, rgb_hz=20, thermal_hz=6, periods=5, judge_memory=False, input_size=SMALL)
    assert slow.run(tmp_path, load).violated == []


def test_good_pairs_are_answered_between_hostile_messages(tmp_path: Path) -> None:
    """Compressed on rgb, raw on thermal: both kinds at one node."""
    assert fuzz.run(tmp_path, fuzz.Barrage(400, "mixed", large=0, input_size=SMALL, reached=REACHED)).violated == []


def test_killed_cameras_and_bad_weights_are_told_and_survived(tmp_path: Path) -> None:
    reloads = ("good", "corrupt numbers")
    plan = faults.Plan(1, ("thermal",), reloads, in_time=5.0, settle=0.0, input_size=SMALL)
    assert faults.run(tmp_path, plan).violated == []


def test_exit_codes(tmp_path: Path) -> None:
    names = ("ctrl-c while loading", "missing weights")
    assert startstop.run(tmp_path, rounds=1, names=names).violated == []
