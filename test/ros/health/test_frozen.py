"""Cameras that send the same picture again and again. Exact clocks, no waiting, no ROS."""

from __future__ import annotations

import pytest

from sartm_ros.health.health import FROZEN, SILENT, Limits
from sartm_ros.health.vitals import Vitals
from sartm_ros.pairing.nearest import OTHER, RGB, STREAMS, THERMAL
from test.ros.play import NOTHING, Play, frames, repeated

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("stuck", STREAMS)
def test_a_frozen_camera_counts_as_lost_until_its_picture_moves(stuck):
    steady = frames(30, (0, 6))
    frozen = frames(30, (0, 2)) + frames(30, (2, 4), picture="still") + frames(30, (4, 6))
    play = Play(*((frozen, steady) if stuck == RGB else (steady, frozen)))
    assert play.modes == ["both", OTHER[stuck], "both"]
    assert play.flips[1][2] == {stuck: FROZEN, OTHER[stuck]: ""}
    assert play.flips[1][0] == pytest.approx(2.5, abs=0.1)
    assert play.flips[2][0] == pytest.approx(4.5, abs=0.1)


def test_a_camera_that_freezes_again_and_again_does_not_flap_the_state():
    bursts = [
        f
        for k in range(8)
        for f in frames(30, (1.5 * k, 1.5 * k + 0.3)) + frames(30, (1.5 * k + 0.3, 1.5 * k + 1.5), picture=("still", k))
    ]
    assert Play(frames(30, (0, 12)), bursts).modes == ["both", "rgb"]


def test_a_camera_that_comes_back_frozen_does_not_count_as_back():
    back = frames(30, (0, 2)) + frames(30, (4, 6), picture="still")
    play = Play(frames(30, (0, 6)), back, Limits(1.0, 0.5, 1.0))
    assert play.modes == ["both", "rgb"]
    assert [faults[THERMAL] for *_, faults in play.flips] == ["", SILENT, FROZEN]


def test_a_still_scene_of_a_simulation_is_no_fault():
    still = frames(30, (0, 2)) + frames(30, (2, 6), picture="still") + frames(30, (6, 8))
    assert len(Play(still, still).flips) == 1
    late = frames(30, (0, 2)) + frames(30, (2, 6.2), picture="still") + frames(30, (6.2, 8))
    assert len(Play(still, late).flips) == 1, "the scene moves again, for one camera a little earlier"


def test_a_camera_that_comes_back_to_a_still_scene_is_used_again():
    """It never was: the very first picture of the other camera counted as a change that this one had missed."""
    still = frames(30, (0, 8), picture="still")
    gone = [f for f in still if not 2 <= f[0] < 4]
    for rgb, thermal in ((still, gone), (gone, still), (still[1:], gone), (gone, still[1:])):
        play = Play(rgb, thermal)
        assert play.modes in (["both", "rgb", "both"], ["both", "thermal", "both"])
        assert play.flips[-1][0] == pytest.approx(4.5, abs=0.1)
    moves = frames(30, (0, 4.2)) + frames(30, (4.2, 8), picture="still")
    assert Play(moves, gone).flips[-1][0] <= 5.5, "the doubt ends when the other one's picture stands too"


def test_another_camera_that_moves_now_and_then_proves_nothing():
    rare = frames(30, (0, 2)) + [(2 + k / 30, k // 60) for k in range(240)]
    assert Play(rare, frames(30, (0, 2)) + frames(30, (2, 10), picture="still")).modes == ["both"]


@pytest.mark.parametrize(("rate", "of"), [(30, 9), (30, 1), (60, 9)])
def test_a_driver_that_repeats_each_picture_is_not_frozen(rate, of):
    play = Play(frames(30, (0, 8)), repeated(rate, of, 8))
    assert play.flips[-1][1] == "both" and play.flips[-1][0] <= 3 / of, "once its rhythm is known"
    assert len(play.flips) == 1 or of == 1


def test_frozen_needs_time_and_frames_and_can_be_off():
    slow = frames(30, (0, 4)), frames(2, (0, 1)) + frames(2, (1, 2), picture="still") + frames(2, (2, 4))
    assert len(Play(*slow).flips) == 1, "two equal frames of a slow camera"
    stuck = frames(30, (0, 4)), frames(30, (0, 4), picture="still")
    assert len(Play(*stuck, Limits(1.0, 0.5, 0.0)).flips) == 1
    assert Play(*stuck, Limits(1.0, 0.5, 2.0)).at("rgb") == pytest.approx(2.0, abs=0.1)


def test_frames_without_a_fingerprint_always_differ():
    seen = Vitals()
    assert seen.saw(0.0, 0, "") and seen.saw(0.1, 0, "") and seen.same_frames == 1 and not seen.changes
    assert seen.saw(0.2, 0, "", 5) and not seen.saw(0.3, 0, "", 5) and seen.same_frames == 2


def test_frozen_and_then_unplugged_is_silent():
    play = Play(frames(30, (0, 8)), frames(30, (0, 2)) + frames(30, (2, 4), picture="still"))
    assert [faults[THERMAL] for *_, faults in play.flips] == ["", FROZEN, SILENT]


def test_pictures_that_show_nothing_are_no_proof_that_the_other_camera_is_frozen():
    """An rgb camera in the dark gives uniform pictures; they counted as changes beside a still thermal scene."""
    still = frames(30, (0, 6), picture="still")
    assert Play(frames(30, (0, 6), picture=NOTHING), still).modes == ["both"]
    goes_dark = frames(30, (0, 2)) + frames(30, (2, 6), picture=NOTHING)
    assert Play(goes_dark, frames(30, (0, 2)) + frames(30, (2, 6), picture="still")).modes == ["both"]
    assert Play(still, frames(30, (0, 6), picture=NOTHING)).modes == ["both"]
    flickers = [(t, NOTHING if k % 2 else p) for k, (t, p) in enumerate(frames(30, (0, 6)))]
    assert Play(flickers, still).modes == ["both", "rgb"], "every other picture shows that it moves"
    back = frames(30, (0, 2), (4, 6), picture=NOTHING)
    assert Play(still, back).flips[-1][:2] == (pytest.approx(4.5, abs=0.1), "both")
