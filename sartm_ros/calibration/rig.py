"""Both lenses and how the cameras stand to one another, from views of a target: OpenCV's calibration, and its errors.

Views that fit badly (a target that moved between the two frames, points found wrong) are left out, and named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sartm_ros.calibration.corners import Seen
from sartm_ros.calibration.needs import CalibrationError, opencv
from sartm_ros.calibration.target import Target

LEAST_VIEWS = 4
"""Views of both cameras together, and of each."""
BAD_TIMES, BAD_LEAST, ROUNDS = 3.0, 0.3, 5
"""A view is bad whose error is so many times the median of all, and above so many pixels (of an image 640 wide). The
worst one is left out and all is fitted anew, so often."""
WIDTH = 640
SHARED = 0.8
"""When at least this part of each camera's views are views of both, the lenses are fitted together with the mounting,
which is more exact; otherwise they stay as all views of each camera alone have them."""
GROUPS = 4
"""Views that are left out in turn are so many groups."""
ITERATIONS, PRECISION = 100, 1e-9
"""Of OpenCV's optimisation."""

Points = dict[str, np.ndarray]
"""By the name of the view: (N, 2) float32."""


@dataclass(frozen=True, eq=False)
class Lens:
    """Intrinsics of one camera, `plumb_bob`, and how well they are known."""

    size: tuple[int, int]
    """(width, height)."""
    matrix: np.ndarray
    """(3, 3)."""
    distortion: np.ndarray
    """(5,): k1 k2 p1 p2 k3, the last one 0 as ROS's camera_calibration has it unless asked."""
    errors: dict[str, float]
    """View -> RMS reprojection error, px."""
    poses: dict[str, np.ndarray]
    """View -> 4x4: points of the target to points of this camera, metres."""
    left_out: dict[str, float]
    """Views that fit badly -> their error, px."""
    doubt: float = np.inf
    """Standard error of the focal length, parts of it: by leaving out views (jackknife), for OpenCV's own says little
    about views from the front alone."""


@dataclass(frozen=True, eq=False)
class Rig:
    """Two cameras on one robot."""

    rgb: Lens
    thermal: Lens
    rgb_to_thermal: np.ndarray
    """(4, 4): a point in the rgb optical frame, in metres, -> in the thermal one."""
    errors: dict[str, tuple[float, float]]
    """View -> RMS reprojection error in rgb and thermal px, the target at one place for both cameras."""
    left_out: dict[str, float] = field(default_factory=dict)
    """Views of both that fit badly together -> their larger error, px."""

    @property
    def distance(self) -> float:
        """Metres to the target, median of the views."""
        return float(np.median([pose[2, 3] for pose in self.rgb.poses.values()]))


def calibrate(seen: Sequence[Seen], target: Target, sizes: Mapping[str, tuple[int, int]]) -> Rig:
    """From the views; `sizes` are (width, height) of the frames, by camera. CalibrationError: too few views."""
    points = {
        "rgb": {view.name: view.rgb for view in seen if view.rgb is not None},
        "thermal": {view.name: view.thermal for view in seen if view.thermal is not None},
    }
    for camera, views in points.items():
        need(len(views), f"the target was found in {len(views)} of {len(seen)} {camera} frames", target)
    rgb, thermal = (lens(points[camera], target, sizes[camera]) for camera in ("rgb", "thermal"))
    bad = {**rgb.left_out, **thermal.left_out}
    both = {name for name in points["rgb"].keys() & points["thermal"].keys() if name not in bad}
    pairs = [view for view in seen if view.name in both]
    need(len(pairs), f"the target was found in both frames of {len(pairs)} of {len(seen)} pairs", target)
    return together(pairs, target, rgb, thermal)


def need(views: int, text: str, target: Target) -> None:
    """CalibrationError unless there are enough views."""
    if views < LEAST_VIEWS:
        raise CalibrationError(
            f"{text}, expected at least {LEAST_VIEWS}. Is it {target.columns} points wide and {target.rows} high "
            f"({target}), wholly in both views, flat and sharp, and warmer or colder in parts for the thermal camera?"
        )


def lens(views: Points, target: Target, size: tuple[int, int]) -> Lens:
    """Intrinsics from the views, without the bad ones."""
    left_out: dict[str, float] = {}
    for _ in range(ROUNDS):
        found = fit_lens({name: each for name, each in views.items() if name not in left_out}, target, size, left_out)
        bad = worst(found.errors, size)
        if bad is None or len(found.errors) <= LEAST_VIEWS:
            break
        left_out[bad] = found.errors[bad]
    used = {name: views[name] for name in found.errors}
    return replace(found, doubt=doubt(used, target, size))


