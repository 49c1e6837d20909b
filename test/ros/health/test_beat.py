"""Whether the process stood still, and which frames have waited for it. Exact clocks."""

from __future__ import annotations

import pytest

from sartm_ros.health.beat import DRAINED_S, STANDSTILL_S, Beat
from sartm_ros.health.vitals import Vitals
from sartm_ros.pairing.nearest import RGB

pytestmark = pytest.mark.alone

AHEAD_S = 1e6
"""Of the stamps' clock."""


def stopped(seconds):
    """A beat that ran from 100 s to 103 s beside a camera of 20 Hz, and went on so much later."""
    beat, seen = Beat(), Vitals()
    for k in range(61):
        now = 100 + k / 20
        assert beat.tick(now, {RGB: seen}) == 0.0
        seen.saw(now, round((now - 0.02 + AHEAD_S) * 1e9), "")
    return beat, seen, now + seconds


def test_a_process_that_runs_does_not_stand_still():
    beat, seen, now = stopped(0.9 * STANDSTILL_S)
    assert not beat.stood_still_since(100.0, now) and beat.tick(now, {RGB: seen}) == 0.0
    assert not beat.stood_still_since(100.0, now) and not beat.late(RGB, 0, now)


def test_it_is_known_before_the_executor_runs_again_and_after():
    beat, seen, now = stopped(5.0)
    assert beat.stood_still_since(102.9, now), "the model's thread may be first"
    assert beat.tick(now, {RGB: seen}) == pytest.approx(5.0)
    assert beat.stood_still_since(102.9, now) and not beat.stood_still_since(now, now + 0.1)


def test_frames_that_waited_are_late_and_new_ones_are_not_whatever_their_clock():
    beat, seen, now = stopped(5.0)
    beat.tick(now, {RGB: seen})
    for age, late in ((5.0, True), (0.2, True), (0.05, False), (0.02, False)):
        assert beat.late(RGB, round((now - age + AHEAD_S) * 1e9), now) == late, age
    assert not beat.late(RGB, 0, now + DRAINED_S + 0.1), "a clock that was set meanwhile"
    assert not beat.late("thermal", 0, now), "a camera that was never heard"
