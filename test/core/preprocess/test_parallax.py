"""Depth registration against geometry written out point by point, and against the best homography."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch

from sartm_core.preprocess.camera import Camera
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.depth import metres
from sartm_core.preprocess.homography import project
from sartm_core.preprocess.parallax import DepthRegistration
from sartm_core.preprocess.prepare import prepare
from sartm_core.preprocess.registration import Registration, sampling_grid
from test.core.preprocess.test_camera import PLUMB_BOB, RATIONAL

RGB = Camera.of(320, 240, (260.0, 0, 158, 0, 261, 121, 0, 0, 1), PLUMB_BOB, "plumb_bob")
THERMAL = Camera.of(320, 256, (300.0, 0, 161, 0, 299, 126, 0, 0, 1), RATIONAL, "rational_polynomial")
BASELINE = 0.15


def extrinsic(angle: float = 0.01) -> np.ndarray:
    """(4, 4) rgb to thermal: the thermal camera stands BASELINE to the right and is turned a little."""
    matrix = np.eye(4)
    matrix[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    matrix[:3, 3] = [-BASELINE, 0.01, 0.0]
    return matrix


def street(width: int = 320, height: int = 240) -> np.ndarray:
    """(height, width) float32 metres: things at 2 to 30 m, side by side."""
    depth = np.full((height, width), 30, np.float32)
    for index, metre in enumerate((2, 14, 3, 25, 5, 8, 2.5, 18)):
        left = index * width // 8
        depth[height // 6 + 4 * index :, left : left + width // 8] = metre
    return depth


def by_hand(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True thermal pixel (H, W, 2) of each rgb pixel and its depth there (H, W), in float64."""
    x, y = RGB.rays().astype(np.float64)
    points = np.stack([x * depth, y * depth, depth.astype(np.float64), np.ones_like(x)], -1) @ extrinsic().T
    u, v = THERMAL.pixels(points[..., 0] / points[..., 2], points[..., 1] / points[..., 2])
    return np.stack([u, v], -1), points[..., 2]


