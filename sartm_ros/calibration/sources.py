"""Frames to calibrate on: single files, or a folder of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sartm_ros.calibration.needs import CalibrationError

LEAST_SIDE = 32
"""Smaller frames hold nothing to match."""


@dataclass(frozen=True, eq=False)
class FramePair:
    """A colour and a thermal frame of one moment."""

    name: str
    rgb: np.ndarray
    """(H, W, 3) uint8."""
    thermal: np.ndarray
    """(h, w) uint8, uint16 or float32."""


def from_files(rgb: Sequence[Path], thermal: Sequence[Path]) -> list[FramePair]:
    """Image files (PNG, JPEG, TIFF; thermal 8 or 16 bit) or .npy arrays, the first with the first and so on.

    Raises CalibrationError naming the file.
    """
    if len(rgb) != len(thermal):
        raise CalibrationError(f"--rgb names {len(rgb)} files, --thermal {len(thermal)}; expected as many")
    return [FramePair(a.stem, read_rgb(a), read_thermal(b)) for a, b in zip(rgb, thermal, strict=True)]


def read_rgb(path: Path) -> np.ndarray:
    """(H, W, 3) uint8."""
    from sartm_core.data import images as files

    if path.suffix.lower() != ".npy":
        return _read(files.read_rgb, path)
    array = _read(_load, path)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise CalibrationError(f"{path}: got {array.shape} {array.dtype}, expected (H, W, 3) uint8")
    return array


def read_thermal(path: Path) -> np.ndarray:
    """(h, w) uint8, uint16 or float32."""
    from sartm_core.data import images as files

    if path.suffix.lower() != ".npy":
        return _read(files.read_thermal, path)
    array = _read(_load, path)
    if array.ndim != 2 or array.dtype.kind not in "uif":
        raise CalibrationError(f"{path}: got {array.shape} {array.dtype}, expected (h, w) numbers")
    return array if array.dtype in (np.uint8, np.uint16) else array.astype(np.float32)


def _load(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, allow_pickle=False))


def _read(reader: object, path: Path) -> np.ndarray:
    try:
        return np.asarray(reader(path))  # type: ignore[operator]
    except (ValueError, OSError, EOFError) as error:
        text = str(error)
        raise CalibrationError(text if str(path) in text else f"{path}: {text}") from error


def from_folder(root: Path, names: Sequence[str], most: int) -> list[FramePair]:
    """Pairs of a data set folder: those `names`, or `most` spread evenly over all. CalibrationError naming it."""
    from sartm_core.data.datasets import open_pairs

    try:
        pairs = open_pairs(root)
        unknown = [name for name in names if name not in pairs.names]
        if unknown:
            raise CalibrationError(f"--name {unknown[0]}: no such frame in {root}; it has e.g. {pairs.names[:3]}")
        chosen = list(names) or [pairs.names[i] for i in spaced(len(pairs.names), most)]
        return [FramePair(name, pairs.rgb_of(name), pairs.thermal_of(name)) for name in chosen]
    except ValueError as error:
        raise CalibrationError(str(error)) from error


def spaced(count: int, most: int) -> list[int]:
    """At most `most` indices, evenly over `count`."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(most, count)).round()})


def cropped(frames: Sequence[FramePair], crop: Sequence[int]) -> list[FramePair]:
    """The frames without `crop` (top, bottom, left, right) pixels of the thermal ones: the node's `thermal.crop_*`."""
    top, bottom, left, right = crop
    return [
        FramePair(f.name, f.rgb, f.thermal[top : f.thermal.shape[0] - bottom, left : f.thermal.shape[1] - right])
        for f in frames
    ]


def checked(frames: Sequence[FramePair]) -> list[FramePair]:
    """The frames, if they can be used together. CalibrationError when sizes differ or nothing can be seen."""
    if not frames:
        raise CalibrationError("no frames to calibrate on")
    first = frames[0]
    for frame in frames:
        for role, image, expected in (("rgb", frame.rgb, first.rgb), ("thermal", frame.thermal, first.thermal)):
            if image.shape[:2] != expected.shape[:2]:
                raise CalibrationError(
                    f"{frame.name}: the {role} frame is {_size(image)}, that of {first.name} {_size(expected)}; "
                    "all frames of a camera must have one size"
                )
            if min(image.shape[:2]) < LEAST_SIDE:
                raise CalibrationError(f"{frame.name}: the {role} frame is {_size(image)}, expected {LEAST_SIDE} px")
            values = image[np.isfinite(image)]
            if values.size == 0 or values.min() == values.max():
                raise CalibrationError(f"{frame.name}: the {role} frame is of one value everywhere; nothing to match")
    return list(frames)


def size_of(image: np.ndarray) -> tuple[int, int]:
    """(width, height) of an array (H, W, ...)."""
    return int(image.shape[1]), int(image.shape[0])


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
