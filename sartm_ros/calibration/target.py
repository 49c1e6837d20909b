"""The target that both cameras look at: a flat board with a grid of points whose places are known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sartm_ros.calibration.needs import CalibrationError

KINDS = ("chessboard", "circles", "asymmetric_circles")
FORM = "KIND:COLUMNSxROWS:METRES"
LEAST_SIDE = 3
"""Fewer points in a row or a column say nothing about the lens."""


@dataclass(frozen=True)
class Target:
    """A board. Its points lie in its plane z = 0, x along a row, y down the columns, the first one at 0, 0."""

    kind: str
    """`chessboard`: the points are the corners where four squares meet, one fewer than squares on each side.
    `circles`: the centres of a square grid. `asymmetric_circles`: every other row is shifted by half a step."""
    columns: int
    """Points in a row."""
    rows: int
    """Rows of points; of an asymmetric grid the shifted rows count too."""
    spacing: float
    """Metres from one point to the next; of an asymmetric grid from one row to the next, as in OpenCV."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise CalibrationError(f"--target: got '{self.kind}', expected one of {', '.join(KINDS)} ({FORM})")
        if min(self.columns, self.rows) < LEAST_SIDE:
            raise CalibrationError(
                f"--target: got {self.columns}x{self.rows} points, expected at least {LEAST_SIDE}x{LEAST_SIDE}"
            )
        if not 0 < self.spacing < np.inf:
            raise CalibrationError(f"--target: got a spacing of {self.spacing:g}, expected metres above 0")

    @classmethod
    def parse(cls, text: str) -> Target:
        """`chessboard:9x6:0.03`: inner corners of a chessboard whose squares are 3 cm wide."""
        found = re.fullmatch(r"(\w+):(\d{1,3})x(\d{1,3}):([0-9.]+)", text)
        try:
            if found:
                return cls(found[1], int(found[2]), int(found[3]), float(found[4]))
        except ValueError:  # of float: 0.0.3
            pass
        raise CalibrationError(f"--target: got '{text}', expected {FORM}, as chessboard:9x6:0.03")

    def __str__(self) -> str:
        return f"{self.kind}:{self.columns}x{self.rows}:{self.spacing:g}"

    @property
    def size(self) -> tuple[int, int]:
        """(columns, rows), as OpenCV takes it."""
        return self.columns, self.rows

    def points(self) -> np.ndarray:
        """(N, 3) float32 metres, row by row."""
        row, column = np.mgrid[: self.rows, : self.columns]
        across = 2 * column + row % 2 if self.kind == "asymmetric_circles" else column
        flat = np.stack([across, row, np.zeros_like(row)], axis=-1).reshape(-1, 3)  # (N, 3)
        return (flat * self.spacing).astype(np.float32)

    def orders(self) -> list[np.ndarray]:
        """The orders (N,) in which a finder may list the points of the same board: as it is, turned, mirrored.

        A chessboard upside down looks like itself where the thermal camera sees black as white.
        """
        points = self.points()
        apart = distances(points)
        return [order for order in self._turned() if np.allclose(distances(points[order]), apart)]

    def _turned(self) -> Iterator[np.ndarray]:
        grid = np.arange(self.columns * self.rows).reshape(self.rows, self.columns)
        for each in (grid, grid.T) if self.columns == self.rows else (grid,):
            for shown in (each, each[::-1, ::-1], each[::-1], each[:, ::-1]):
                yield shown.ravel()

    def axes(self, found: np.ndarray) -> np.ndarray:
        """(2, 2) unit vectors: the ways that rows and columns of the `found` points (N, 2) run in a picture."""
        grid = found.reshape(self.rows, self.columns, 2)
        ways = np.stack([(grid[:, -1] - grid[:, 0]).mean(axis=0), (grid[-1] - grid[0]).mean(axis=0)])
        return ways / np.linalg.norm(ways, axis=1, keepdims=True)

    def facing(self, found: np.ndarray) -> list[np.ndarray]:
        """The `found` points (N, 2) in all orders that show the board from its front."""
        ordered = [found[order] for order in self.orders()]
        return [each for each in ordered if np.linalg.det(self.axes(each)) > 0]

    def alike(self, rgb: np.ndarray, thermal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both pictures' points (N, 2) in one order: that in which the cameras are turned least to one another."""
        first = (self.facing(rgb) or [rgb])[0]
        axes = self.axes(first)
        return first, max(self.facing(thermal) or [thermal], key=lambda each: float((self.axes(each) * axes).sum()))


def distances(points: np.ndarray) -> np.ndarray:
    """(N, N) from each of the points (N, 3) to each."""
    return np.linalg.norm(points[:, None] - points[None], axis=-1)