def best_homography(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least squares of all pairs of points (N, 2), by the direct linear transform in -1..1."""
    s, t = source / 160 - 1, target / 160 - 1
    zero, one = np.zeros((len(s), 3)), np.c_[s, np.ones(len(s))]
    rows = np.r_[np.c_[one, zero, -t[:, :1] * one], np.c_[zero, one, -t[:, 1:] * one]]
    matrix = np.linalg.svd(rows.T @ rows)[2][-1].reshape(3, 3)
    scale = np.array([[1 / 160, 0, -1], [0, 1 / 160, -1], [0, 0, 1]])
    return np.linalg.inv(scale) @ matrix @ scale


@lru_cache
def ruler() -> torch.Tensor:
    """(2, 1, h, w): thermal pictures whose values are their own x and y, and 1000 more, so that 0 is outside."""
    x, y = np.meshgrid(np.arange(320), np.arange(256))
    return torch.from_numpy(np.stack([x, y])[:, None]).float() + 1000


def test_it_is_right_where_one_homography_is_off_by_8_pixels() -> None:
    depth = street()
    true, _ = by_hand(depth)
    warped = DepthRegistration(RGB, THERMAL, extrinsic()).at(depth).warp(ruler(), (240, 320), (240, 320))
    found = np.moveaxis(warped[:, 0].numpy(), 0, -1) - 1000  # (H, W, 2)
    seen = found[..., 0] >= 0
    sure = seen & (true >= 0).all(-1) & (true[..., 0] <= 319) & (true[..., 1] <= 255)
    assert sure.mean() > 0.6
    error = np.linalg.norm(found - true, axis=-1)[sure]
    assert error.max() < 0.3  # the picture is sampled at the rgb picture's resolution
    x, y = np.meshgrid(np.arange(320), np.arange(240))
    pixels = np.stack([x, y], -1)[sure].astype(np.float64)
    matrix = best_homography(pixels, true[sure])
    one = np.linalg.norm(project(matrix, pixels) - true[sure], axis=-1)
    assert np.quantile(one, 0.9) > 8
    mapping = Registration(np.linalg.inv(matrix).ravel(), (320, 256), (320, 240))
    by_one = mapping.warp(ruler(), (240, 320), (240, 320))
    by_one = np.moveaxis(by_one[:, 0].numpy(), 0, -1) - 1000
    assert np.quantile(np.linalg.norm(by_one - true, axis=-1)[sure & (by_one[..., 0] >= 0)], 0.9) > 8


def test_what_stands_behind_something_nearer_is_occluded() -> None:
    """A post at 2 m before a wall at 20 m: beside it, a strip as wide as the parallax is not seen."""
    rgb = thermal = Camera.of(320, 240, (300.0, 0, 160, 0, 300, 120, 0, 0, 1))
    depth = np.full((240, 320), 20, np.float32)
    depth[:, 150:170] = 2
    shift = np.eye(4)
    shift[0, 3] = -BASELINE  # points move left in the thermal picture
    view = DepthRegistration(rgb, thermal, shift).at(depth)
    hidden = view.occluded((240, 320), (240, 320))
    parallax = 300 * BASELINE * (1 / 2 - 1 / 20)  # 20.25 px: the post covers the wall that far to its left
    strip = np.zeros(320, bool)
    strip[round(150 - parallax) : 150] = True
    assert np.count_nonzero(hidden != strip) <= 2 * 240  # its edges to one pixel
    warped = view.warp(torch.ones(1, 1, 240, 320), (240, 320), (240, 320))[0, 0].numpy()
    assert (warped[hidden] == 0).all() and (warped[:, 150:170] == 1).all()


def test_a_slanted_surface_hides_nothing_of_itself() -> None:
    """The ground up to the horizon, where each row is far behind the one below it."""
    rgb, thermal = RGB, Camera.of(160, 128, (150.0, 0, 80, 0, 149, 63, 0, 0, 1))
    rows = np.arange(240)[:, None] - 121
    with np.errstate(divide="ignore"):
        depth = np.where(rows > 0, 261 * 0.8 / rows, np.nan) * np.ones((1, 320))
    for camera in (thermal, THERMAL, thermal.resized((640, 512))):
        view = DepthRegistration(rgb, camera, extrinsic()).at(depth.astype(np.float32))
        assert not view.occluded(camera.size[::-1], (240, 320)).any()


def test_the_homography_stands_in_where_depth_is_missing() -> None:
    fallback = Registration((1, 0, 7, 0, 0.95, 3, 0, 0, 1), (320, 256), (320, 240))
    cameras = DepthRegistration(RGB, THERMAL, extrinsic(), fallback)
    nothing = cameras.at(np.zeros((240, 320), np.uint16))
    assert nothing.coverage == 0
    sizes = (240, 320), (96, 128)
    torch.testing.assert_close(nothing.warp(ruler(), *sizes), fallback.warp(ruler(), *sizes), atol=0.3, rtol=0)
    assert (nothing.thermal_pixels((256, 320), (240, 320)) == fallback.thermal_pixels((256, 320), (240, 320))).all()
    assert (nothing.rgb_pixels((256, 320), (240, 320)) == fallback.rgb_pixels((256, 320), (240, 320))).all()
    half = street()
    half[:, :160] = np.nan
    warped = cameras.at(half).warp(ruler(), (240, 320), (240, 320))
    whole = cameras.at(street()).warp(ruler(), (240, 320), (240, 320))
    alone = fallback.warp(ruler(), (240, 320), (240, 320))
    torch.testing.assert_close(warped[..., :160], alone[..., :160], atol=0.3, rtol=0)
    assert torch.equal(warped[..., 200:], whole[..., 200:])
    bare = DepthRegistration(RGB, THERMAL, extrinsic()).at(np.zeros((240, 320), np.uint16))
    assert not bare.warp(ruler(), *sizes).any() and (bare.rgb_pixels((256, 320), (240, 320)) == -1).all()


@pytest.mark.parametrize("size", [(320, 256), (160, 128), (640, 512)])
def test_each_thermal_pixel_sees_the_nearest_thing_on_it(size: tuple[int, int]) -> None:
    depth = street()
    camera = THERMAL.resized(size)
    places = DepthRegistration(RGB, camera, extrinsic()).at(depth).rgb_pixels(size[::-1], (240, 320))
    true, z = by_hand(depth)
    true = (true + 0.5) * (size[0] / 320, size[1] / 256) - 0.5  # at this size
    y, x = np.nonzero(places >= 0)
    assert len(y) > 0.3 * min(size[0] * size[1], depth.size)
    off = true.reshape(-1, 2)[places[y, x]] - np.stack([x, y], 1)
    assert np.abs(off).max() <= 0.51  # what it sees lands on it
    nearest = np.full(size[::-1], np.inf)
    u, v = np.rint(true).astype(int).reshape(-1, 2).T
    inside = (u >= 0) & (u < size[0]) & (v >= 0) & (v < size[1])
    np.minimum.at(nearest, (v[inside], u[inside]), z.ravel()[inside])
    assert (z.ravel()[places[y, x]] <= nearest[y, x] + 0.01).mean() > 0.995  # but for rounding to the next pixel


def test_each_rgb_pixel_finds_the_thermal_pixel_it_falls_on() -> None:
    view = DepthRegistration(RGB, THERMAL, extrinsic()).at(street())
    places = view.thermal_pixels((256, 320), (240, 320))
    found = places >= 0
    true, _ = by_hand(street())
    assert (found & view.occluded((256, 320), (240, 320))).sum() == 0 and found.mean() > 0.6
    off = np.stack([places % 320, places // 320], -1)[found] - true[found]
    assert np.abs(off).max() < 0.501


def test_cameras_in_one_place_give_the_homography_of_far_things() -> None:
    """Without a baseline depth plays no part: the same as K_thermal R K_rgb^-1."""
    rgb, thermal = (Camera.of(64, 48, (f, 0, 31, 0, f, 23, 0, 0, 1)) for f in (50.0, 55.0))
    turn = extrinsic()
    turn[:3, 3] = 0
    k = [np.array([[f, 0, 31], [0, f, 23], [0, 0, 1]]) for f in (50.0, 55.0)]
    matrix = np.linalg.inv(k[1] @ turn[:3, :3] @ np.linalg.inv(k[0]))  # thermal to rgb
    depth = np.random.default_rng(0).uniform(1, 30, (48, 64)).astype(np.float32)
    size, device = (64, 48), torch.device("cpu")
    found = DepthRegistration(rgb, thermal, turn).at(depth).sampling_grid(size, size, size, device)
    expected = sampling_grid(Registration(matrix.ravel(), size, size), size, size, size, device)
    same = (found.inside == expected.inside)[0, 0]
    assert same.float().mean() > 0.99
    both = same & (found.inside[0, 0] > 0)
    torch.testing.assert_close(found.where[0][both], expected.where[0][both], atol=1e-4, rtol=0)


def test_a_segmenter_s_preparation_takes_it_as_any_registration() -> None:
    rgb = np.zeros((240, 320, 3), np.uint8)
    thermal = np.random.default_rng(0).integers(0, 255, (256, 320), dtype=np.uint8)
    view = DepthRegistration(RGB, THERMAL, extrinsic()).at((street(160, 120) * 1000).astype(np.uint16))
    _, prepared = prepare(rgb, thermal, PreprocessConfig(input_size=(96, 128)), registration=view)
    assert prepared is not None and prepared.shape == (1, 1, 96, 128) and prepared.std() > 0.01


def test_depth_in_both_encodings() -> None:
    millimetres = np.array([[0, 1500], [65535, 2]], np.uint16)
    np.testing.assert_array_equal(metres(millimetres), np.array([[np.nan, 1.5], [65.535, 0.002]], np.float32))
    floats = np.array([[np.nan, 1.5], [np.inf, -1.0]], np.float32)
    np.testing.assert_array_equal(metres(floats), np.array([[np.nan, 1.5], [np.nan, np.nan]], np.float32))
    with pytest.raises(ValueError, match="depth: got shape .* float64"):
        metres(np.ones((2, 2)))


def test_what_does_not_fit_is_named() -> None:
    cameras = DepthRegistration(RGB, THERMAL, extrinsic())
    with pytest.raises(ValueError, match="depth: got 320x200, .* of 320x240.*align"):
        cameras.at(np.ones((200, 320), np.float32))
    view = cameras.at(street())
    with pytest.raises(ValueError, match="rgb: got 320x200"):
        view.warp(ruler(), (200, 320), (96, 128))
    with pytest.raises(ValueError, match="thermal: got 320x240, .* of 320x256"):
        view.rgb_pixels((240, 320), (240, 320))
    for matrix in (np.eye(3), np.eye(4) * 2, np.diag([1, 1, -1, 1.0]), np.full((4, 4), np.nan)):
        with pytest.raises(ValueError, match="rgb_to_thermal"):
            DepthRegistration(RGB, THERMAL, matrix)
    with pytest.raises(ValueError, match="tolerance"):
        DepthRegistration(RGB, THERMAL, np.eye(4), tolerance=0)
