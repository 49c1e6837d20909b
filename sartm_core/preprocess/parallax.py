"""Registration without parallax: each rgb pixel goes through its depth into the thermal picture.

rgb pixel --its ray, its depth--> point --extrinsic--> point of the thermal camera --its lens--> thermal pixel

One homography is right for one plane; this is right for everything that has a depth. Where it is missing a homography
stands in. What the rgb camera sees past an edge that hides it from the thermal camera is *occluded*: the thermal pixel
there shows something nearer, and is not read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sartm_core.preprocess.camera import RAYS_KEPT, Camera
from sartm_core.preprocess.depth import metres
from sartm_core.preprocess.registration import GridMaker, Registration, SamplingGrid, sampling_grid
from sartm_core.preprocess.resize import resize

TOLERANCE = 1.5
"""Default of `DepthRegistration.tolerance`."""
ORTHONORMAL = 1e-3
"""Largest error of a rotation's entries."""
SAME = 1 - 1e-6
"""Of two points, the nearness of one that is this far behind is the same."""
CACHED = 1 << 14
"""Pixels that are worked on together on a CPU: 64 KiB for each of some ten intermediate results."""


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
        width, height = self.rgb.size
        if abs(depth.shape[-1] * height - depth.shape[0] * width) > max(width, height):
            raise ValueError(
                f"depth: got {depth.shape[-1]}x{depth.shape[0]}, the rgb camera has {width}x{height}; expected depth "
                "aligned to it, of the same shape (align_depth of the driver, depth_image_proc's RegisterNode)"
            )
        return DepthView(self, metres(depth))


