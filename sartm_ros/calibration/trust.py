"""Whether a registration is to be believed: a wrong one is worse than none.

The limits were set on street scenes paired with the thermal frame of another scene, which must be refused; the numbers
are in docs/registration.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sartm_core.preprocess.homography import project
from sartm_ros.calibration.models import REFERENCE_WIDTH, Fit, least_points, parts, solve

LEAST_INLIERS = 24
"""Patches that agree, for an automatic match."""
LEAST_SHARE = 0.3
"""Part of all patches with data on both sides that agree; unrelated scenes stay below."""
LEAST_AGREEMENT = 0.5
"""Part of the patches that were found again that agree."""
SPARE_POINTS = 2
"""Picked points beyond those that determine the model."""
LEAST_SPREAD = 0.08
"""Standard deviation of the points along their shorter axis, in diagonals of the common view."""
LARGEST_RMS = 3.0
LARGEST_LEAVE_OUT = 4.0
LARGEST_DOUBT = 8.0
"""Pixels of a colour image 640 wide: residual, leave-out error, and uncertainty where the view is least supported."""
LARGEST_ASPECT = 1.6
"""Horizontal over vertical scale of the automatic match, or the reverse, apart from the frames' own aspect ratios."""
LARGEST_ROTATION = 15.0
"""Degrees, of the automatic match."""
LARGEST_TILT = 1.6
"""Largest over smallest perspective divisor in the view."""
VIEW_GRID = 9


@dataclass(frozen=True)
class Sizes:
    """(width, height) of the frames."""

    thermal: tuple[int, int]
    rgb: tuple[int, int]


@dataclass(frozen=True)
class Quality:
    """The numbers behind the verdict; pixels are those of the rgb frame."""

    points: int
    """Matched or picked."""
    inliers: int
    tried: int
    """Patches that had data on both sides; for picked points their number."""
    rms: float
    median: float
    maximum: float
    """Residual of the inliers."""
    leave_out: float
    """RMS of each inlier by a fit that has not seen its part of the image."""
    doubt: float
    """Standard error (jackknife) of where thermal pixels land, at the worst place of the common view."""
    spread: float
    """Standard deviation of the inliers along their shorter axis, in diagonals of the common view."""


def assess(fit: Fit, source: np.ndarray, target: np.ndarray, tried: int, sizes: Sizes) -> Quality:
    """Judge a fit on its points (N, 2) thermal -> rgb."""
    view = common_view(fit.matrix, sizes)
    chosen = source[fit.inliers], target[fit.inliers]
    return Quality(
        points=len(source),
        inliers=int(fit.inliers.sum()),
        tried=tried,
        rms=fit.rms,
        median=float(np.median(fit.residuals)),
        maximum=float(fit.residuals.max()),
        leave_out=fit.leave_out_rms,
        doubt=doubt(fit.model, *chosen, view),
        spread=spread(chosen[0], view),
    )


def unit(sizes: Sizes) -> float:
    """Pixels of this rgb frame for one of a frame `REFERENCE_WIDTH` wide."""
    return sizes.rgb[0] / REFERENCE_WIDTH


def common_view(matrix: np.ndarray, sizes: Sizes) -> np.ndarray:
    """(N, 2) thermal pixels of a regular grid that land inside the rgb frame; may be empty."""
    w, h = sizes.thermal
    axes = np.linspace(0, w - 1, VIEW_GRID), np.linspace(0, h - 1, VIEW_GRID)
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    mapped = project(matrix, points)
    inside = (mapped >= -0.5).all(axis=1) & (mapped <= np.array(sizes.rgb) - 0.5).all(axis=1)
    return points[inside]


def doubt(model: str, source: np.ndarray, target: np.ndarray, view: np.ndarray) -> float:
    """Jackknife over parts of the image: standard error of the mapped `view`, at its worst point, rgb pixels."""
    if len(view) == 0:
        return float("inf")
    maps = []
    groups = parts(target)
    for part in groups:
        rest = ~part
        matrix = solve(model, source[rest], target[rest]) if rest.sum() >= least_points(model) else None
        if matrix is None:
            return float("inf")
        maps.append(project(matrix, view))
    moves = np.stack(maps) - np.mean(maps, axis=0)  # (G, N, 2)
    variance = (moves**2).sum(axis=(0, 2)) * (len(groups) - 1) / len(groups)
    return float(np.sqrt(variance.max()))


