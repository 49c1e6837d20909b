"""What a standstill made old: dropped for something newer, kept without."""

from __future__ import annotations

from sartm_ros.health.leftover import Leftover
from sartm_ros.inference.jobs import Job

FRAME = object()


def job(received, rgb=FRAME, thermal=FRAME):
    return Job(rgb, thermal, received)


def test_the_newest_is_kept_and_the_others_are_counted():
    leftover = Leftover()
    for received in (1.0, 3.0, 2.0):
        leftover.keep(job(received))
    assert leftover.take().received == 3.0 and leftover.take() is None
    assert leftover.dropped == {"rgb": 2, "thermal": 2}


def test_something_newer_that_goes_to_the_model_drops_it_whichever_is_told_first():
    for keep_first in (True, False):
        leftover, old = Leftover(), job(1.0, thermal=None)
        steps = [lambda: leftover.keep(old), lambda: leftover.newer(2.0)]  # noqa: B023
        for step in steps if keep_first else reversed(steps):
            step()
        assert leftover.take() is None and leftover.superseded(old)
        assert leftover.dropped == {"rgb": 1, "thermal": 0}


def test_something_older_that_went_before_does_not():
    leftover = Leftover()
    leftover.newer(1.0)
    leftover.keep(job(2.0))
    assert leftover.take().received == 2.0
    assert leftover.dropped == {"rgb": 0, "thermal": 0}
