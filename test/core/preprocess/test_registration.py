"""Thermal pixels into the rgb view: conventions, sizes, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.normalise import normalize_thermal
from sartm_core.preprocess.prepare import prepare
from sartm_core.preprocess.registration import Registration, sampling_grid
from sartm_core.preprocess.resize import resize
from test.core.conftest import make_frames

IDENTITY = (1, 0, 0, 0, 1, 0, 0, 0, 1)
TILTED = (1.9, 0.1, 3.0, -0.15, 2.1, -2.0, 3e-4, -2e-4, 1.0)
"""Thermal 40x30 -> rgb 80x60: about twice the size, turned, with perspective."""


def plane(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A picture that bilinear sampling reproduces exactly."""
    return 0.3 + 0.01 * x - 0.007 * y + 0.0002 * x * y


def picture(width: int, height: int) -> torch.Tensor:
    """(1, 1, height, width) of `plane`."""
    return torch.from_numpy(plane(*np.meshgrid(np.arange(width), np.arange(height)))).float()[None, None]


def seen_by_hand(registration: Registration, rgb_size: tuple, size: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Thermal x, y (H, W) of each pixel of a model input, written out: resize backwards, then H backwards."""
    x, y = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    u, v = (x + 0.5) * rgb_size[1] / size[1] - 0.5, (y + 0.5) * rgb_size[0] / size[0] - 0.5
    a = np.linalg.inv(np.array(registration.matrix).reshape(3, 3))
    depth = a[2, 0] * u + a[2, 1] * v + a[2, 2]
    return (a[0, 0] * u + a[0, 1] * v + a[0, 2]) / depth, (a[1, 0] * u + a[1, 1] * v + a[1, 2]) / depth


@pytest.mark.parametrize("size", [(60, 80), (64, 96), (47, 71)])
def test_a_known_homography_brings_back_exact_values(size: tuple[int, int]) -> None:
    registration = Registration(TILTED)
    warped = registration.warp(picture(40, 30), (60, 80), size)[0, 0].numpy()
    x, y = seen_by_hand(registration, (60, 80), size)
    sure = (x >= 0) & (x <= 39) & (y >= 0) & (y <= 29)
    assert sure.mean() > 0.5
    np.testing.assert_allclose(warped[sure], plane(x, y)[sure], atol=1e-5)
    outside = (x < -0.5) | (x > 39.5) | (y < -0.5) | (y > 29.5)
    assert outside.any() and (warped[outside] == 0).all()


@pytest.mark.parametrize("size", [(48, 64), (96, 128), (32, 32), (32, 96), (96, 32)])
@pytest.mark.parametrize("registration", [Registration(IDENTITY), Registration.scale_shift((1, 1), (0, 0))])
def test_no_change_equals_the_plain_resize(registration: Registration, size: tuple[int, int]) -> None:
    thermal = torch.rand(2, 1, 48, 64)
    torch.testing.assert_close(registration.warp(thermal, (48, 64), size), resize(thermal, size), atol=2e-5, rtol=0)


@pytest.mark.parametrize("thermal_hw", [(24, 32), (50, 90), (200, 300)])
def test_scale_1_shift_0_stretches_a_thermal_frame_of_any_size(thermal_hw: tuple[int, int]) -> None:
    thermal = torch.rand(1, 1, *thermal_hw)
    warped = Registration.scale_shift().warp(thermal, (48, 64), (64, 96))
    torch.testing.assert_close(warped, resize(thermal, (64, 96)), atol=2e-5, rtol=0)


def test_a_shift_to_the_right_moves_the_picture_right_and_leaves_zeros() -> None:
    thermal = torch.rand(1, 1, 32, 64) + 0.5
    for registration in (Registration((1, 0, 8, 0, 1, 4, 0, 0, 1)), Registration.scale_shift((1, 1), (8, 4))):
        warped = registration.warp(thermal, (32, 64), (32, 64))
        torch.testing.assert_close(warped[..., 4:, 8:], thermal[..., :-4, :-8], atol=2e-5, rtol=0)
        assert (warped[..., :8] == 0).all() and (warped[..., :4, :] == 0).all()


def test_scale_is_about_the_centre() -> None:
    warped = Registration.scale_shift((0.5, 0.25)).warp(torch.ones(1, 1, 24, 32), (48, 64), (48, 64))[0, 0]
    assert (warped[18:30, 16:48] == 1).all() and warped.sum() == 12 * 32


def test_a_warm_pixel_lands_where_apply_says() -> None:
    registration = Registration(TILTED)
    thermal = torch.zeros(1, 1, 30, 40)
    thermal[..., 12, 25] = 1
    warped = registration.warp(thermal, (60, 80), (60, 80))[0, 0]
    row, column = np.unravel_index(int(warped.argmax()), warped.shape)
    np.testing.assert_allclose(registration.apply([[25, 12]]), [[column, row]], atol=1.0)


def test_frames_of_another_size_than_measured() -> None:
    """A matrix measured at full size holds for both cameras' binned modes."""
    full = Registration(TILTED, thermal_size=(40, 30), rgb_size=(80, 60))
    shift = Registration.scale_shift((0.8, 0.9), (6, -4), rgb_size=(80, 60))
    for registration in (full, shift):
        expected = registration.warp(picture(40, 30), (60, 80), (60, 80))
        double = resize(picture(40, 30), (60, 80))
        found = registration.warp(double, (120, 160), (60, 80))
        both = (expected != 0) & (found != 0)
        assert both.float().mean() > 0.5 and ((expected != 0) == (found != 0)).float().mean() > 0.98
        near_the_rim = torch.nn.functional.max_pool2d((~both).float(), 5, 1, 2) > 0
        inner = ~near_the_rim
        torch.testing.assert_close(found[inner], expected[inner], atol=5e-3, rtol=0)


def test_scale_shift_as_a_matrix() -> None:
    registration = Registration.scale_shift((0.8, 0.9), (6, -4), thermal_size=(40, 30), rgb_size=(80, 60))
    plain = Registration(tuple(registration.homography().ravel()), (40, 30), (80, 60))
    thermal = torch.rand(1, 1, 30, 40)
    torch.testing.assert_close(
        registration.warp(thermal, (60, 80), (64, 96)), plain.warp(thermal, (60, 80), (64, 96)), atol=1e-5, rtol=0
    )
    centre = [[19.5, 14.5]]
    np.testing.assert_allclose(registration.apply(centre), [[39.5 + 6, 29.5 - 4]])


def test_scale_shift_without_sizes_cannot_move_points() -> None:
    with pytest.raises(ValueError, match="need thermal_size and rgb_size"):
        Registration.scale_shift((0.8, 0.8)).apply([[0, 0]])


small = st.floats(-0.2, 0.2)


@settings(deadline=None, max_examples=50)
@given(st.tuples(small, small, small, small), st.tuples(st.floats(-30, 30), st.floats(-30, 30)), small)
def test_there_and_back_again(linear: tuple, shift: tuple, bend: float) -> None:
    a, b, c, d = linear
    matrix = (1 + a, b, shift[0], c, 1 + d, shift[1], bend / 400, bend / 600, 1)
    registration = Registration(matrix, thermal_size=(40, 30), rgb_size=(80, 60))
    points = np.array([[0, 0], [39, 29], [12.5, 3.25]])
    np.testing.assert_allclose(registration.inverse().apply(registration.apply(points)), points, atol=1e-6)


def test_fine_texture_of_a_large_thermal_frame_does_not_alias() -> None:
    """Sampling every 8th pixel of a checkerboard would give black or white, not grey."""
    board = torch.from_numpy(np.indices((256, 256)).sum(0) % 2).float()[None, None]
    turn = np.deg2rad(5)
    matrix = (np.cos(turn), -np.sin(turn), 8.0, np.sin(turn), np.cos(turn), -8.0, 0, 0, 1)
    warped = Registration(matrix).warp(board, (256, 256), (32, 32))[0, 0]
    inner = warped[8:24, 8:24]
    assert (inner - 0.5).abs().max() < 0.05


def test_equal_registrations_share_a_cached_grid() -> None:
    one, other = Registration(TILTED), Registration(np.array(TILTED).reshape(3, 3).tolist())
    assert one == other and hash(one) == hash(other)
    asked = []

    def grid(*arguments):
        asked.append(arguments)
        return sampling_grid(*arguments)

    frames = torch.rand(1, 1, 30, 40)
    results = [r.warp(frames, (60, 80), (64, 96), grid) for r in (one, other)]
    assert torch.equal(*results)
    assert asked[0] == asked[1] == (one, (40, 30), (80, 60), (96, 64), torch.device("cpu")) and hash(asked[0])


def test_scale_of_the_matrix_means_nothing() -> None:
    thermal = torch.rand(1, 1, 30, 40)
    plain, scaled = (Registration(tuple(k * v for v in TILTED)).warp(thermal, (60, 80), (64, 64)) for k in (1.0, -1e-7))
    torch.testing.assert_close(plain, scaled)


@pytest.mark.parametrize(
    "make,match",
    [
        (lambda: Registration((1, 0, 0)), r"homography: got \[1.0, 0.0, 0.0\], expected 9 finite numbers"),
        (lambda: Registration((*IDENTITY[:8], np.nan)), "homography: .*expected 9 finite numbers"),
        (lambda: Registration("identity"), "homography: got 'identity', expected 9 numbers"),
        (lambda: Registration((0,) * 9), "homography: .*cannot be inverted"),
        (lambda: Registration((1, 2, 0, 2, 4, 0, 0, 0, 1)), "homography: .*cannot be inverted"),
        (lambda: Registration((1, 0, 0, 0, 1e-7, 0, 0, 0, 1)), "homography: .*cannot be inverted"),
        (lambda: Registration((1e308, 0, 1e308, 0, 1, 0, 0, 0, 1)), "homography: .*cannot be inverted"),
        (lambda: Registration((1, 0, 0, 0, 1, 0, -0.05, 0, 1), (40, 30)), "thermal frame 40x30 to infinity"),
        (lambda: Registration(IDENTITY, thermal_size=(640, 0)), r"thermal_size: got \[640, 0\], expected \[width"),
        (lambda: Registration(IDENTITY, rgb_size=(-640, 480)), "rgb_size: got"),
        (lambda: Registration.scale_shift((1, 0), (0, 0)), r"scale: got \[1, 0\], expected two numbers above 0"),
        (lambda: Registration.scale_shift((1,), (0, 0)), "scale: got"),
        (lambda: Registration.scale_shift((1, 1), (np.inf, 0)), "shift: got"),
    ],
)
def test_a_registration_that_cannot_be_is_refused(make, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    "matrix,match",
    [
        ((1, 0, 0, 0, 1, 0, -0.005, 0, 1), "thermal frame 400x30 to infinity"),
        ((1, 0, 500, 0, 1, 0, 0, 0, 1), r"no pixel of the rgb view 80x60 falls on the thermal frame 400x30"),
    ],
)
def test_frames_that_do_not_fit_the_matrix_are_named(matrix: tuple, match: str) -> None:
    registration = Registration(matrix)
    with pytest.raises(ValueError, match=match):
        registration.warp(torch.zeros(1, 1, 30, 400), (60, 80), (64, 96))


def test_prepare_registers_normalised_frames_and_leaves_a_lone_thermal_frame_alone() -> None:
    rgb, _ = make_frames(60, 80)
    _, thermal = make_frames(30, 40)
    config, registration = PreprocessConfig(input_size=(64, 96)), Registration(TILTED)
    _, warped = prepare(rgb, thermal, config, registration=registration)
    values = torch.from_numpy(normalize_thermal(thermal, config.thermal))[None, None]
    assert torch.equal(warped, registration.warp(values, (60, 80), warped.shape[-2:]))
    alone, plain = prepare(None, thermal, config, registration=registration)[1], prepare(None, thermal, config)[1]
    assert torch.equal(alone, plain)


def test_frames_of_another_aspect_than_it_was_measured_at_are_told_once(caplog):
    registration = Registration((1, 0, 0, 0, 1, 0, 0, 0, 1), thermal_size=(32, 24), rgb_size=(64, 48))
    thermal = torch.zeros(1, 1, 24, 32)
    for _ in range(2):
        registration.warp(thermal, (96, 128), (48, 64))  # twice the size: resized
        assert not caplog.records
    for _ in range(2):
        registration.warp(thermal, (36, 64), (48, 64))
    (record,) = caplog.records
    assert "rgb frames are 64x36, it was measured at 64x48: another aspect" in record.getMessage()
