"""Pictures to judge a calibration with a target by eye."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from sartm_core.preprocess.parallax import DepthRegistration
from sartm_core.support.visualize import contact_sheet
from sartm_ros.calibration.corners import Seen
from sartm_ros.calibration.overlay import CELL_WIDTH, as_bytes, with_edges
from sartm_ros.calibration.rig import Lens, Rig
from sartm_ros.calibration.rig_files import camera
from sartm_ros.calibration.sources import FramePair
from sartm_ros.calibration.target import Target

COLUMNS = ("rgb, points found", "thermal, points found", "thermal edges on rgb, at the target's distance")
COVERAGE = ("rgb: all points", "thermal: all points")
DOT = 3.5
"""Radius of a point, px."""
FIRST, LAST, MISSED = (255, 60, 60), (60, 120, 255), (255, 200, 0)
"""Colours of the first and the last point of a view, and of those of views that are left out."""
PAPER = 24
"""Grey of a picture without a frame in it."""


def views(frames: Sequence[FramePair], seen: Sequence[Seen], target: Target, rig: Rig | None) -> Image.Image:
    """One row a view: both frames with the points found, and the thermal one brought onto the other by `rig`."""
    rows = [_row(frame, view, target, rig) for frame, view in zip(frames, seen, strict=True)]
    return contact_sheet(rows, COLUMNS, [view.name for view in seen])


def _row(frame: FramePair, view: Seen, target: Target, rig: Rig | None) -> list[np.ndarray]:
    rgb, small = shrunk(frame.rgb, view.rgb)
    grey = np.repeat(as_bytes(frame.thermal)[..., None], 3, axis=2)
    thermal, there = shrunk(grey, view.thermal)
    row = [with_points(rgb, small, target), with_points(thermal, there, target)]
    together = rig is not None and view.name in rig.rgb.poses
    return [
        *row,
        with_edges(rgb, at_target(frame, view, rig, rgb.shape[1])) if together else np.full_like(rgb, PAPER),
    ]


def shrunk(picture: np.ndarray, points: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The picture at `CELL_WIDTH`, smaller ones enlarged, and the points on it."""
    height, width = picture.shape[:2]
    scale = CELL_WIDTH / width
    resized = Image.fromarray(np.ascontiguousarray(picture)).resize((CELL_WIDTH, round(height * scale)))
    return np.array(resized), None if points is None else (points + 0.5) * scale - 0.5


def with_points(picture: np.ndarray, points: np.ndarray | None, target: Target) -> np.ndarray:
    """Points joined in their order, from red to blue: it must be the same on both pictures."""
    if points is None:
        return picture // 2
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    colors = np.linspace(FIRST, LAST, target.rows).astype(int)
    for row in range(target.rows):
        line = [tuple(map(float, p)) for p in points[row * target.columns : (row + 1) * target.columns]]
        draw.line(line, fill=tuple(colors[row]), width=1)
        for x, y in line:
            draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), outline=tuple(colors[row]))
    x, y = map(float, points[0])
    draw.ellipse((x - 2 * DOT, y - 2 * DOT, x + 2 * DOT, y + 2 * DOT), outline=FIRST, width=2)
    return np.array(image)


def at_target(frame: FramePair, view: Seen, rig: Rig, width: int) -> np.ndarray:
    """(H, W) float32: the thermal frame as the rgb camera would see it if all were in the target's plane."""
    rgb = camera(rig.rgb)
    rgb = rgb.resized((width, round(rgb.size[1] * width / rgb.size[0])))
    pose = rig.rgb.poses[view.name]
    across, down = rgb.rays()  # (2, H, W)
    normal = pose[:3, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = (normal @ pose[:3, 3]) / (normal[0] * across + normal[1] * down + normal[2])  # (H, W)
    depth = np.where(depth > 0, depth, np.nan).astype(np.float32)
    at = DepthRegistration(rgb, camera(rig.thermal), tuple(rig.rgb_to_thermal.ravel())).at(depth)
    values = torch.from_numpy(as_bytes(frame.thermal).astype(np.float32) + 1)[None, None]  # (1, 1, h, w); 0: not seen
    warped = at.warp(values, depth.shape, depth.shape)[0, 0].numpy()
    return np.where(warped > 0, warped, np.nan).astype(np.float32)


def coverage(seen: Sequence[Seen], rig: Rig) -> Image.Image:
    """Where in the two pictures the points of all views are."""
    return contact_sheet([[_spread(seen, "rgb", rig.rgb), _spread(seen, "thermal", rig.thermal)]], COVERAGE)


def _spread(seen: Sequence[Seen], name: str, lens: Lens) -> np.ndarray:
    scale = CELL_WIDTH / lens.size[0]
    image = Image.new("RGB", (CELL_WIDTH, round(lens.size[1] * scale)), (PAPER, PAPER, PAPER))
    draw = ImageDraw.Draw(image)
    for view in seen:
        points = getattr(view, name)
        color = LAST if view.name in lens.errors else MISSED
        for x, y in [] if points is None else (points + 0.5) * scale - 0.5:
            draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=color)
    return np.array(image)
