"""A camera as `sensor_msgs/CameraInfo` tells of it: where a point in front of it falls on its picture, and back.

Points are in the optical frame: x right, y down, z forwards. With x, y of a point divided by its z and r^2 = x^2 + y^2
both lens models of ROS (`plumb_bob`: k4 to k6 are 0; `rational_polynomial`) say

    x_d = x (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2)
    y_d = y (the same)                                                      + p1 (r^2 + 2 y^2) + 2 p2 x y
    pixel = (fx x_d + cx, fy y_d + cy)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from sartm_core.preprocess.shapes import same_shape

MODELS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14)}
"""Names of `CameraInfo.distortion_model` -> how many numbers `d` may have; with no numbers any name will do."""
USED = 8
"""Of the numbers: k1 k2 p1 p2 k3 k4 k5 k6. Those of a thin prism and a tilted sensor must be 0."""
STEPS, ROUNDING, ACCURATE = 12, 1e-6, 1e-2
"""Newton steps from a pixel to its ray, the step of their derivatives (in ray units), and the error in pixels above
which there is no ray."""
WIDEST, FINENESS = 4.0, 4001
"""Radii x/z up to which a lens is looked at (152 degrees), and at how many of them."""
RAYS_KEPT = 16
"""Ray maps that stay in memory (2.3 MiB each at 480x640)."""


@dataclass(frozen=True)
class Camera:
    """Intrinsics. Hashable; two equal ones are the same camera."""

    size: tuple[int, int]
    """(width, height) of its pictures."""
    focal: tuple[float, float]
    """fx, fy in pixels."""
    centre: tuple[float, float]
    """cx, cy in pixels; integer coordinates are pixel centres."""
    distortion: tuple[float, ...] = ()
    """`d` of CameraInfo; empty or zeros: a rectified picture."""

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"camera: got size {self.size}, expected (width, height) in pixels")
        numbers = (*self.focal, *self.centre, *self.distortion)
        if not np.isfinite(numbers).all() or min(self.focal) <= 0:
            raise ValueError(
                f"camera: got focal {self.focal}, centre {self.centre}, distortion {self.distortion}; expected finite "
                "numbers and focal lengths above 0. Zeros mean a camera that was not calibrated"
            )
        if any(self.distortion[USED:]):
            raise ValueError(f"camera: distortion {self.distortion}: numbers after the eighth must be 0; rectify first")

    @classmethod
    def of(
        cls, width: int, height: int, k: Sequence[float], d: Sequence[float] = (), model: str = "plumb_bob"
    ) -> Camera:
        """From the fields of a CameraInfo; of pictures that `image_proc` rectified leave `d` out and give `p`'s 3x3.

        ValueError: not calibrated, skewed, or of another lens model.
        """
        matrix = np.asarray(k, np.float64).ravel()
        if matrix.size != 9:
            raise ValueError(f"camera: got k of {matrix.size} numbers, expected 9, row by row")
        if matrix[1] or matrix[3] or matrix[6] or matrix[7] or matrix[8] not in (0, 1):
            raise ValueError(f"camera: got k {matrix.tolist()}, expected [fx 0 cx 0 fy cy 0 0 1]")
        distortion = tuple(float(n) for n in d) if any(d) else ()
        if distortion and len(distortion) not in MODELS.get(model, ()):
            raise ValueError(
                f"camera: got distortion model {model!r} with {len(distortion)} numbers, expected one of {MODELS}; "
                "rectify other lenses first (image_proc)"
            )
        fx, fy, cx, cy = matrix[[0, 4, 2, 5]].tolist()
        return cls((int(width), int(height)), (fx, fy), (cx, cy), distortion)

    def resized(self, size: tuple[int, int]) -> Camera:
        """The same camera with its pictures resized to (width, height), edges on edges."""
        if size == self.size:
            return self
        x, y = size[0] / self.size[0], size[1] / self.size[1]
        focal = self.focal[0] * x, self.focal[1] * y
        centre = (self.centre[0] + 0.5) * x - 0.5, (self.centre[1] + 0.5) * y - 0.5
        return replace(self, size=size, focal=focal, centre=centre)

    def cropped(self, top: int = 0, bottom: int = 0, left: int = 0, right: int = 0) -> Camera:
        """The same camera with rows and columns cut off its pictures, as `thermal.crop_*` does."""
        size = self.size[0] - left - right, self.size[1] - top - bottom
        return replace(self, size=size, centre=(self.centre[0] - left, self.centre[1] - top))

    def check_shape(self, what: str, width: int, height: int, hint: str = "") -> None:
        """ValueError unless pictures of this size are the camera's, resized; `what` names them, `hint` says what to do.

        A picture of another shape was cropped: its centre is not known.
        """
        if not same_shape((width, height), self.size):
            raise ValueError(
                f"{what}: got {width}x{height}, its camera's calibration is of {self.size[0]}x{self.size[1]}; expected "
                f"that size, or one of the same shape{hint}"
            )

    def rays(self) -> np.ndarray:
        """(2, H, W) float32: x/z and y/z of what each pixel sees, NaN where the lens model has no answer. Read-only."""
        return rays(self)

    def pixels(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Where points fall that have these x/z, y/z: (u, v). Numpy arrays or tensors; see `widest` for how far out."""
        x, y = distorted(x, y, self.distortion)
        return x * self.focal[0] + self.centre[0], y * self.focal[1] + self.centre[1]

    def widest(self) -> float:
        """Radius x/z within which the lens model holds: beyond it, it folds the view back into the picture."""
        return widest(self.distortion)


