"""Matching a thermal with a colour view: known transforms come back, unrelated views are refused."""

import functools

import numpy as np
import pytest

pytest.importorskip("skimage", reason="no scikit-image here: pip install scikit-image")
from sartm_core.preprocess.homography import project, resizing_matrix
from sartm_core.synthetic import SceneConfig, drive
from sartm_ros.calibration import auto, trust
from sartm_ros.calibration.coarse import corners
from sartm_ros.calibration.models import MODELS, Fit, choose, fit_all
from sartm_ros.calibration.needs import CalibrationError
from sartm_ros.calibration.sources import FramePair
from sartm_ros.calibration.structure import heat, structure, warp

RGB = (480, 360)
"""(width, height) of the colour frames."""
THERMAL = (240, 192)
FRAMES = 2


@functools.cache
def scenes(seed: int) -> list:
    config = SceneConfig(height=RGB[1], width=RGB[0])
    return list(drive(FRAMES, seed=seed, config=config, conditions=("day", "night")))


def seen_through(kelvin: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """What a thermal camera records whose pixels `matrix` takes to rgb pixels."""
    return warp(kelvin, np.linalg.inv(matrix), (THERMAL[1], THERMAL[0]))


def about_centre(inner: np.ndarray) -> np.ndarray:
    """A transform of rgb pixels around the middle of the view, applied after the thermal frame was fitted into it."""
    middle = np.eye(3)
    middle[:2, 2] = (RGB[0] - 1) / 2, (RGB[1] - 1) / 2
    size = 0.8 * RGB[0], 0.8 * RGB[0] * THERMAL[1] / THERMAL[0]
    fitted = np.eye(3)
    fitted[:2, 2] = (RGB[0] - size[0]) / 2, (RGB[1] - size[1]) / 2
    return middle @ inner @ np.linalg.inv(middle) @ fitted @ resizing_matrix(THERMAL, size)


def rotated(degrees: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


KNOWN = {
    "shift": about_centre(np.array([[1, 0, 14.0], [0, 1, -9.0], [0, 0, 1]])),
    "scale": about_centre(np.diag([1.12, 1.12, 1.0])),
    "rotation": about_centre(rotated(2.0)),
    "perspective": about_centre(np.array([[1, 0.01, 5], [0, 1, 3], [8e-5, -5e-5, 1.0]])),
}


def found(frames: list[FramePair]) -> tuple[Fit, list[str]]:
    matches = auto.find(frames, lambda: None)
    sizes = trust.Sizes(THERMAL, RGB)
    fit, _ = choose(fit_all(MODELS, matches.thermal, matches.rgb, auto.LIMIT * RGB[0] / 640), RGB[0])
    quality = trust.assess(fit, matches.thermal, matches.rgb, matches.tried, sizes)
    return fit, trust.objections(quality, fit, sizes, automatic=True)


@pytest.mark.parametrize(
    "name",
    ["shift", "perspective", *(pytest.param(name, marks=pytest.mark.slow) for name in ("scale", "rotation"))],
)
def test_known_transform_comes_back_within_two_pixels(name: str) -> None:
    matrix = KNOWN[name]
    frames = [FramePair(str(i), s.rgb, seen_through(s.kelvin, matrix)) for i, s in enumerate(scenes(10))]
    fit, objections = found(frames)
    assert objections == []
    errors = np.linalg.norm(project(fit.matrix, corners(THERMAL)) - project(matrix, corners(THERMAL)), axis=1)
    assert errors.max() < 2.0, (fit.model, errors)
    assert name != "shift" or fit.model == "scale_shift"


def test_the_thermal_view_of_another_place_is_refused() -> None:
    frames = [
        FramePair(str(i), a.rgb, seen_through(b.kelvin, KNOWN["shift"]))
        for i, (a, b) in enumerate(zip(scenes(10), scenes(4), strict=True))
    ]
    try:
        _, objections = found(frames)
    except CalibrationError as error:
        objections = [str(error)]
    assert objections


def test_noise_is_refused() -> None:
    rng = np.random.default_rng(0)
    frame = FramePair("noise", rng.integers(0, 256, (120, 160, 3), np.uint8), rng.normal(300, 1, (96, 120)))
    with pytest.raises(CalibrationError, match="--pick"):
        matches = auto.find([frame], lambda: None)
        sizes = trust.Sizes((120, 96), (160, 120))
        fit, _ = choose(fit_all(MODELS, matches.thermal, matches.rgb, auto.LIMIT / 4), 160)
        quality = trust.assess(fit, matches.thermal, matches.rgb, matches.tried, sizes)
        assert trust.objections(quality, fit, sizes, True)
        raise CalibrationError(auto.refusal("objections"))


def test_steps_are_an_upper_bound() -> None:
    counted = []
    frames = [FramePair("a", scenes(10)[0].rgb, scenes(10)[0].kelvin)]
    auto.find(frames, lambda: counted.append(1))
    assert 0 < len(counted) <= auto.steps(1)


def test_structure_does_not_care_for_the_sign_of_an_edge() -> None:
    image = scenes(10)[0].kelvin
    np.testing.assert_allclose(structure(image).channels, structure(-image).channels, atol=1e-5)


def test_black_rim_of_an_integer_frame_is_no_data() -> None:
    thermal = np.full((40, 50), 30000, np.uint16)
    thermal[10:20] += 100
    thermal[:, :8] = 0
    values = heat(thermal)
    assert np.isnan(values[:, :8]).all() and np.isfinite(values[:, 8:]).all()
    dark = np.tile(np.arange(50, dtype=np.uint8), (40, 1))  # zeros among small numbers are values
    assert np.isfinite(heat(dark)).all()


def test_structure_has_no_edges_at_missing_data() -> None:
    image = np.full((60, 60), 300.0, np.float32)
    image[20:30, 20:30] = np.nan
    made = structure(image)
    assert np.abs(made.channels).max() < 1e-3 and made.mask[25, 25] == 0 and made.mask[5, 5] == 1


def test_warp_of_the_identity_changes_nothing() -> None:
    image = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    np.testing.assert_allclose(warp(image, np.eye(3), (20, 30)), image, atol=1e-5)
    moved = warp(image, np.array([[1, 0, 3], [0, 1, 2], [0, 0, 1.0]]), (20, 30))
    np.testing.assert_allclose(moved[2:, 3:], image[:-2, :-3], atol=1e-5)
    assert np.isnan(moved[:2]).all() and np.isnan(moved[:, :3]).all()
