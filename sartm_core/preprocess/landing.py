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
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sartm_core.preprocess.camera import RAYS_KEPT, Camera
from sartm_core.support.device import Device
from sartm_core.support.gpu import on_gpu, upload
from sartm_core.support.late import torch

if TYPE_CHECKING:
    from torch import Tensor

CACHED = 1 << 16
"""Pixels that are worked on together on a CPU: 256 KiB for each of some six intermediate results."""
Lens = tuple[float, float, float, float]
"""fx, fy, cx, cy of a camera without distortion."""
LENSLESS: Lens = (1.0, 1.0, 0.0, 0.0)
"""Leaves points as they are."""
Values = Any
"""A NumPy array, or a tensor on a GPU: what is done to them here reads the same for both, but for `Tools`."""


@dataclass(frozen=True, eq=False)
class Landing:
    """Where the pixels of an rgb view fall in a thermal picture; (H, W) each, arrays, or tensors on a GPU."""

    u: Values
    """x in the thermal picture, pixels, float32; anything where not `visible`, as the next two."""
    v: Values
    """y."""
    nearness: Values
    """1 / distance from the thermal camera, 1/m."""
    known: Values
    """bool: there is a depth."""
    visible: Values
    """bool: within the thermal picture, and not occluded."""
    occluded: Values
    """bool: within it, but behind something nearer."""

    @classmethod
    def empty(cls, size: tuple[int, int], tools: Tools) -> Landing:
        """For an rgb view of (width, height); nothing is occluded yet."""
        shape = size[1], size[0]
        return cls(*(tools.empty(shape) for _ in range(3)), *(tools.empty(shape, flags=True) for _ in range(3)))

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
    tools: Tools = OnGpu(device) if on_gpu(device) else OnCpu()
    step = max(t / r for t, r in zip(thermal.focal, rgb.focal, strict=True))  # thermal pixels for each rgb pixel
    cells = Cells(thermal.size, max(1, math.ceil(step)))
    buffer = tools.empty((cells.count,))
    buffer[...] = 0
    lens = LENSLESS if any(thermal.distortion) else (*thermal.focal, *thermal.centre)
    turned = turned_rays(rgb, rgb_to_thermal, lens, tools)  # (3, H, W)
    shift = through(lens, np.array(rgb_to_thermal).reshape(4, 4)[:3, 3:]).ravel().tolist()
    metres = tools.put(at_size(depth, rgb.size))  # (H, W)
    whole, targets = Landing.empty(rgb.size, tools), []
    for rows in tools.blocks(rgb.size):
        part = whole.rows(rows)
        part.known[...] = metres[rows] > 0
        with np.errstate(all="ignore"):  # NaN where there is no depth
            fill_in(part, turned[:, rows], metres[rows], shift, thermal)
            targets.append(cells.of(part, tools))
        tools.raise_to(buffer, targets[-1], tools.where(part.visible, part.nearness, 0))
    parallax = max(rgb.focal) * math.dist(rgb_to_thermal[3:12:4], (0, 0, 0))  # of something at 1 m, rgb pixels
    apart = tolerance * max(1.0, cells.side / step) / parallax if parallax else math.inf
    for rows, target in zip(tools.blocks(rgb.size), targets, strict=True):
        part = whole.rows(rows)
        nearer = buffer.take(target)
        nearer -= part.nearness
        part.occluded[...] = nearer > apart
        part.occluded[...] &= part.visible
        part.visible[...] ^= part.occluded
    return whole


def fill_in(part: Landing, turned: Values, depth: Values, shift: Sequence[float], thermal: Camera) -> None:
    """u, v, nearness and visible of some rows, in place; turned (3, h, W), depth (h, W), shift x, y, z."""
    x, y, z = (turned[i] * depth for i in range(3))
    for place, moved in zip((x, y, z), shift, strict=True):
        place += moved
    part.nearness[...] = 1 / z
    x *= part.nearness
    y *= part.nearness
    seen = z > 0  # in front of the camera; False for NaN
    if any(thermal.distortion):  # x and y are x / z and y / z so far
        if thermal.widest() < math.inf:
            seen &= x * x + y * y < thermal.widest() ** 2
        x, y = thermal.pixels(x, y)
    for place, length in zip((x, y), thermal.size, strict=True):
        seen &= place > -0.5
        seen &= place < length - 0.5
    part.u[...], part.v[...], part.visible[...] = x, y, seen


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

    def of(self, landed: Landing, tools: Tools) -> Values:
        """(h, w) integers: the square of each pixel; whole numbers up to 2^24 in float32."""
        column, row = (place + 0.5 for place in (landed.u, landed.v))
        if self.side > 1:
            column /= self.side
            row /= self.side
        column, row = tools.floor(column), tools.floor(row)
        row *= self.across
        column += row
        return tools.indices(tools.where(landed.visible, column, self.count - 1))