def distorted(x: Any, y: Any, distortion: tuple[float, ...]) -> tuple[Any, Any]:
    """The formula above."""
    if not any(distortion):
        return x, y
    _, _, p1, p2, *_ = distortion
    square = x * x + y * y
    ratio = radial(square, distortion)
    twist = 2 * x * y
    return (
        x * ratio + p1 * twist + p2 * (square + 2 * x * x),
        y * ratio + p1 * (square + 2 * y * y) + p2 * twist,
    )


def radial(square: Any, distortion: tuple[float, ...]) -> Any:
    """The quotient of polynomials of r^2."""
    k1, k2, _, _, k3, k4, k5, k6 = (*distortion[:USED], *[0.0] * (USED - len(distortion)))
    above = 1 + square * (k1 + square * (k2 + square * k3))
    return above / (1 + square * (k4 + square * (k5 + square * k6))) if k4 or k5 or k6 else above


@lru_cache(RAYS_KEPT)
def widest(distortion: tuple[float, ...]) -> float:
    """As `Camera.widest`."""
    if not any(distortion):
        return np.inf
    radius = np.linspace(0, WIDEST, FINENESS)
    with np.errstate(divide="ignore", invalid="ignore"):
        growing = np.diff(radius * radial(radius**2, distortion)) > 0
    return np.inf if growing.all() else float(radius[np.argmin(growing)])


@lru_cache(RAYS_KEPT)
def rays(camera: Camera) -> np.ndarray:
    """As `Camera.rays`: Newton's method on both coordinates at once."""
    width, height = camera.size
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    seen = (across - camera.centre[0]) / camera.focal[0], (down - camera.centre[1]) / camera.focal[1]
    x, y = seen[0].copy(), seen[1].copy()
    if any(camera.distortion):
        with np.errstate(all="ignore"):
            for _ in range(STEPS):
                at = distorted(x, y, camera.distortion)
                along_x = distorted(x + ROUNDING, y, camera.distortion)
                along_y = distorted(x, y + ROUNDING, camera.distortion)
                a, c = ((b - p) / ROUNDING for b, p in zip(along_x, at, strict=True))
                b, d = ((b - p) / ROUNDING for b, p in zip(along_y, at, strict=True))
                off_x, off_y = at[0] - seen[0], at[1] - seen[1]
                area = a * d - b * c
                x, y = x - (d * off_x - b * off_y) / area, y - (a * off_y - c * off_x) / area
            at = distorted(x, y, camera.distortion)
            error = np.hypot(at[0] - seen[0], at[1] - seen[1]) * max(camera.focal)
            wrong = ~((error < ACCURATE) & (np.hypot(x, y) < camera.widest()))
        x[wrong] = y[wrong] = np.nan
    found = np.stack([x, y]).astype(np.float32)  # (2, H, W)
    found.flags.writeable = False
    return found
