"""What a CameraInfo says of the pictures beside it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sartm_ros.companions.camera_info import camera, image_size, resized


def info(width: int = 640, height: int = 480, binning: int = 0, roi: tuple[int, int, int, int] = (0, 0, 0, 0)):
    x, y, w, h = roi
    return SimpleNamespace(
        width=width, height=height, distortion_model="plumb_bob", d=[0.1, 0.0, 0.0, 0.0, 0.0],
        k=[500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0], r=list(np.eye(3).ravel()),
        p=[480.0, 0.0, 318.0, -24.0, 0.0, 490.0, 239.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        binning_x=binning, binning_y=binning, roi=SimpleNamespace(x_offset=x, y_offset=y, width=w, height=h),
    )  # fmt: skip


def test_plain():
    found = camera(info(), rectified=False)
    assert (found.size, found.focal, found.centre) == ((640, 480), (500.0, 510.0), (320.0, 240.0))
    assert found.distortion[0] == 0.1


def test_rectified_pictures_are_seen_through_p():
    found = camera(info(), rectified=True)
    assert (found.focal, found.centre, found.distortion) == ((480.0, 490.0), (318.0, 239.0), ())


def test_a_region_that_is_binned():
    """As image_geometry has it: offset off, then divided."""
    one = info(binning=2, roi=(100, 40, 400, 300))
    assert image_size(one) == (200, 150)
    found = camera(one, rectified=False)
    assert (found.size, found.focal, found.centre) == ((200, 150), (250.0, 255.0), (110.0, 100.0))


@pytest.mark.parametrize("one", [info(), info(binning=2, roi=(100, 40, 400, 300))])
def test_resized_is_what_the_camera_is_resized(one):
    size = tuple(side // 5 for side in image_size(one))
    message = resized(one, info(1, 1), size)
    message.binning_x, message.roi = 0, info().roi
    message.binning_y = 0
    for rectified in (False, True):
        expected, found = camera(one, rectified).resized(size), camera(message, rectified)
        assert found.size == expected.size == size
        assert np.allclose((*found.focal, *found.centre), (*expected.focal, *expected.centre))
    x, _ = (max(1, n) for n in (one.binning_x, one.binning_y))
    assert message.p[3] == pytest.approx(-24.0 / x / 5)
