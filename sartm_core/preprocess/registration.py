"""Where a thermal pixel is in the rgb view: a homography, and the warp that brings a thermal frame there.

thermal pixel --H--> rgb pixel --resize--> pixel of the model input. The warp runs through it backwards.
Integer coordinates are pixel centres, so a frame covers -0.5 .. width - 0.5, as in `torch`'s align_corners=False.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sartm_core.preprocess.homography import (
    check_horizon,
    check_invertible,
    footprint,
    project,
    resizing_matrix,
    unit_matrix,
)
from sartm_core.preprocess.resize import resize
from sartm_core.preprocess.shapes import warn_of_shape
from sartm_core.support.device import Device
from sartm_core.support.late import F, torch

if TYPE_CHECKING:
    from torch import Tensor

ANY = (0, 0)
"""As a (width, height): that of the frames that come."""
NOMINAL_SIZE = (640, 480)
"""Stands in for a size that is not known yet when a matrix is checked."""

MAPS_KEPT = 32
"""Maps between the cameras' pixels that stay in memory (1.2 MiB each at 480x640): two per camera pair of a robot."""
FOOTPRINTS = 1000
"""At how many pixels, at most, the change of scale is looked at."""


@dataclass(frozen=True)
class Registration:
    """How the thermal view lies in the rgb view. Hashable; two equal ones are the same mapping.

    Raises ValueError unless the matrix is 9 finite numbers, can be inverted and shows no point of the thermal frame
    at infinity.
    """

    matrix: tuple[float, ...]
    """3x3 homography H, row by row: thermal pixel (x, y, 1) -> rgb pixel, up to scale."""
    thermal_size: tuple[int, int] = ANY
    """(width, height) the matrix was measured at; frames of another size are taken as resized. (0, 0): any."""
    rgb_size: tuple[int, int] = ANY
    """The same of the rgb frame."""
    stretched: bool = False
    """`matrix` starts from the thermal frame stretched over the rgb view, in rgb pixels from its centre, and ends
    there too; see `scale_shift`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", nine_numbers(self.matrix))
        for name in ("thermal_size", "rgb_size"):
            object.__setattr__(self, name, checked_size(name, getattr(self, name)))
        rgb_size = known(self.rgb_size, NOMINAL_SIZE)
        thermal_size = known(self.thermal_size, NOMINAL_SIZE)
        matrix = self.homography(thermal_size, rgb_size)
        check_invertible(matrix, thermal_size, rgb_size)
        if self.thermal_size != ANY:
            check_horizon(matrix, self.thermal_size)

    @classmethod
    def scale_shift(
        cls,
        scale: Sequence[float] = (1.0, 1.0),
        shift: Sequence[float] = (0.0, 0.0),
        thermal_size: Sequence[int] = ANY,
        rgb_size: Sequence[int] = ANY,
    ) -> Registration:
        """The thermal frame stretched over the rgb view, as without registration, then scaled about the centre, then
        shifted. (1, 1), (0, 0) changes nothing.

        Args:
            scale: (x, y), above 0; below 1 where the thermal lens sees less than the rgb lens.
            shift: (x, y) in rgb pixels, right and down.
            thermal_size: (width, height); needed only for `apply` and `inverse`.
            rgb_size: (width, height) that `shift` was measured at; (0, 0): that of the frames that come.
        """
        if len(scale) != 2 or not all(np.isfinite(v) and v > 0 for v in scale):
            raise ValueError(f"registration.scale: got {list(scale)}, expected two numbers above 0 (x, y)")
        if len(shift) != 2 or not all(np.isfinite(v) for v in shift):
            raise ValueError(f"registration.shift: got {list(shift)}, expected two numbers (x, y) in rgb pixels")
        matrix = (scale[0], 0.0, shift[0], 0.0, scale[1], shift[1], 0.0, 0.0, 1.0)
        sizes = checked_size("thermal_size", thermal_size), checked_size("rgb_size", rgb_size)
        return cls(matrix, *sizes, stretched=True)

    def homography(self, thermal_size: tuple[int, int] = ANY, rgb_size: tuple[int, int] = ANY) -> np.ndarray:
        """H (3, 3) float64 for frames of these (width, height); without, at the sizes it was measured at."""
        measured_rgb = known(self.rgb_size, rgb_size)
        matrix = np.array(self.matrix).reshape(3, 3)
        if self.stretched:
            measured_thermal = measured_rgb  # after stretching
            if ANY in (measured_rgb, known(thermal_size, self.thermal_size)):
                raise ValueError("registration: scale and shift need thermal_size and rgb_size to become a matrix")
            centre = np.array([[1, 0, (measured_rgb[0] - 1) / 2], [0, 1, (measured_rgb[1] - 1) / 2], [0, 0, 1]])
            matrix = centre @ matrix @ np.linalg.inv(centre)
        else:
            measured_thermal = known(self.thermal_size, thermal_size)
        before = resizing_matrix(known(thermal_size, self.thermal_size), measured_thermal)
        return resizing_matrix(measured_rgb, known(rgb_size, self.rgb_size)) @ matrix @ before

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Thermal pixels (N, 2) x, y -> rgb pixels (N, 2) float64, at the measured sizes; on the horizon: inf."""
        return project(self.homography(), np.asarray(points, np.float64).reshape(-1, 2))

    def inverse(self) -> Registration:
        """rgb -> thermal: a registration with the two cameras changed over."""
        matrix = np.linalg.inv(self.homography())
        return Registration(tuple(matrix.ravel()), thermal_size=self.rgb_size, rgb_size=self.thermal_size)

    def rgb_pixels(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> np.ndarray:
        """The rgb pixel that each thermal pixel sees: (h, w) int32, its place in the flat frame, -1 outside it.

        Both sizes are (height, width). Read-only, and kept: of the same sizes it costs nothing.
        """
        return pixel_map(self, thermal_size, rgb_size, to_rgb=True)

    def thermal_pixels(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> np.ndarray:
        """The thermal pixel nearest to each rgb pixel: (H, W) int32, as above."""
        return pixel_map(self, thermal_size, rgb_size, to_rgb=False)

    def warp(
        self, thermal: Tensor, rgb_size: tuple[int, int], size: tuple[int, int], grid: GridMaker | None = None
    ) -> Tensor:
        """Bring thermal frames into the rgb view, on their device; 0 where the thermal camera sees nothing.

        Args:
            thermal: (N, 1, h, w) float.
            rgb_size: (H0, W0) of the rgb frame.
            size: (H, W) of the model input, which shows the whole rgb frame.
            grid: a cached `sampling_grid`.

        Returns:
            (N, 1, H, W); of the identity between equal views: what a plain resize gives.

        Raises:
            ValueError: at these sizes a point of the thermal frame is at infinity, or the views share nothing.
        """
        height, width = thermal.shape[-2:]
        points = (grid or sampling_grid)(
            self, (width, height), (rgb_size[1], rgb_size[0]), (size[1], size[0]), thermal.device
        )
        shrunk = resize(thermal, points.shrink_to)  # (N, 1, h', w'), no larger than seen at the model's input
        where = points.where.expand(len(thermal), -1, -1, -1)  # (N, H, W, 2)
        warped = F.grid_sample(shrunk, where, mode="bilinear", padding_mode="border", align_corners=False)
        return warped * points.inside  # (N, 1, H, W)


@dataclass(frozen=True, eq=False)
class SamplingGrid:
    """Where each pixel of the model input is found in the thermal frame."""

    where: Tensor
    """(1, H, W, 2) float32 x, y in -1..1 over the thermal frame."""
    inside: Tensor
    """(1, 1, H, W) float32: 1 where that is within the thermal frame, else 0."""
    shrink_to: tuple[int, int]
    """(h', w') the thermal frame is resized to before it is sampled, so that fine texture does not alias."""


GridMaker = Callable[
    [Registration, tuple[int, int], tuple[int, int], tuple[int, int], "torch.device | Device"], SamplingGrid
]
"""`sampling_grid` or a cache of it."""


def sampling_grid(
    registration: Registration,
    thermal_size: tuple[int, int],
    rgb_size: tuple[int, int],
    size: tuple[int, int],
    device: torch.device | Device,
) -> SamplingGrid:
    """The grid for frames of these (width, height) and a model input of `size` (width, height).

    Costs more than its use and is constant: keep it (`functools.lru_cache` takes these arguments).
    """
    where, inside, shrink_to = located(registration, thermal_size, rgb_size, size)
    return SamplingGrid(
        torch.from_numpy(where.astype(np.float32)).to(device)[None],
        torch.from_numpy(inside.astype(np.float32)).to(device)[None, None],
        shrink_to,
    )


def located(
    registration: Registration, thermal_size: tuple[int, int], rgb_size: tuple[int, int], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """What a `SamplingGrid` has: (H, W, 2) float64, (H, W) bool, (h', w')."""
    warn_of_shape("thermal", thermal_size, registration.thermal_size)
    warn_of_shape("rgb", rgb_size, registration.rgb_size)
    matrix = registration.homography(thermal_size, rgb_size)
    check_invertible(matrix, thermal_size, rgb_size)
    check_horizon(matrix, thermal_size)
    back = np.linalg.inv(resizing_matrix(rgb_size, size) @ matrix)  # model input pixel -> thermal pixel
    pixels = np.stack(np.meshgrid(np.arange(size[0]), np.arange(size[1])), -1)  # (H, W, 2) x, y
    with np.errstate(invalid="ignore"):
        where = project(unit_matrix(thermal_size) @ back, pixels)  # (H, W, 2), -1..1 over the thermal frame
        inside = (np.abs(where) <= 1).all(-1)  # (H, W), False at infinity
    if not inside.any():
        raise ValueError(
            f"registration: no pixel of the rgb view {rgb_size[0]}x{rgb_size[1]} falls on the thermal frame "
            f"{thermal_size[0]}x{thermal_size[1]}; expected H from thermal to rgb pixels, is it the inverse?"
        )
    where[~inside] = 0
    seen = pixels[inside]  # (K, 2)
    steps = footprint(back, seen[:: len(seen) // FOOTPRINTS + 1])
    width, height = (max(1, round(n / max(1.0, step))) for n, step in zip(thermal_size, steps, strict=True))
    return where, inside, (height, width)


@lru_cache(MAPS_KEPT)
def pixel_map(
    registration: Registration | None, thermal_size: tuple[int, int], rgb_size: tuple[int, int], to_rgb: bool
) -> np.ndarray:
    """As `Registration.rgb_pixels` or, without `to_rgb`, `.thermal_pixels`; None: both cameras show the same view."""
    source, target = (thermal_size[::-1], rgb_size[::-1]) if to_rgb else (rgb_size[::-1], thermal_size[::-1])
    if registration is None:
        matrix = resizing_matrix(source, target)
    else:
        matrix = registration.homography(thermal_size[::-1], rgb_size[::-1])
        check_horizon(matrix, thermal_size[::-1])
        matrix = matrix if to_rgb else np.linalg.inv(matrix)
    pixels = np.stack(np.meshgrid(np.arange(source[0]), np.arange(source[1])), -1)  # (h, w, 2) x, y
    x, y = np.moveaxis(np.rint(project(matrix, pixels)), -1, 0)  # (h, w) each
    inside = (x >= 0) & (x < target[0]) & (y >= 0) & (y < target[1])  # False at infinity
    places = np.where(inside, y * target[0] + x, -1).astype(np.int32)
    places.flags.writeable = False
    return places


def known(size: tuple[int, int], otherwise: tuple[int, int]) -> tuple[int, int]:
    """`size`, or the other one where it is (0, 0)."""
    return otherwise if size == ANY else size


def nine_numbers(matrix: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    """Nine floats. ValueError for anything else."""
    try:
        values = np.asarray(matrix, np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise ValueError(f"registration.homography: got {matrix!r}, expected 9 numbers, row by row") from error
    if values.size != 9 or not np.isfinite(values).all():
        raise ValueError(f"registration.homography: got {values.tolist()}, expected 9 finite numbers, row by row")
    return tuple(values.tolist())


def checked_size(name: str, size: Sequence[int]) -> tuple[int, int]:
    """(width, height) as integers: both above 0, or both 0."""
    if len(size) != 2 or any(n != int(n) or n < 0 for n in size) or (0 in size and any(size)):
        raise ValueError(f"registration.{name}: got {list(size)}, expected [width, height] in pixels, or [0, 0]")
    return int(size[0]), int(size[1])
