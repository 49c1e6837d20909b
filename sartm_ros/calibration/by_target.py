"""`sartm calibrate --target`: look for the target, calibrate, judge, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sartm_core.support.files import write_text
from sartm_ros.calibration import rig_files, rig_pictures, rig_report, rig_trust
from sartm_ros.calibration.corners import Seen, see
from sartm_ros.calibration.needs import CalibrationError
from sartm_ros.calibration.rig import Rig, calibrate, mean_error
from sartm_ros.calibration.sources import FramePair, size_of
from sartm_ros.calibration.target import Target

SHOWN = 12
"""Views in the report at most; bad ones first."""


def run(
    frames: Sequence[FramePair],
    target: Target,
    folder: Path,
    comments: Sequence[str],
    distance: float | None,
    crop: Sequence[int],
    tick: Callable[[], None],
) -> list[str]:
    """Write all files and the report below `folder`; returns what to tell. CalibrationError: not to be trusted.

    `distance` is that of the homography, metres; None: where the target was. `comments` go into the registration.
    """
    seen = see(frames, target, tick)
    sizes = {"rgb": size_of(frames[0].rgb), "thermal": size_of(frames[0].thermal)}
    try:
        rig = calibrate(seen, target, sizes)
    except CalibrationError as error:
        refuse(str(error), frames, seen, target, None, folder)
    remarks = rig_trust.remarks(rig, seen)
    if against := rig_trust.objections(rig):
        refuse("; ".join([*against, *remarks]), frames, seen, target, rig, folder)
    lines = headline(rig)
    rig_files.write(rig, folder, distance or rig.distance, [*lines, *remarks, *comments], crop)
    report("Calibration of two cameras", [*lines, *remarks], frames, seen, target, rig, folder)
    return [*lines, *(f"note: {remark}" for remark in remarks)]


def refuse(
    why: str, frames: Sequence[FramePair], seen: Sequence[Seen], target: Target, rig: Rig | None, folder: Path
) -> None:
    """The report of what was found, then CalibrationError."""
    report("Calibration refused", [why], frames, seen, target, rig, folder)
    path = folder / rig_report.REPORT
    raise CalibrationError(f"no calibration to be trusted: {why}; nothing but {path} was written")


def headline(rig: Rig) -> list[str]:
    """The numbers in words."""
    lines = []
    for name, lens in (("rgb", rig.rgb), ("thermal", rig.thermal)):
        error = mean_error(list(lens.errors.values()))
        lines.append(
            f"{name} {lens.size[0]}x{lens.size[1]}: focal length {lens.matrix[0, 0]:.1f}, {lens.matrix[1, 1]:.1f} px "
            f"(+- {lens.doubt:.2%}), centre {lens.matrix[0, 2]:.1f}, {lens.matrix[1, 2]:.1f}; reprojection error "
            f"{error:.2f} px RMS in {len(lens.errors)} views"
        )
    turn, shift = rig.rgb_to_thermal[:3, :3], -rig.rgb_to_thermal[:3, :3].T @ rig.rgb_to_thermal[:3, 3]
    angle = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    both = [mean_error([error[i] for error in rig.errors.values()]) for i in range(2)]
    x, y, z = (1000 * shift).tolist()
    lines.append(
        f"thermal camera {x:.1f} mm right of the rgb camera, {y:.1f} mm below, {z:.1f} mm in front of it, turned by "
        f"{angle:.2f} degrees; together {both[0]:.2f} rgb and {both[1]:.2f} thermal px RMS in {len(rig.errors)} views"
    )
    return lines


def report(
    title: str, lines: Sequence[str], frames: Sequence[FramePair], seen: Sequence[Seen], target: Target,
    rig: Rig | None, folder: Path,
) -> None:  # fmt: skip
    """report.html"""
    good = rig.errors if rig else {}
    order = sorted(range(len(seen)), key=lambda i: seen[i].name in good)[:SHOWN]  # stable: bad ones first
    pictures = {"Coverage": rig_pictures.coverage(seen, rig)} if rig else {}
    chosen = [frames[i] for i in order], [seen[i] for i in order]
    pictures[f"Views ({len(order)} of {len(seen)})"] = rig_pictures.views(*chosen, target, rig)
    write_text(folder / rig_report.REPORT, rig_report.page(title, lines, seen, rig, pictures))
