"""The lens models of CameraInfo, there and back."""

from __future__ import annotations

import numpy as np
import pytest

from sartm_core.preprocess.camera import Camera

K = (320.0, 0, 158.0, 0, 318.0, 121.0, 0, 0, 1)
PLUMB_BOB = (-0.31, 0.12, 0.001, -0.002, -0.02)
RATIONAL = (0.4, -0.2, 0.0005, -0.0003, 0.02, 0.7, -0.1, 0.01)


def written_out(x: float, y: float, d: tuple[float, ...]) -> tuple[float, float]:
    """The documented formula for one point, in the order of `CameraInfo.d`."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*d, *[0.0] * (8 - len(d)))
    r = np.hypot(x, y)
    ratio = (1 + k1 * r**2 + k2 * r**4 + k3 * r**6) / (1 + k4 * r**2 + k5 * r**4 + k6 * r**6)
    return (
        x * ratio + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2),
        y * ratio + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y,
    )


@pytest.mark.parametrize(
    ("model", "d"), [("plumb_bob", PLUMB_BOB), ("plumb_bob", PLUMB_BOB[:4]), ("rational_polynomial", RATIONAL)]
)
def test_points_fall_where_the_formula_says_and_come_back(model: str, d: tuple[float, ...]) -> None:
    camera = Camera.of(320, 240, K, d, model)
    for x, y in [(0.0, 0.0), (0.3, -0.2), (-0.4, 0.35)]:
        u, v = written_out(x, y, d)
        np.testing.assert_allclose(camera.pixels(x, y), (320 * u + 158, 318 * v + 121), rtol=1e-12)
    x, y = camera.rays()
    assert x.shape == (240, 320) and np.isfinite(x).all()
    u, v = camera.pixels(x.astype(np.float64), y.astype(np.float64))
    across, down = np.meshgrid(np.arange(320), np.arange(240))
    np.testing.assert_allclose(u, across, atol=1e-3)
    np.testing.assert_allclose(v, down, atol=1e-3)


def test_without_distortion_it_is_a_pinhole() -> None:
    camera = Camera.of(320, 240, K, (0.0,) * 5, "plumb_bob")
    x, y = camera.rays()
    assert camera.distortion == () and camera.widest() == np.inf
    assert x[7, 158] == 0 and y[121, 3] == 0 and x[0, 159] == np.float32(1 / 320)


def test_a_lens_model_is_not_believed_where_it_folds_back() -> None:
    camera = Camera.of(320, 240, K, (-0.31, 0.0, 0.0, 0.0), "plumb_bob")
    assert camera.widest() == pytest.approx(1 / np.sqrt(3 * 0.31), abs=2e-3)  # where r - 0.31 r^3 stops growing
    x, _ = Camera.of(2000, 240, (320, 0, 1000, 0, 318, 121, 0, 0, 1), (-0.31, 0.0, 0.0, 0.0), "plumb_bob").rays()
    assert np.isnan(x[121, 0]) and np.isfinite(x[121, 1000 - 200])


def test_resized_pictures_show_the_same_rays() -> None:
    camera = Camera.of(320, 240, K, PLUMB_BOB, "plumb_bob")
    small = camera.resized((160, 120))
    u, v = camera.pixels(0.2, 0.1)
    np.testing.assert_allclose(small.pixels(0.2, 0.1), ((u + 0.5) / 2 - 0.5, (v + 0.5) / 2 - 0.5))
    assert camera.resized((320, 240)) is camera


def test_cropped_pictures_show_the_same_rays() -> None:
    camera = Camera.of(320, 240, K, PLUMB_BOB, "plumb_bob")
    u, v = camera.pixels(0.2, 0.1)
    cut = camera.cropped(top=3, bottom=10, left=5)
    assert cut.size == (315, 227)
    np.testing.assert_allclose(cut.pixels(0.2, 0.1), (u - 5, v - 3))


def test_pictures_of_another_shape_are_refused() -> None:
    camera = Camera.of(320, 240, K)
    for width, height in ((320, 240), (640, 480), (80, 60), (107, 80)):  # the last one rounded
        camera.check_shape("rgb", width, height)
    with pytest.raises(ValueError, match="rgb: got 320x180, its camera's calibration is of 320x240"):
        camera.check_shape("rgb", 320, 180)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((320, 240, (1.0, *[0.0] * 7, 1.0)), "not calibrated"),  # CameraInfo of a camera that was never calibrated
        ((320, 240, K[:6]), "k of 6 numbers"),
        ((320, 240, (320.0, 1.0, *K[2:])), "k "),
        ((320, 240, K, (0.1,) * 4, "equidistant"), "equidistant"),
        ((320, 240, K, (0.1,) * 3, "plumb_bob"), "3 numbers"),
        ((320, 240, K, (*RATIONAL, 0.1, 0, 0, 0), "rational_polynomial"), "after the eighth"),
        ((320, 240, (float("nan"), *K[1:])), "finite"),
    ],
)
def test_what_cannot_be_used_is_named(arguments: tuple, text: str) -> None:
    with pytest.raises(ValueError, match=f"camera: .*{text}"):
        Camera.of(*arguments)
