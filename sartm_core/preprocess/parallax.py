"""Registration without parallax: each rgb pixel goes through its depth into the thermal picture.

rgb pixel --its ray, its depth--> point --extrinsic--> point of the thermal camera --its lens--> thermal pixel

One homography is right for one plane; this is right for everything that has a depth. Where it is missing a homography
stands in. What the rgb camera sees past an edge that hides it from the thermal camera is *occluded*: the thermal pixel
there shows something nearer, and is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sartm_core.preprocess.camera import Camera
from sartm_core.preprocess.depth import metres
from sartm_core.preprocess.landing import Cells, Landing, OnCpu, land
from sartm_core.preprocess.registration import GridMaker, Registration, SamplingGrid, sampling_grid
from sartm_core.preprocess.resize import resize
from sartm_core.preprocess.warping import PlaceMaker, Places, places, places_at, seen_at, widened
from sartm_core.support.device import CPU, Device
from sartm_core.support.late import F, torch

if TYPE_CHECKING:
    from torch import Tensor

TOLERANCE = 1.5
"""Default of `DepthRegistration.tolerance`."""
ORTHONORMAL = 1e-3
"""Largest error of a rotation's entries."""


@dataclass(frozen=True)
class DepthRegistration:
    """How the two cameras stand to each other. `at(depth)` is the registration of one frame."""

    rgb: Camera
    """The colour camera."""
    thermal: Camera
    """The thermal camera, after `thermal.crop_*`."""
    rgb_to_thermal: tuple[float, ...]
    """4x4, row by row: a point in the rgb optical frame, in metres, -> in the thermal one. In TF: the transform with
    target frame thermal and source frame rgb."""
    fallback: Registration | None = None
    """Used where depth is missing; None: nothing is seen there."""
    tolerance: float = TOLERANCE
    """rgb pixels of parallax between two points on one thermal pixel; with more, the farther one is hidden."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rgb_to_thermal", rigid(self.rgb_to_thermal))
        if not self.tolerance > 0:
            raise ValueError(f"registration.tolerance: got {self.tolerance}, expected pixels above 0")

    def at(self, depth: np.ndarray) -> DepthView:
        """With the depth image of a frame, aligned to the rgb camera: (H, W) uint16 millimetres or float32 metres.

        It may be smaller or larger than the rgb frame. ValueError for another type or another shape of picture.
        """
        metre = metres(depth)
        self.rgb.check_shape("depth", depth.shape[1], depth.shape[0], "; align it to the rgb camera (driver's option)")
        return DepthView(self, metre)


@dataclass(frozen=True, eq=False)
class DepthView:
    """The registration of one frame: takes the place of a `Registration` in a call."""

    cameras: DepthRegistration
    depth: np.ndarray
    """(H, W) float32 metres of the rgb view, NaN where it is missing."""
    landed: dict[tuple[Any, ...], Landing] = field(default_factory=dict, repr=False)
    """What `land` found, by its arguments."""

    @property
    def coverage(self) -> float:
        """Share of pixels with a depth, 0..1."""
        return float(np.isfinite(self.depth).mean())

    def warp(
        self, thermal: Tensor, rgb_size: tuple[int, int], size: tuple[int, int], grid: GridMaker | None = None
    ) -> Tensor:
        """As `Registration.warp`; 0 too where the view is occluded. `grid` is for the fallback's grids."""
        points = self.sampling_grid(
            (thermal.shape[-1], thermal.shape[-2]), (rgb_size[1], rgb_size[0]), (size[1], size[0]), thermal.device, grid
        )
        shrunk = resize(thermal, points.shrink_to)  # (N, 1, h', w')
        where = points.where.expand(len(thermal), -1, -1, -1)  # (N, H, W, 2)
        warped = F.grid_sample(shrunk, where, mode="bilinear", padding_mode="border", align_corners=False)
        return warped * points.inside  # (N, 1, H, W)

    def warped(
        self, thermal: np.ndarray, rgb_size: tuple[int, int], size: tuple[int, int], make: PlaceMaker | None = None
    ) -> np.ndarray:
        """The same for arrays, (h, w) float32 -> (*size); `make` is a cached `warping.places`, for the fallback's."""
        sizes = thermal.shape[::-1], rgb_size[::-1], size[::-1]
        image, found = widened(thermal, self.shrink_to(sizes[0], sizes[2])), np.empty(size, np.float32)
        for rows, part in self.places(*sizes, make):
            found[rows] = seen_at(part, image)
        return found

    def sampling_grid(
        self,
        thermal_size: tuple[int, int],
        rgb_size: tuple[int, int],
        size: tuple[int, int],
        device: torch.device | Device,
        grid: GridMaker | None = None,
    ) -> SamplingGrid:
        """As the function of this name, sizes (width, height); `inside` is 0 where occluded."""
        landed = self.land(thermal_size, rgb_size, size, device)
        u, v, known, visible = (
            torch.as_tensor(x) for x in (landed.u, landed.v, landed.known, landed.visible)
        )  # (H, W) each
        inside, where = visible, torch.zeros(*u.shape, 2, device=device)  # (H, W), (H, W, 2)
        if self.cameras.fallback is not None:
            other = (grid or sampling_grid)(self.cameras.fallback, thermal_size, rgb_size, size, device)
            inside = inside | (~known & (other.inside[0, 0] > 0))
            where.copy_(other.where[0])
        for axis, place in enumerate((u, v)):
            unit = place.add(0.5).mul_(2 / thermal_size[axis]).sub_(1)  # (H, W), -1..1 over the thermal frame
            where[..., axis] = torch.where(visible, unit, where[..., axis])
        return SamplingGrid(where[None], inside[None, None].float(), self.shrink_to(thermal_size, size))

    def places(
        self,
        thermal_size: tuple[int, int],
        rgb_size: tuple[int, int],
        size: tuple[int, int],
        make: PlaceMaker | None = None,
    ) -> Iterator[tuple[slice, Places]]:
        """The same for arrays, as `warping.places`, by some rows at a time."""
        landed = self.land(thermal_size, rgb_size, size)
        shrunk, fallback = self.shrink_to(thermal_size, size), None
        if self.cameras.fallback is not None:
            fallback = (make or places)(self.cameras.fallback, thermal_size, rgb_size, size, shrunk)
        for rows in OnCpu().blocks(size):
            part = landed.rows(rows)
            x, y = (np.where(part.visible, place, 0) for place in (part.u, part.v))
            for place, length, full in ((x, shrunk[1], thermal_size[0]), (y, shrunk[0], thermal_size[1])):
                if length != full:
                    place += 0.5
                    place *= length / full
                    place -= 0.5
            found = places_at(x, y, part.visible.copy(), shrunk)
            yield rows, found if fallback is None else found.or_else(fallback.rows(rows), ~part.known)

    def shrink_to(self, thermal_size: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
        """(h', w') the thermal frame is resized to before it is sampled; sizes (width, height)."""
        rgb, thermal = self.cameras.rgb.resized(size), self.cameras.thermal.resized(thermal_size)
        steps = (thermal.focal[i] / rgb.focal[i] for i in (0, 1))
        width, height = (max(1, round(n / max(1.0, step))) for n, step in zip(thermal_size, steps, strict=True))
        return height, width

    def occluded(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: pixels with a depth that the thermal camera cannot see behind something nearer.

        Both sizes are (height, width).
        """
        return self.land(thermal_size[::-1], rgb_size[::-1], rgb_size[::-1]).occluded

    def rgb_pixels(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> np.ndarray:
        """As `Registration.rgb_pixels`: the nearest of the rgb pixels that land on each thermal pixel."""
        height, width = thermal_size
        landed = self.land((width, height), rgb_size[::-1], rgb_size[::-1])
        cells = Cells((width, height), 1)
        # one number for each rgb pixel: its nearness above, its place below; bits of positive floats are in their order
        rank = landed.nearness.view(np.int32).ravel().astype(np.int64) << 32
        rank |= np.arange(rank.size)
        nearest = np.full(cells.count, -1, np.int64)
        with np.errstate(invalid="ignore"):  # NaN where nothing is seen
            np.maximum.at(nearest, cells.of(landed, OnCpu()).ravel(), rank)
        seen = nearest[:-1].astype(np.int32).reshape(height, width)
        if self.cameras.fallback is None:
            return seen
        other = self.cameras.fallback.rgb_pixels(thermal_size, rgb_size)
        known = np.append(landed.known.ravel(), True)  # place -1 is the last
        return np.where((seen < 0) & ~known[other], other, seen)

    def thermal_pixels(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> np.ndarray:
        """As `Registration.thermal_pixels`; -1 too where the view is occluded."""
        height, width = thermal_size
        landed = self.land((width, height), rgb_size[::-1], rgb_size[::-1])
        x, y = landed.u.round().clip(0, width - 1), landed.v.round().clip(0, height - 1)
        found = np.where(landed.visible, y * width + x, -1).astype(np.int32)
        if self.cameras.fallback is None:
            return found
        return np.where(landed.known, found, self.cameras.fallback.thermal_pixels(thermal_size, rgb_size))

    def land(
        self,
        thermal_size: tuple[int, int],
        rgb_size: tuple[int, int],
        size: tuple[int, int],
        device: torch.device | Device = CPU,
    ) -> Landing:
        """Where the pixels of the rgb view at `size` fall in the thermal picture; all sizes (width, height).

        Kept: the model's input, objects and clouds ask for the same. ValueError: frames of another shape than the
        cameras were calibrated with.
        """
        cameras = self.cameras
        cameras.rgb.check_shape("rgb", *rgb_size)
        cameras.thermal.check_shape("thermal", *thermal_size)
        key = thermal_size, size, str(device)
        if key not in self.landed:
            rgb, thermal = cameras.rgb.resized(size), cameras.thermal.resized(thermal_size)
            self.landed[key] = land(rgb, thermal, cameras.rgb_to_thermal, self.depth, cameras.tolerance, device)
        return self.landed[key]


FrameRegistration = Registration | DepthView
"""What warps one thermal frame into the rgb view."""


def rigid(matrix: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    """16 floats of a rotation and a shift. ValueError for anything else."""
    values = np.asarray(matrix, np.float64).ravel()
    if values.size == 16 and np.isfinite(values).all():
        square = values.reshape(4, 4)
        turn = square[:3, :3]
        proper = np.abs(turn @ turn.T - np.eye(3)).max() < ORTHONORMAL and np.linalg.det(turn) > 0
        if proper and np.allclose(square[3], (0, 0, 0, 1)):
            return tuple(values.tolist())
    raise ValueError(
        f"registration.rgb_to_thermal: got {values.tolist()}, expected 16 numbers, row by row: a 4x4 matrix of a "
        "rotation and a shift in metres"
    )
