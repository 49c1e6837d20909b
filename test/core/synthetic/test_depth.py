"""Scenes with depth, and a thermal camera that stands beside the colour camera."""

from __future__ import annotations

import numpy as np
import pytest

from sartm_core.preprocess.parallax import DepthRegistration
from sartm_core.synthetic import SceneConfig, render_scene

SIZE = {"height": 120, "width": 160, "thermal_noise": 0.0}
BASELINE = 0.3


def test_depth_is_that_of_the_ground_and_nan_in_the_sky():
    scene = render_scene(3, SceneConfig(**SIZE), "day")
    assert scene.depth.shape == scene.label.shape and scene.depth.dtype == np.float32
    row = scene.depth[-1]
    height = row * (119 - scene.camera.centre[1]) / scene.camera.focal[1]  # of the camera above the ground
    assert np.nanmax(height) == pytest.approx(np.nanmedian(height), rel=0.05) and 0.5 < np.nanmedian(height) < 3
    assert np.isnan(scene.depth[0]).any() and np.nanmin(scene.depth) > 0


def test_a_thermal_camera_beside_shows_parallax_that_depth_explains():
    beside = render_scene(3, SceneConfig(**SIZE, baseline=BASELINE), "day")
    same = render_scene(3, SceneConfig(**SIZE), "day")
    assert np.array_equal(beside.rgb, same.rgb) and np.array_equal(beside.label, same.label)
    matrix = np.eye(4)
    matrix[0, 3] = -BASELINE
    view = DepthRegistration(beside.camera, beside.camera, tuple(matrix.ravel())).at(beside.depth)
    places = view.thermal_pixels((120, 160), (120, 160))
    seen = places >= 0
    moved = np.abs(beside.kelvin.ravel()[places[seen]] - same.kelvin[seen])
    unmoved = np.abs(beside.kelvin - same.kelvin)[seen]
    assert seen.mean() > 0.5 and moved.mean() < 0.5 * unmoved.mean()
