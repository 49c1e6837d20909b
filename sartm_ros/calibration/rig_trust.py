"""Whether to believe a calibration with a target: objections, after which nothing is written, and remarks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sartm_ros.calibration.corners import Seen
from sartm_ros.calibration.rig import LEAST_VIEWS, Lens, Rig, mean_error, unit

LARGEST_ERROR = 1.0
"""RMS reprojection error of a camera and of the pair, px of an image 640 wide."""
LARGEST_DOUBT = 0.02
"""Standard error of a focal length, parts of it: views from the front alone do not tell it from the distance."""
LARGEST_LOSS = 0.5
"""Part of the views that may fit badly."""
GOOD_VIEWS, GOOD_COVER, CELLS = 10, 0.6, 4
"""Fewer views, or points in a smaller part of the picture's `CELLS` x `CELLS` cells, are remarked on."""


def objections(rig: Rig) -> list[str]:
    """What speaks against it, in words; empty when nothing does."""
    found = []
    for name, lens in (("rgb", rig.rgb), ("thermal", rig.thermal)):
        error, limit = mean_error(list(lens.errors.values())), LARGEST_ERROR * unit(lens.size)
        if error > limit:
            found.append(f"reprojection error of the {name} camera is {error:.2f} px RMS, expected at most {limit:.1f}")
        if not lens.doubt <= LARGEST_DOUBT:
            found.append(
                f"focal length of the {name} camera is known to {lens.doubt:.1%}, expected {LARGEST_DOUBT:.0%}: turn "
                "the target 30 degrees and more, to all sides, near and far"
            )
        if len(lens.left_out) > LARGEST_LOSS * (len(lens.errors) + len(lens.left_out)):
            found.append(f"{len(lens.left_out)} {name} views fit badly: {', '.join(lens.left_out)}")
    error = mean_error([max(each) for each in rig.errors.values()])
    limit = LARGEST_ERROR * max(unit(rig.rgb.size), unit(rig.thermal.size))
    if error > limit:
        found.append(
            f"the views of the two cameras do not fit together, {error:.2f} px RMS, expected at most {limit:.1f}: hold "
            "the target still, and compare the frames' stamps"
        )
    if len(rig.errors) < LEAST_VIEWS:
        found.append(f"{len(rig.errors)} views of both cameras are left, expected {LEAST_VIEWS}")
    return found


def remarks(rig: Rig, seen: Sequence[Seen]) -> list[str]:
    """What to know, or to do better, in words."""
    found = []
    for name, lens in (("rgb", rig.rgb), ("thermal", rig.thermal)):
        missed = [view.name for view in seen if getattr(view, name) is None]
        if missed:
            found.append(f"no target in the {name} frames of {', '.join(missed)}")
        if lens.left_out:
            found.append(f"bad {name} views, left out: {listed(lens.left_out)}")
        cover = coverage(lens, seen, name)
        if cover < GOOD_COVER:
            found.append(
                f"the points are in {cover:.0%} of the {name} picture; the lens is not known beyond them: hold the "
                "target into the corners too"
            )
    if rig.left_out:
        found.append(f"bad pairs, left out (did the target move?): {listed(rig.left_out)}")
    if len(rig.errors) < GOOD_VIEWS:
        found.append(f"{len(rig.errors)} views of both cameras; {GOOD_VIEWS} and more are better")
    return found


def listed(errors: dict[str, float]) -> str:
    return ", ".join(f"{name} ({error:.1f} px)" for name, error in errors.items())


def coverage(lens: Lens, seen: Sequence[Seen], camera: str) -> float:
    """Part of the picture's cells that hold a point of the views in use."""
    views = [getattr(view, camera) for view in seen if view.name in lens.errors]
    cells = np.clip((np.concatenate(views) + 0.5) / lens.size * CELLS, 0, CELLS - 1).astype(int)  # (N, 2)
    return len(np.unique(cells, axis=0)) / CELLS**2
