"""The pairs of a recording as a source of replayed frames, without ROS."""

from __future__ import annotations

import numpy as np
import pytest

from sartm_ros.bags.reading import BagError
from sartm_ros.bags.replay import bag_pairs, pair_rate
from sartm_ros.bags.values import DEFAULTS
from test.ros.bag_files import RGB, Frame, drive, record, scene

pytestmark = pytest.mark.alone


def test_pairs_in_their_order_as_recorded(tmp_path):
    bag = record(tmp_path / "drive", drive(4))
    pairs = list(bag_pairs(bag, DEFAULTS))
    assert [pair.name for pair in pairs] == [f"1700000000.{k}00" for k in range(4)]
    for index, pair in enumerate(pairs):
        rgb, thermal = scene(index)
        assert np.array_equal(pair.rgb, rgb) and np.array_equal(pair.thermal, thermal) and pair.label is None
    assert len(list(bag_pairs(bag, DEFAULTS, count=3))) == 3
    assert next(bag_pairs(bag, DEFAULTS, encoding="mono8")).thermal.dtype == np.uint8
    assert pair_rate(bag) == pytest.approx(10, rel=0.05)


def test_the_rate_is_that_of_the_camera_not_of_the_converter(tmp_path):
    frames = [Frame(f.topic, f.stamp_s, k / 1000, f.content) for k, f in enumerate(drive(4))]
    assert pair_rate(record(tmp_path / "drive", frames)) == pytest.approx(10)
    still = [Frame(f.topic, 0.0, f.logged_s, f.content) for f in drive(4)]
    assert pair_rate(record(tmp_path / "still", still)) == pytest.approx(10)


def test_a_broken_frame_is_passed_over(tmp_path, caplog):
    frames = drive(3, compressed=True)
    frames[2] = Frame(RGB, frames[2].stamp_s, frames[2].logged_s, frames[2].content[:-200])
    bag = record(tmp_path / "drive", frames)
    assert [pair.name[-4:] for pair in bag_pairs(bag, DEFAULTS)] == [".000", ".200"]
    assert "/cam/color/image_raw: compressed image" in caplog.text


def test_no_pairs_and_no_rate_are_told(tmp_path):
    bag = record(tmp_path / "drive", drive(1, skew_s=0.2))
    with pytest.raises(BagError, match="no pairs within 50 ms"):
        list(bag_pairs(bag, DEFAULTS))
    with pytest.raises(BagError, match="1 frames in .* have no rate; give --rate"):
        pair_rate(bag)