def spread(points: np.ndarray, view: np.ndarray) -> float:
    """Standard deviation of the points along their shorter axis, in diagonals of the view."""
    if len(points) < 2 or len(view) < 2:
        return 0.0
    shorter = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)[-1] / np.sqrt(len(points))
    return float(shorter / max(np.linalg.norm(np.ptp(view, axis=0)), 1e-9))


def objections(quality: Quality, fit: Fit, sizes: Sizes, automatic: bool) -> list[str]:
    """What speaks against the fit, in words; empty when nothing does."""
    px = unit(sizes)
    found = few(quality, fit.model, automatic)
    if quality.spread < LEAST_SPREAD:
        found.append(
            f"the points lie close together or on a line (spread {quality.spread:.2f} of the common view's diagonal, "
            f"expected {LEAST_SPREAD})"
        )
    for value, limit, text in (
        (quality.rms, LARGEST_RMS * px, "residual is {:.1f} px RMS"),
        (quality.leave_out, LARGEST_LEAVE_OUT * px, "leave-out error is {:.1f} px RMS"),
        (quality.doubt, LARGEST_DOUBT * px, "uncertainty at the worst place of the common view is {:.1f} px"),
    ):
        if not value <= limit:
            found.append(f"{text.format(value)}, expected at most {limit:.1f} px")
    return found + shape(fit.matrix, sizes, automatic)


def few(quality: Quality, model: str, automatic: bool) -> list[str]:
    """Objections to the number of inliers."""
    if not automatic:
        least = least_points(model) + SPARE_POINTS
        return [] if quality.inliers >= least else [
            f"{quality.inliers} of {quality.points} points agree, {model} needs at least {least}"
        ]  # fmt: skip
    share, agreement = quality.inliers / max(quality.tried, 1), quality.inliers / max(quality.points, 1)
    if quality.inliers < LEAST_INLIERS or share < LEAST_SHARE or agreement < LEAST_AGREEMENT:
        return [
            f"{quality.inliers} of {quality.tried} patches ({share:.0%}; of the {quality.points} found again "
            f"{agreement:.0%}) agree, expected at least {LEAST_INLIERS}, {LEAST_SHARE:.0%} and {LEAST_AGREEMENT:.0%}"
        ]
    return []


def shape(matrix: np.ndarray, sizes: Sizes, automatic: bool) -> list[str]:
    """Objections to the transform itself: mirrored, folded, or bent as no pair of cameras side by side is."""
    w, h = sizes.thermal
    corners = np.array([[0, 0, 1], [w - 1, 0, 1], [0, h - 1, 1], [w - 1, h - 1, 1], [(w - 1) / 2, (h - 1) / 2, 1]])
    depth = corners @ matrix[2]
    if depth.min() <= 0 or depth.max() / depth.min() > LARGEST_TILT:
        return ["the perspective is too strong: part of the thermal view is bent out of all proportion"]
    x, y, d = matrix @ corners[-1]
    jacobian = (matrix[:2, :2] - np.outer((x / d, y / d), matrix[2, :2])) / d
    if np.linalg.det(jacobian) <= 0:
        return ["the thermal view comes out mirrored"]
    if not automatic:
        return []
    found = []
    lengths = np.linalg.norm(jacobian, axis=0)
    own = (sizes.rgb[0] / w) / (sizes.rgb[1] / h)  # 1 unless the frames are stretched onto one another
    aspect = lengths[0] / lengths[1]
    if min(max(aspect / a, a / aspect) for a in (1.0, own)) > LARGEST_ASPECT:
        found.append(f"horizontal and vertical scale differ by a factor {aspect:.2f}")
    angle = abs(float(np.degrees(np.arctan2(jacobian[1, 0] - jacobian[0, 1], np.trace(jacobian)))))
    if angle > LARGEST_ROTATION:
        found.append(f"rotated by {angle:.0f} degrees, automatic matching looks for at most {LARGEST_ROTATION:.0f}")
    return found