@dataclass(frozen=True, eq=False)
class DepthView:
    """The registration of one frame: takes the place of a `Registration` in a call."""

    cameras: DepthRegistration
    depth: np.ndarray
    """(H, W) float32 metres of the rgb view, NaN where it is missing."""

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

    def sampling_grid(
        self,
        thermal_size: tuple[int, int],
        rgb_size: tuple[int, int],
        size: tuple[int, int],
        device: torch.device,
        grid: GridMaker | None = None,
    ) -> SamplingGrid:
        """As the function of this name, sizes (width, height); `inside` is 0 where occluded."""
        landed = self.land(thermal_size, size, device)
        inside, where = landed.visible, torch.zeros(*landed.u.shape, 2, device=device)  # (H, W), (H, W, 2)
        if self.cameras.fallback is not None:
            other = (grid or sampling_grid)(self.cameras.fallback, thermal_size, rgb_size, size, device)
            inside = inside | (~landed.known & (other.inside[0, 0] > 0))
            where.copy_(other.where[0])
        for axis, place in enumerate((landed.u, landed.v)):
            unit = place.add(0.5).mul_(2 / thermal_size[axis]).sub_(1)  # (H, W), -1..1 over the thermal frame
            where[..., axis] = torch.where(landed.visible, unit, where[..., axis])
        rgb, thermal = self.cameras.rgb.resized(size), self.cameras.thermal.resized(thermal_size)
        steps = (thermal.focal[i] / rgb.focal[i] for i in (0, 1))
        width, height = (max(1, round(n / max(1.0, step))) for n, step in zip(thermal_size, steps, strict=True))
        return SamplingGrid(where[None], inside[None, None].float(), (height, width))

    def occluded(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: pixels with a depth that the thermal camera cannot see behind something nearer.

        Both sizes are (height, width).
        """
        return self.land(thermal_size[::-1], rgb_size[::-1]).occluded.numpy()

    def rgb_pixels(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> np.ndarray:
        """As `Registration.rgb_pixels`: the nearest of the rgb pixels that land on each thermal pixel."""
        height, width = thermal_size
        landed = self.land((width, height), rgb_size[::-1])
        cells = Cells((width, height), 1)
        target, buffer = cells.of(landed), torch.zeros(cells.count)
        cells.fill(target, landed.nearness, buffer)
        front = landed.visible & (landed.nearness >= buffer.take(target) * SAME)
        source, target = front.flatten().nonzero()[:, 0], target[front]  # (n,) rgb pixels that nothing is in front of
        places = torch.full((height * width,), -1, dtype=torch.int32)
        places[target] = source.int()
        seen = places.view(height, width).numpy()
        if self.cameras.fallback is None:
            return seen
        other = self.cameras.fallback.rgb_pixels(thermal_size, rgb_size)
        known = np.append(landed.known.numpy().ravel(), True)  # place -1 is the last
        return np.where((seen < 0) & ~known[other], other, seen)

    def thermal_pixels(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> np.ndarray:
        """As `Registration.thermal_pixels`; -1 too where the view is occluded."""
        height, width = thermal_size
        landed = self.land((width, height), rgb_size[::-1])
        x, y = landed.u.round().clamp_(0, width - 1), landed.v.round().clamp_(0, height - 1)
        places: np.ndarray = torch.where(landed.visible, y.mul_(width).add_(x), -1).int().numpy()
        if self.cameras.fallback is None:
            return places
        return np.where(landed.known.numpy(), places, self.cameras.fallback.thermal_pixels(thermal_size, rgb_size))

    def land(self, thermal_size: tuple[int, int], size: tuple[int, int], device: torch.device | str = "cpu") -> Landing:
        """Where the pixels of the rgb view at `size` fall in the thermal picture; both (width, height)."""
        device, cameras = torch.device(device), self.cameras
        rgb, thermal = cameras.rgb.resized(size), cameras.thermal.resized(thermal_size)
        step = max(t / r for t, r in zip(thermal.focal, rgb.focal, strict=True))  # thermal pixels for each rgb pixel
        cells = Cells(thermal_size, max(1, math.ceil(step)))
        buffer = torch.zeros(cells.count, device=device)
        turned = turned_rays(rgb, cameras.rgb_to_thermal, device)  # (3, H, W)
        shift = cameras.rgb_to_thermal[3:12:4]
        depth = torch.from_numpy(at_size(self.depth, size)).to(device)  # (H, W)
        whole, targets = Landing.empty(size, device), []
        for rows in blocks(size, device):
            part = whole.rows(rows)
            part.known.copy_(depth[rows] > 0)
            landing(part, turned[:, rows], depth[rows], shift, thermal)
            targets.append(cells.of(part))
            cells.fill(targets[-1], part.nearness, buffer)
        # points of one surface in a cell come from rgb pixels side by side, those of two from as far apart as parallax
        parallax = max(rgb.focal) * math.dist(shift, (0, 0, 0))
        apart = cameras.tolerance * max(1.0, cells.side / step) / parallax if parallax else math.inf
        for rows, target in zip(blocks(size, device), targets, strict=True):
            part = whole.rows(rows)
            torch.logical_and(part.visible, buffer.take(target) - part.nearness > apart, out=part.occluded)
            part.visible.logical_xor_(part.occluded)
        return whole


FrameRegistration = Registration | DepthView
"""What warps one thermal frame into the rgb view."""


@dataclass(frozen=True, eq=False)
class Landing:
    """Where the pixels of an rgb view fall in a thermal picture; (H, W) each."""

    u: Tensor
    """x in the thermal picture, pixels; anything where not `visible`, as the next two."""
    v: Tensor
    """y."""
    nearness: Tensor
    """1 / distance from the thermal camera, 1/m."""
    known: Tensor
    """bool: there is a depth."""
    visible: Tensor
    """bool: within the thermal picture, and not occluded."""
    occluded: Tensor
    """bool: within it, but behind something nearer."""

    @classmethod
    def empty(cls, size: tuple[int, int], device: torch.device) -> Landing:
        """For an rgb view of (width, height); nothing is occluded yet."""
        shape = size[1], size[0]
        floats = (torch.empty(shape, device=device) for _ in range(3))
        return cls(*floats, *(torch.zeros(shape, dtype=torch.bool, device=device) for _ in range(3)))

    def rows(self, rows: slice) -> Landing:
        """Views of some rows."""
        return Landing(*(getattr(self, field.name)[rows] for field in fields(self)))


def landing(part: Landing, turned: Tensor, depth: Tensor, shift: Sequence[float], thermal: Camera) -> None:
    """Fill in u, v, nearness and visible of some rows; turned (3, h, W), depth (h, W)."""
    x, y, z = (torch.mul(turned[i], depth).add_(shift[i]) for i in range(3))
    nearness = torch.reciprocal(z, out=part.nearness)
    x, y = x.mul_(nearness), y.mul_(nearness)
    u, v = thermal.pixels(x, y)
    # one number that is below 1 where all is well: comparing is what costs on a CPU
    width, height = thermal.size
    off = torch.maximum((u - (width - 1) / 2).abs_().mul_(2 / width), (v - (height - 1) / 2).abs_().mul_(2 / height))
    off = torch.maximum(off, 1 - z)  # behind the camera, or nearer than 0 m
    if thermal.widest() < math.inf:
        off = torch.maximum(off, (x * x + y * y).mul_(thermal.widest() ** -2))
    torch.lt(off, 1, out=part.visible)  # False for NaN
    part.u.copy_(u)
    part.v.copy_(v)


@dataclass(frozen=True)
class Cells:
    """The squares of a depth buffer over a thermal picture: so large that a surface leaves none of its own empty."""

    size: tuple[int, int]
    """(width, height) of the picture."""
    side: int
    """Pixels of a square's side."""

    @property
    def across(self) -> int:
        return -(-self.size[0] // self.side)

    @property
    def count(self) -> int:
        """One more than there are squares: the last is for what is not within the picture."""
        return self.across * -(-self.size[1] // self.side) + 1

    def of(self, landed: Landing) -> Tensor:
        """(h, W) int64: the square of each pixel; whole numbers up to 2^24 in float32."""
        column, row = (place.add(0.5).div_(self.side).floor_() for place in (landed.u, landed.v))
        return torch.where(landed.visible, row.mul_(self.across).add_(column), self.count - 1).long()

    def fill(self, target: Tensor, nearness: Tensor, buffer: Tensor) -> None:
        """Put the largest nearness of all that go to a square into a buffer (count,)."""
        buffer.scatter_reduce_(0, target.flatten(), nearness.flatten(), "amax")


def blocks(size: tuple[int, int], device: torch.device) -> list[slice]:
    """Rows of a picture (width, height) to work on together: on a CPU so few that they stay in its cache."""
    rows = max(1, CACHED // size[0]) if device.type == "cpu" else size[1]
    return [slice(first, first + rows) for first in range(0, size[1], rows)]


@lru_cache(RAYS_KEPT)
def turned_rays(camera: Camera, matrix: tuple[float, ...], device: torch.device) -> Tensor:
    """(3, H, W): what one metre of depth along each pixel's ray adds to a point in the other camera's frame."""
    x, y = camera.rays()
    turn = np.array(matrix).reshape(4, 4)[:3, :3]
    turned = np.einsum("ij,jhw->ihw", turn, np.stack([x, y, np.ones_like(x)]))
    return torch.from_numpy(turned.astype(np.float32)).to(device)


def at_size(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) -> (H, W) for `size` (width, height), nearest: depths of two surfaces have no mean."""
    height, width = depth.shape
    if (width, height) == size:
        return depth
    rows, columns = ((np.arange(n) + 0.5) * (m / n) for n, m in ((size[1], height), (size[0], width)))
    return depth[rows.astype(np.int64)[:, None], columns.astype(np.int64)]


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
