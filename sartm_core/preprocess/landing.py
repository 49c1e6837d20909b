"""Where the pixels of an rgb picture fall in a thermal one, through their depth, and which of them something hides.

Hidden ones are found by a depth buffer in the thermal picture: its squares are so large that a surface leaves none of
its own empty. Points of one surface in a square come from rgb pixels side by side; those of two, from pixels as far
apart as their parallax.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sartm_core.preprocess.camera import RAYS_KEPT, Camera
from sartm_core.support.device import Device
from sartm_core.support.gpu import upload
from sartm_core.support.late import torch

if TYPE_CHECKING:
    from torch import Tensor

CACHED = 1 << 16
"""Pixels that are worked on together on a CPU: 256 KiB for each of some six intermediate results."""


Lens = tuple[float, float, float, float]
"""fx, fy, cx, cy of a camera without distortion."""
LENSLESS: Lens = (1.0, 1.0, 0.0, 0.0)
"""Leaves points as they are."""


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
    def empty(cls, size: tuple[int, int], device: torch.device | Device) -> Landing:
        """For an rgb view of (width, height); nothing is occluded yet."""
        shape = size[1], size[0]
        floats = (torch.empty(shape, device=device) for _ in range(3))
        return cls(*floats, *(torch.zeros(shape, dtype=torch.bool, device=device) for _ in range(3)))

    def rows(self, rows: slice) -> Landing:
        """Views of some rows."""
        return Landing(*(getattr(self, one.name)[rows] for one in fields(self)))


def land(
    rgb: Camera,
    thermal: Camera,
    rgb_to_thermal: tuple[float, ...],
    depth: np.ndarray,
    tolerance: float,
    device: torch.device | Device,
) -> Landing:
    """Follow each pixel of an rgb picture through its depth into a thermal one.

    Args:
        rgb, thermal: the cameras, resized to the pictures.
        rgb_to_thermal: 4x4, row by row.
        depth: (H, W) metres of the rgb view in any resolution, NaN where missing.
        tolerance: rgb pixels of parallax between two points on one thermal pixel; with more, the farther one is hidden.
        device: to work on.
    """
    step = max(t / r for t, r in zip(thermal.focal, rgb.focal, strict=True))  # thermal pixels for each rgb pixel
    cells = Cells(thermal.size, max(1, math.ceil(step)))
    buffer = torch.zeros(cells.count, device=device)
    lens = LENSLESS if any(thermal.distortion) else (*thermal.focal, *thermal.centre)
    turned = turned_rays(rgb, rgb_to_thermal, lens, device)  # (3, H, W)
    shift = through(lens, np.array(rgb_to_thermal).reshape(4, 4)[:3, 3:]).ravel().tolist()
    metres = upload(at_size(depth, rgb.size), device)  # (H, W)
    whole, targets = Landing.empty(rgb.size, device), []
    for rows in blocks(rgb.size, device):
        part = whole.rows(rows)
        torch.gt(metres[rows], 0, out=part.known)
        fill_in(part, turned[:, rows], metres[rows], shift, thermal)
        targets.append(cells.of(part).flatten())
        cells.fill(targets[-1], part.nearness, buffer)
    parallax = max(rgb.focal) * math.dist(rgb_to_thermal[3:12:4], (0, 0, 0))  # of something at 1 m, rgb pixels
    apart = tolerance * max(1.0, cells.side / step) / parallax if parallax else math.inf
    for rows, target in zip(blocks(rgb.size, device), targets, strict=True):
        part = whole.rows(rows)
        nearer = buffer.index_select(0, target).view_as(part.nearness).sub_(part.nearness)
        torch.logical_and(part.visible, nearer > apart, out=part.occluded)
        part.visible.logical_xor_(part.occluded)
    return whole


def fill_in(part: Landing, turned: Tensor, depth: Tensor, shift: Sequence[float], thermal: Camera) -> None:
    """u, v, nearness and visible of some rows, in place; turned (3, h, W), depth (h, W), shift x, y, z."""
    x, y, z = ((turned[i] * depth).add_(shift[i]) for i in range(3))
    nearness = torch.reciprocal(z, out=part.nearness)
    u, v = torch.mul(x, nearness, out=part.u), torch.mul(y, nearness, out=part.v)
    # one number that is below 1 where all is well: comparing is what costs on a CPU
    off = 1 - z  # behind the camera, or nearer than 0 m
    if any(thermal.distortion):  # u and v are x / z and y / z so far
        if thermal.widest() < math.inf:
            off = torch.maximum(off, (u * u + v * v).mul_(thermal.widest() ** -2))
        for place, seen in zip((u, v), thermal.pixels(u, v), strict=True):
            place.copy_(seen)
    for place, length in zip((u, v), thermal.size, strict=True):
        off = torch.maximum(off, place.sub((length - 1) / 2).abs_().mul_(2 / length))
    torch.lt(off, 1, out=part.visible)  # False for NaN


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
        column, row = (place.add(0.5).mul_(1 / self.side).floor_() for place in (landed.u, landed.v))
        return torch.where(landed.visible, column.add_(row, alpha=self.across), self.count - 1).long()

    def fill(self, target: Tensor, nearness: Tensor, buffer: Tensor) -> None:
        """Put the largest nearness of all that go to a square into a buffer (count,)."""
        buffer.scatter_reduce_(0, target.flatten(), nearness.flatten(), "amax")


def blocks(size: tuple[int, int], device: torch.device | Device) -> list[slice]:
    """Rows of a picture (width, height) to work on together: on a CPU so few that they stay in its cache."""
    rows = max(1, CACHED // size[0]) if device.type == "cpu" else size[1]
    return [slice(first, first + rows) for first in range(0, size[1], rows)]


def through(lens: Lens, points: np.ndarray) -> np.ndarray:
    """(3, ...) x, y, z -> the same with x and y so that x / z and y / z are pixels."""
    focal, centre = np.array(lens[:2]), np.array(lens[2:])
    return np.stack([*(focal[i] * points[i] + centre[i] * points[2] for i in (0, 1)), points[2]])


@lru_cache(RAYS_KEPT)
def turned_rays(camera: Camera, matrix: tuple[float, ...], lens: Lens, device: torch.device | Device) -> Tensor:
    """(3, H, W): what one metre of depth along each pixel's ray adds to a point in the other camera's frame, `through`
    its lens."""
    x, y = camera.rays()
    turn = np.array(matrix).reshape(4, 4)[:3, :3]
    turned = np.einsum("ij,jhw->ihw", turn, np.stack([x, y, np.ones_like(x)]))
    return torch.from_numpy(through(lens, turned).astype(np.float32)).to(device)


def at_size(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) -> (H, W) for `size` (width, height), nearest: depths of two surfaces have no mean."""
    height, width = depth.shape
    if (width, height) == size:
        return depth
    rows, columns = ((np.arange(n) + 0.5) * (m / n) for n, m in ((size[1], height), (size[0], width)))
    return depth[rows.astype(np.int64)[:, None], columns.astype(np.int64)]
