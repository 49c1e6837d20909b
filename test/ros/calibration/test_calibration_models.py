"""Models on point pairs: what is recovered, which one is chosen, what the errors mean, what is refused."""

import numpy as np
import pytest

pytest.importorskip("skimage", reason="no scikit-image here: pip install scikit-image")
from hypothesis import given, settings
from hypothesis import strategies as st

from sartm_core.preprocess.homography import project
from sartm_ros.calibration import trust
from sartm_ros.calibration.coarse import corners
from sartm_ros.calibration.models import MODELS, choose, fit, fit_all
from sartm_ros.calibration.needs import CalibrationError
from sartm_ros.calibration.result import scale_shift

SIZES = trust.Sizes(thermal=(320, 256), rgb=(640, 480))
TRUE = {
    "scale_shift": np.array([[1.8, 0, 30], [0, 1.75, 12], [0, 0, 1.0]]),
    "affine": np.array([[1.8, 0.05, 20], [-0.06, 1.75, 12], [0, 0, 1.0]]),
    "homography": np.array([[1.8, 0.05, 20], [-0.06, 1.75, 12], [2e-4, -1e-4, 1.0]]),
}


def points(matrix: np.ndarray, count: int = 60, noise: float = 0.0, wrong: int = 0, seed: int = 0) -> tuple:
    """(N, 2) thermal points over the frame and their rgb points, the last `wrong` of them anywhere."""
    rng = np.random.default_rng(seed)
    source = rng.uniform((0, 0), SIZES.thermal, (count, 2))
    target = project(matrix, source) + rng.normal(0, noise, (count, 2)) if noise else project(matrix, source)
    if wrong:
        target[-wrong:] = rng.uniform((0, 0), SIZES.rgb, (wrong, 2))
    return source, target


@pytest.mark.parametrize("model", MODELS)
def test_exact_points_with_outliers_give_the_matrix_back(model: str) -> None:
    source, target = points(TRUE[model], wrong=15)
    each = fit(model, source, target, 2.0)
    np.testing.assert_allclose(
        project(each.matrix, corners((320, 256))), project(TRUE[model], corners((320, 256))), atol=1e-3
    )
    assert 45 <= each.inliers.sum() <= 47 and each.rms < 0.5 and each.inliers[:45].all()


@pytest.mark.parametrize("model", MODELS)
def test_the_simplest_model_that_is_as_good_is_chosen(model: str) -> None:
    source, target = points(TRUE[model], noise=0.4, wrong=6)
    chosen, why = choose(fit_all(MODELS, source, target, 3.0), 640)
    assert chosen.model == model
    assert "scale_shift" in why and "homography" in why and "px" in why


def test_residual_and_leave_out_error_are_rgb_pixels() -> None:
    source, target = points(TRUE["affine"], count=400, noise=1.0)
    each = fit("affine", source, target, 10.0)
    assert each.rms == pytest.approx(np.sqrt(2), rel=0.1)  # noise of 1 px in x and in y
    assert each.rms < each.leave_out_rms < 1.2 * each.rms


def test_leave_out_error_shows_what_the_residual_hides() -> None:
    """Five points fit a homography almost whatever they are; only points that it has not seen tell."""
    source, target = points(TRUE["homography"], count=6, noise=3.0, seed=2)
    each = fit("homography", source, target, 50.0)
    assert each.leave_out_rms > 2 * each.rms


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.3, 3), st.floats(0.3, 3), st.floats(-50, 50), st.floats(-50, 50),
    st.tuples(st.integers(40, 900), st.integers(40, 900)), st.tuples(st.integers(40, 900), st.integers(40, 900)),
)  # fmt: skip
def test_scale_and_shift_are_those_of_the_node(sx, sy, dx, dy, thermal, rgb) -> None:
    from sartm_core.preprocess.registration import Registration

    matrix = np.array([[sx, 0, dx], [0, sy, dy], [0, 0, 1.0]])
    scale, shift = scale_shift(matrix, trust.Sizes(thermal, rgb))
    node = Registration.scale_shift(scale, shift, thermal_size=thermal, rgb_size=rgb)
    np.testing.assert_allclose(node.apply(corners(thermal)), project(matrix, corners(thermal)), atol=1e-6)


def judged(matrix: np.ndarray, source: np.ndarray, target: np.ndarray, automatic: bool, model: str = "affine") -> str:
    each = fit(model, source, target, 3.0)
    assert each is not None
    quality = trust.assess(each, source, target, len(source), SIZES)
    return "; ".join(trust.objections(quality, each, SIZES, automatic))


def test_good_points_meet_no_objection() -> None:
    source, target = points(TRUE["affine"], noise=0.5)
    assert judged(TRUE["affine"], source, target, True) == ""
    assert judged(TRUE["affine"], source[:6], target[:6], False) == ""


def test_points_in_one_corner_are_refused() -> None:
    source, target = points(TRUE["affine"], noise=0.3)
    assert "close together" in judged(TRUE["affine"], source / 10, project(TRUE["affine"], source / 10), True)


def test_points_on_a_line_are_refused() -> None:
    source, _ = points(TRUE["scale_shift"])
    source[:, 1] = source[:, 0] * 0.5 + np.random.default_rng(0).normal(0, 1, len(source))
    assert "on a line" in judged(TRUE["scale_shift"], source, project(TRUE["scale_shift"], source), True, "scale_shift")


def test_few_inliers_are_refused() -> None:
    source, target = points(TRUE["affine"], wrong=45)
    assert "15 of 60 patches" in judged(TRUE["affine"], source, target, True)


def test_a_mirrored_or_turned_view_is_refused() -> None:
    flip = np.array([[-1.8, 0, 600], [0, 1.8, 5], [0, 0, 1.0]])
    assert "mirrored" in judged(flip, *points(flip), True)
    turn = np.array([[0, -1.8, 550], [1.8, 0, 5], [0, 0, 1.0]])
    assert "rotated by 90" in judged(turn, *points(turn), True)
    assert judged(turn, *points(turn), False) == ""  # picked by hand: a camera mounted upright


def test_no_agreement_is_an_error() -> None:
    with pytest.raises(CalibrationError, match="no model fits"):
        choose(fit_all(MODELS, np.zeros((2, 2)), np.zeros((2, 2)), 3.0), 640)
