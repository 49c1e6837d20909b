"""Masks as consumers take them, over real DDS: exact pixels, stamp, frame, size, encoding."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from sartm_core.scene import run_length
from test.ros.beside import Beside
from test.ros.processes import stamp_ns
from test.ros.rig import H, W

pytestmark = pytest.mark.alone
CAR = (64, 0, 128)
"""Its colour in the stand-in's palette. Its masks are `car` but for the first pixel, class 0."""


def checked(r, message: Image, encoding: str) -> np.ndarray:
    """The bytes of an image that has the stamp of a mask, its frame and size."""
    r.until(lambda: stamp_ns(message) in {stamp_ns(mask) for mask in r.masks}, "the mask of its stamp")
    assert (message.encoding, message.width, message.height) == (encoding, W, H)
    assert message.header.frame_id == "rgb_optical"
    return np.frombuffer(message.data, np.uint8)


def test_color_mask_has_exact_colours(rig):
    r = rig(parameters={"confidence_threshold": 0.6})  # the first pixel becomes 255
    beside = Beside(r)
    heard = beside.hear("color_mask", Image)
    r.ready()
    pixels = checked(r, beside.next(heard), "rgb8").reshape(-1, 3)
    assert tuple(pixels[0]) == (0, 0, 0) and (pixels[1:] == CAR).all()


def test_selected_mask_shows_the_chosen_classes(rig):
    r = rig()
    beside = Beside(r)
    heard = beside.hear("selected_mask", Image)
    r.ready()
    beside.missing("selected_mask: selected_classes is [none]")
    assert not heard
    (answer,) = r.node.set_parameters([Parameter("selected_classes", value=["car"])])
    assert answer.successful
    r.stream_until(lambda: heard and any(heard[-1].data), "another mask")
    pixels = checked(r, heard[-1], "mono8")
    assert pixels[0] == 0 and (pixels[1:] == 255).all()


def test_a_class_that_is_none_is_refused_by_name(rig):
    r = rig()
    r.ready()
    (answer,) = r.node.set_parameters([Parameter("selected_classes", value=["cars"])])
    assert not answer.successful and "did you mean 'car'" in answer.reason
    assert r.node.values["selected_classes"] == ["none"]


def test_remapped_scores_are_those_of_the_published_classes(rig):
    r = rig(parameters={"class_remap": "unlabeled=car"})
    beside = Beside(r)
    heard = beside.hear("scores", Image)
    r.ready()
    message = beside.next(heard)
    assert message.encoding == "32FC1" and np.allclose(np.frombuffer(message.data, np.float32), 1.0)


def test_runs_are_the_mask(rig):
    r = rig()
    beside = Beside(r)
    heard = beside.hear("semantic_mask/run_length", Image)
    r.ready()
    message = beside.next(heard)
    mask = run_length.decode(checked(r, message, "run_length"), message.height, message.width)
    assert mask[0, 0] == 0 and mask.ravel()[1:].all() and len(message.data) == 10
