"""Points picked by hand: a CSV file with the columns rgb_x, rgb_y, thermal_x, thermal_y in pixels."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from sartm_ros.calibration.needs import CalibrationError

COLUMNS = ("rgb_x", "rgb_y", "thermal_x", "thermal_y")


def read_points(path: Path, rgb_size: tuple[int, int], thermal_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 2) x, y of the thermal and of the rgb frame. Integer coordinates are pixel centres.

    Raises CalibrationError naming the file and line: columns missing, no number, outside its frame (width, height).
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CalibrationError(f"--points {path}: cannot be read ({error})") from error
    if not rows:
        raise CalibrationError(f"--points {path}: holds no points; expected a line {','.join(COLUMNS)} and one a point")
    missing = [name for name in COLUMNS if name not in rows[0]]
    if missing:
        raise CalibrationError(
            f"--points {path}: column {missing[0]} is missing; the first line must be {','.join(COLUMNS)}"
        )
    points = np.array([_numbers(path, number, row) for number, row in enumerate(rows, 2)])  # (N, 4)
    for first, (role, size) in ((0, ("rgb", rgb_size)), (2, ("thermal", thermal_size))):
        outside = ((points[:, first : first + 2] < -0.5) | (points[:, first : first + 2] > np.array(size) - 0.5)).any(1)
        if outside.any():
            line = int(outside.argmax()) + 2
            raise CalibrationError(
                f"--points {path}, line {line}: {role} point {points[line - 2, first : first + 2].tolist()} is outside "
                f"the {size[0]}x{size[1]} frame; were the points picked on other frames?"
            )
    return points[:, 2:], points[:, :2]


def _numbers(path: Path, line: int, row: dict[str, str]) -> list[float]:
    try:
        values = [float(row[name]) for name in COLUMNS]
    except (TypeError, ValueError) as error:
        raise CalibrationError(
            f"--points {path}, line {line}: expected four numbers, got {list(row.values())}"
        ) from error
    if not np.isfinite(values).all():
        raise CalibrationError(f"--points {path}, line {line}: expected four finite numbers, got {values}")
    return values
