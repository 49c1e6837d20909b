"""Transforms from thermal to rgb pixels, fitted to points some of which are wrong, and how large the residual is."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sartm_core.preprocess.homography import project
from sartm_ros.calibration.needs import CalibrationError, measure, transform

MODELS = ("scale_shift", "affine", "homography")
"""From the simplest to the richest."""
FREEDOM = {"scale_shift": 4, "affine": 6, "homography": 8}
"""Numbers each one has; a point gives two."""
TRIALS = 1000
CERTAINTY = 0.9999
"""RANSAC draws so many random samples, fewer once it is this sure that one of them had no outlier."""
SEED = 0
AS_GOOD = 1.15
NEGLIGIBLE = 0.1
"""A simpler model is as good when its leave-out error is at most this factor of the best and so many pixels (of a
640-pixel-wide image) above it."""
SHARE_KEPT = 0.9
"""... and when it keeps this share of the inliers."""
FOLDS = 4
"""Rows and columns of the cells that are left out in turn."""
FEW = 24
"""With fewer points, one point at a time is left out."""
REFERENCE_WIDTH = 640
"""Limits in pixels are meant for colour images this wide and scale with the width."""


class ScaleShift:
    """x' = sx x + dx, y' = sy y + dy; with the interface `skimage.measure.ransac` asks for."""

    def __init__(self) -> None:
        self.params = np.eye(3)

    def estimate(self, source: np.ndarray, target: np.ndarray) -> bool:
        """Least squares; False when the points lie on a line."""
        spread = source.std(axis=0)
        if len(source) < 2 or spread.min() < 1e-9:
            return False
        scale = ((source - source.mean(0)) * (target - target.mean(0))).mean(axis=0) / spread**2
        self.params = np.diag([*scale, 1.0])
        self.params[:2, 2] = target.mean(axis=0) - scale * source.mean(axis=0)
        return bool((scale > 0).all())

    @classmethod
    def from_estimate(cls, source: np.ndarray, target: np.ndarray) -> ScaleShift | None:
        """As scikit-image 0.26 makes its models."""
        made = cls()
        return made if made.estimate(source, target) else None

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return points * np.diag(self.params)[:2] + self.params[:2, 2]

    def residuals(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(N,) pixels."""
        return np.linalg.norm(self(source) - target, axis=1)


@dataclass(frozen=True, eq=False)
class Fit:
    """One model on a set of points."""

    model: str
    matrix: np.ndarray
    """3x3, thermal -> rgb pixel, last number 1."""
    inliers: np.ndarray
    """(N,) bool."""
    residuals: np.ndarray
    """(inliers,) distance of the mapped thermal point from its rgb point, rgb pixels."""
    leave_out: np.ndarray
    """(inliers,) the same, each by a fit that has not seen the point's part of the image; infinite where it failed."""

    @property
    def rms(self) -> float:
        return root_mean_square(self.residuals)

    @property
    def leave_out_rms(self) -> float:
        return root_mean_square(self.leave_out)


def root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean())) if len(values) else float("inf")


def kind(model: str) -> Any:
    """The class RANSAC works with."""
    classes = {"affine": "AffineTransform", "homography": "ProjectiveTransform"}
    return ScaleShift if model == "scale_shift" else getattr(transform(), classes[model])


def least_points(model: str) -> int:
    """Points that determine the model."""
    return FREEDOM[model] // 2


def solve(model: str, source: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    """Least squares over all points, 3x3; None when they do not determine it."""
    cls = kind(model)
    if hasattr(cls, "from_estimate"):  # scikit-image 0.26 on
        made = cls.from_estimate(source, target)
    else:
        made = cls()
        made = made if made.estimate(source, target) else None
    if not made or not np.isfinite(made.params).all() or abs(made.params[2, 2]) < 1e-9:
        return None
    return np.asarray(made.params) / made.params[2, 2]


def distances(matrix: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N,) from the mapped source points to the target points, rgb pixels."""
    return np.nan_to_num(np.linalg.norm(project(matrix, source) - target, axis=1), nan=np.inf)


def fit(model: str, source: np.ndarray, target: np.ndarray, threshold: float) -> Fit | None:
    """The model that most points (N, 2) agree with to `threshold` pixels, refined on those; None without agreement."""
    least = least_points(model)
    if len(source) <= least:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "No inliers found" is what None says too
        _, inliers = measure().ransac(
            (source, target), kind(model), min_samples=least, residual_threshold=threshold, max_trials=TRIALS,
            stop_probability=CERTAINTY, rng=SEED,
        )  # fmt: skip
    matrix = None
    for _ in range(3):  # the least-squares fit draws in points that the sample of a few missed
        if inliers is None or inliers.sum() <= least:
            return None
        matrix = solve(model, source[inliers], target[inliers])
        if matrix is None:
            return None
        inliers = distances(matrix, source, target) <= threshold
    if matrix is None or inliers.sum() <= least:
        return None
    chosen = source[inliers], target[inliers]
    return Fit(model, matrix, inliers, distances(matrix, *chosen), leave_out(model, *chosen))


def leave_out(model: str, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N,) residual of each point by the fit without its neighbourhood (with few points: without itself)."""
    errors = np.full(len(source), np.inf)
    for part in parts(target):
        matrix = solve(model, source[~part], target[~part]) if (~part).sum() >= least_points(model) else None
        if matrix is not None:
            errors[part] = distances(matrix, source[part], target[part])
    return errors


def parts(points: np.ndarray) -> list[np.ndarray]:
    """Masks (N,) of what is left out together: cells of a grid over the points, as neighbouring patches overlap."""
    if len(points) < FEW:
        return [np.arange(len(points)) == index for index in range(len(points))]
    low, high = points.min(axis=0), points.max(axis=0)
    cells = np.clip(((points - low) / np.maximum(high - low, 1e-9) * FOLDS).astype(int), 0, FOLDS - 1)
    numbers = cells[:, 0] * FOLDS + cells[:, 1]
    return [numbers == number for number in np.unique(numbers)]


def fit_all(names: Sequence[str], source: np.ndarray, target: np.ndarray, threshold: float) -> list[Fit]:
    """The fits of these models that succeed, simplest first."""
    fits = (fit(name, source, target, threshold) for name in MODELS if name in names)
    return [each for each in fits if each is not None]


def choose(fits: Sequence[Fit], width: int) -> tuple[Fit, str]:
    """The simplest fit that is about as good as the best one, and why. CalibrationError when there is none."""
    if not fits:
        raise CalibrationError("no model fits the points: fewer agree with one another than a model needs")
    best = min(each.leave_out_rms for each in fits)
    most = max(int(each.inliers.sum()) for each in fits)
    limit = AS_GOOD * best + NEGLIGIBLE * width / REFERENCE_WIDTH
    scores = ", ".join(f"{f.model} {f.leave_out_rms:.2f} px ({int(f.inliers.sum())} inliers)" for f in fits)
    for each in fits:
        if each.leave_out_rms <= limit and each.inliers.sum() >= SHARE_KEPT * most:
            why = "the only model asked for" if len(fits) == 1 else "the simplest that is about as good as the best"
            return each, f"{why}; leave-out error: {scores}"
    each = max(fits, key=lambda f: int(f.inliers.sum()))
    return each, f"the one with most inliers; leave-out error: {scores}"