class Tools(Protocol):
    """Where arrays and tensors differ."""

    def __hash__(self) -> int: ...

    def empty(self, shape: tuple[int, ...], flags: bool = False) -> Values:
        """float32, or bool, of any content."""

    def put(self, image: np.ndarray) -> Values:
        """An array to where the work is done."""

    def where(self, condition: Values, one: Values, other: Values | float) -> Values: ...

    def floor(self, values: Values) -> Values:
        """The same values, rounded down."""

    def indices(self, values: Values) -> Values:
        """Whole numbers as integers."""

    def raise_to(self, buffer: Values, target: Values, values: Values) -> None:
        """Put the largest of all `values` that go to one place of the buffer there."""

    def blocks(self, size: tuple[int, int]) -> list[slice]:
        """Rows of a picture (width, height) to work on together."""


@dataclass(frozen=True)
class OnCpu:
    """With NumPy, in half the time that torch takes on one core."""

    def empty(self, shape: tuple[int, ...], flags: bool = False) -> np.ndarray:
        return np.empty(shape, bool if flags else np.float32)

    def put(self, image: np.ndarray) -> np.ndarray:
        return image

    def where(self, condition: np.ndarray, one: np.ndarray, other: np.ndarray | float) -> np.ndarray:
        return np.where(condition, one, other)

    def floor(self, values: np.ndarray) -> np.ndarray:
        return np.floor(values, out=values)

    def indices(self, values: np.ndarray) -> np.ndarray:
        return values.astype(np.intp)

    def raise_to(self, buffer: np.ndarray, target: np.ndarray, values: np.ndarray) -> None:
        np.maximum.at(buffer, target.ravel(), values.ravel())

    def blocks(self, size: tuple[int, int]) -> list[slice]:
        """So few that they stay in the cache."""
        rows = max(1, CACHED // size[0])
        return [slice(first, first + rows) for first in range(0, size[1], rows)]


@dataclass(frozen=True)
class OnGpu:
    """With torch."""

    device: torch.device | Device

    def empty(self, shape: tuple[int, ...], flags: bool = False) -> Tensor:
        return torch.empty(shape, dtype=torch.bool if flags else torch.float32, device=self.device)

    def put(self, image: np.ndarray) -> Tensor:
        return upload(image, self.device)

    def where(self, condition: Tensor, one: Tensor, other: Tensor | float) -> Tensor:
        return torch.where(condition, one, other)

    def floor(self, values: Tensor) -> Tensor:
        return values.floor_()

    def indices(self, values: Tensor) -> Tensor:
        return values.long()

    def raise_to(self, buffer: Tensor, target: Tensor, values: Tensor) -> None:
        buffer.scatter_reduce_(0, target.flatten(), values.flatten(), "amax")

    def blocks(self, size: tuple[int, int]) -> list[slice]:
        return [slice(0, size[1])]


def through(lens: Lens, points: np.ndarray) -> np.ndarray:
    """(3, ...) x, y, z -> the same with x and y so that x / z and y / z are pixels."""
    focal, centre = np.array(lens[:2]), np.array(lens[2:])
    return np.stack([*(focal[i] * points[i] + centre[i] * points[2] for i in (0, 1)), points[2]])


@lru_cache(RAYS_KEPT)
def turned_rays(camera: Camera, matrix: tuple[float, ...], lens: Lens, tools: Tools) -> Values:
    """(3, H, W): what one metre of depth along each pixel's ray adds to a point in the other camera's frame, `through`
    its lens."""
    x, y = camera.rays()
    turn = np.array(matrix).reshape(4, 4)[:3, :3]
    turned = np.einsum("ij,jhw->ihw", turn, np.stack([x, y, np.ones_like(x)]))
    return tools.put(through(lens, turned).astype(np.float32))


def at_size(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) -> (H, W) for `size` (width, height), nearest: depths of two surfaces have no mean."""
    height, width = depth.shape
    if (width, height) == size:
        return depth
    rows, columns = ((np.arange(n) + 0.5) * (m / n) for n, m in ((size[1], height), (size[0], width)))
    return depth[rows.astype(np.int64)[:, None], columns.astype(np.int64)]
