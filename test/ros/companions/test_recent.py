"""Messages found again by their stamps, and TF's transforms as matrices."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from sartm_ros.companions.extrinsic import Tf, matrix_of
from sartm_ros.companions.missing import Missing
from sartm_ros.companions.recent import KEPT, Recent
from test.ros.fake_segmenter import DEADLINE_S


def message(stamp_ns: int):
    stamp = SimpleNamespace(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp))


def test_the_nearest_is_found_on_either_side():
    recent = Recent()
    assert recent.nearest(5) is None and recent.latest() is None
    first, second = message(10**9), message(10**9 + 100)
    recent.put(first)
    recent.put(second)
    assert recent.nearest(10**9 + 40) == (-40, first) and recent.nearest(10**9 + 60) == (40, second)
    assert recent.latest() is second


def test_stamps_that_go_back_begin_anew_and_old_ones_are_forgotten():
    recent = Recent()
    for stamp in range(KEPT + 5):
        recent.put(message(stamp))
    assert recent.nearest(0)[0] == 5
    recent.put(message(3))
    assert recent.nearest(100)[0] == -97


def test_one_that_is_due_is_waited_for():
    recent = Recent()
    for stamp in (0, 100, 200):
        recent.put(message(stamp))
    found = []
    waiting = threading.Thread(target=lambda: found.append(recent.nearest(305, DEADLINE_S)))
    waiting.start()
    late = message(300)
    recent.put(late)
    waiting.join()
    assert found == [(-5, late)]


@pytest.mark.parametrize(
    ("stamps", "stamp", "due"),
    [
        ((), 10, False),
        ((0, 100), 100, False),
        ((0, 100), 205, True),
        ((0, 100), 120, False),  # the next one is farther from it than the last
        ((0, 100), 600, False),  # the topic is dead
        ((0, 100), 350, True),  # one was lost
    ],
)
def test_what_is_due(stamps, stamp, due):
    recent = Recent()
    for one in stamps:
        recent.put(message(one))
    assert recent._due(stamp) is due


def test_a_transform_is_a_matrix():
    """A quarter turn about z takes x to y."""
    half = np.sqrt(0.5)
    rotation = SimpleNamespace(x=0.0, y=0.0, z=half, w=half)
    matrix = np.reshape(matrix_of(SimpleNamespace(x=1.0, y=2.0, z=3.0), rotation), (4, 4))
    assert np.allclose(matrix @ [1, 0, 0, 1], [1, 3, 3, 1])


def test_frames_without_a_name_cannot_be_looked_up():
    tf = Tf(None)
    tf._buffer = object()
    with pytest.raises(Missing, match="frame_id of rgb is 'a', of thermal ''"):
        tf.matrix("", "a")