def doubt(views: Points, target: Target, size: tuple[int, int]) -> float:
    """As `Lens.doubt`."""
    names = list(views)
    kept = [[name for i, name in enumerate(names) if i % GROUPS != group] for group in range(GROUPS)]
    focal = [fit_lens({name: views[name] for name in each}, target, size, {}).matrix[0, 0] for each in kept]
    return float(np.sqrt((GROUPS - 1) * np.var(focal)) / np.mean(focal))


def fit_lens(views: Points, target: Target, size: tuple[int, int], left_out: dict[str, float]) -> Lens:
    """One fit."""
    cv = opencv()
    _, matrix, distortion, turns, shifts, _, _, errors = cv.calibrateCameraExtended(
        [target.points()] * len(views), list(views.values()), size, None, None,
        flags=cv.CALIB_FIX_K3, criteria=criteria(),
    )  # fmt: skip
    poses = [rigid(cv.Rodrigues(turn)[0], shift) for turn, shift in zip(turns, shifts, strict=True)]
    return Lens(
        size, matrix, distortion.ravel()[:5], dict(zip(views, map(float, errors.ravel()), strict=True)),
        dict(zip(views, poses, strict=True)), dict(left_out),
    )  # fmt: skip


def together(pairs: Sequence[Seen], target: Target, rgb: Lens, thermal: Lens) -> Rig:
    """How the cameras stand to one another, without the bad views."""
    left_out: dict[str, float] = {}
    for _ in range(ROUNDS):
        chosen = [view for view in pairs if view.name not in left_out]
        rig = fit_pose(chosen, target, rgb, thermal, left_out)  # with the lenses free, they would give in to bad views
        larger = {name: max(each) for name, each in rig.errors.items()}
        bad = worst(larger, rgb.size)
        if bad is None or len(chosen) <= LEAST_VIEWS:
            break
        left_out[bad] = larger[bad]
    shared = len(rig.errors) >= SHARED * max(len(rgb.errors), len(thermal.errors))
    return fit_pose(chosen, target, rgb, thermal, left_out, lenses_too=True) if shared else rig


def fit_pose(
    views: Sequence[Seen],
    target: Target,
    rgb: Lens,
    thermal: Lens,
    left_out: Mapping[str, float],
    lenses_too: bool = False,
) -> Rig:
    """One fit."""
    cv = opencv()
    lenses = cv.CALIB_USE_INTRINSIC_GUESS | cv.CALIB_FIX_K3 if lenses_too else cv.CALIB_FIX_INTRINSIC
    _, matrix_1, lens_1, matrix_2, lens_2, turn, shift, *_, errors = cv.stereoCalibrateExtended(
        [target.points()] * len(views), [view.rgb for view in views], [view.thermal for view in views],
        rgb.matrix.copy(), rgb.distortion.copy(), thermal.matrix.copy(), thermal.distortion.copy(), rgb.size,
        None, None, flags=lenses, criteria=criteria(),
    )  # fmt: skip
    by_view = zip(views, np.reshape(errors, (len(views), 2)).tolist(), strict=True)
    return Rig(
        replace(rgb, matrix=matrix_1, distortion=lens_1.ravel()[:5]),
        replace(thermal, matrix=matrix_2, distortion=lens_2.ravel()[:5]),
        rigid(turn, shift), {view.name: (a, b) for view, (a, b) in by_view}, dict(left_out),
    )  # fmt: skip


def criteria() -> tuple[int, int, float]:
    """When OpenCV's optimisation may stop."""
    cv = opencv()
    return cv.TERM_CRITERIA_COUNT | cv.TERM_CRITERIA_EPS, ITERATIONS, PRECISION


def rigid(turn: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """(4, 4) from a rotation (3, 3) and a shift."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, np.ravel(shift)
    return matrix


def unit(size: tuple[int, int]) -> float:
    """Pixels of a frame of this size for one of a frame `WIDTH` wide; small frames are judged as these."""
    return max(1.0, size[0] / WIDTH)


def worst(errors: Mapping[str, float], size: tuple[int, int]) -> str | None:
    """The view that fits worst, if it is a bad one."""
    name = max(errors, key=lambda each: errors[each])
    limit = max(BAD_TIMES * float(np.median(list(errors.values()))), BAD_LEAST * unit(size))
    return name if errors[name] > limit else None


def mean_error(errors: Sequence[float]) -> float:
    """RMS over all views."""
    return float(np.sqrt(np.mean(np.square(errors))))
