"""The points of a target in a picture of either camera, found by OpenCV.

Heat does not follow ink: in the sun or under a lamp the black squares are the warm ones, a heated plate behind a mask
has warm holes. So each picture is looked at as it is and inverted, then both again, longer, with even contrast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sartm_ros.calibration.needs import opencv
from sartm_ros.calibration.overlay import as_bytes
from sartm_ros.calibration.sources import FramePair
from sartm_ros.calibration.target import Target

WIDTH = 640
"""Smaller pictures are enlarged by a whole factor to at least this, at most `LARGEST_FACTOR`."""
LARGEST_FACTOR = 4
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
CLIP, TILES = 4.0, (8, 8)
"""Contrast limit and grid of the equalisation."""
SMALLEST_BLOB, LARGEST_BLOB = 2e-5, 2e-2
"""Area of a circle, parts of the picture."""
LEAST_AREA = 12.0
"""Its area at least, px."""


@dataclass(frozen=True, eq=False)
class Seen:
    """The target in one pair of frames; None where it was not found. Points (N, 2) x, y, in one order."""

    name: str
    rgb: np.ndarray | None
    thermal: np.ndarray | None


def see(frames: Sequence[FramePair], target: Target, tick: Callable[[], None]) -> list[Seen]:
    """Look for the target in all frames; `tick` is called after each."""
    found = []
    for frame in frames:
        rgb, thermal = find(grey(frame.rgb), target), find(as_bytes(frame.thermal), target)
        if rgb is not None and thermal is not None:
            rgb, thermal = target.alike(rgb, thermal)
        found.append(Seen(frame.name, rgb, thermal))
        tick()
    return found


def grey(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) uint8 brightness."""
    return np.rint(rgb.astype(np.float32) @ LUMA).astype(np.uint8)


def find(picture: np.ndarray, target: Target) -> np.ndarray | None:
    """The points (N, 2) float32 in a picture (H, W) uint8, row by row; None where they are not all seen."""
    factor = min(LARGEST_FACTOR, max(1, -(-WIDTH // picture.shape[1])))
    size = picture.shape[1] * factor, picture.shape[0] * factor
    large = np.array(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)) if factor > 1 else picture
    for shown, longer in looks(large):
        points = corners(shown, target, longer) if target.kind == "chessboard" else circles(shown, target)
        if points is not None and len(points) == target.columns * target.rows:
            points = points.reshape(-1, 2).astype(np.float64)  # (N, 2)
            return ((points + 0.5) / factor - 0.5).astype(np.float32)
    return None


def looks(picture: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
    """The picture as it is, inverted, and both with even contrast; True beside those that may take longer."""
    even = opencv().createCLAHE(CLIP, TILES).apply(picture)
    for shown, longer in ((picture, False), (even, True)):
        yield shown, longer
        yield 255 - shown, longer


def corners(picture: np.ndarray, target: Target, longer: bool) -> np.ndarray | None:
    """The inner corners of a chessboard, to parts of a pixel."""
    cv = opencv()
    flags = cv.CALIB_CB_NORMALIZE_IMAGE | cv.CALIB_CB_ACCURACY | (cv.CALIB_CB_EXHAUSTIVE if longer else 0)
    found, points = cv.findChessboardCornersSB(picture, target.size, flags=flags)
    return points if found else None


def circles(picture: np.ndarray, target: Target) -> np.ndarray | None:
    """The centres of dark circles. OpenCV makes a grid of them in two ways; each misses boards that the other finds."""
    cv = opencv()
    grid = cv.CALIB_CB_ASYMMETRIC_GRID if target.kind == "asymmetric_circles" else cv.CALIB_CB_SYMMETRIC_GRID
    for way in (0, cv.CALIB_CB_CLUSTERING):
        found, points = cv.findCirclesGrid(picture, target.size, flags=grid | way, blobDetector=blobs(picture.size))
        if found:
            return points
    return None


def blobs(area: int) -> object:
    """A detector of round dark spots in a picture of so many pixels."""
    cv = opencv()
    settings = cv.SimpleBlobDetector_Params()
    settings.minArea, settings.maxArea = max(LEAST_AREA, SMALLEST_BLOB * area), LARGEST_BLOB * area
    settings.minDistBetweenBlobs = float(np.sqrt(settings.minArea))
    return cv.SimpleBlobDetector_create(settings)
