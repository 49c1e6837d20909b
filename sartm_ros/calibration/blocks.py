"""Where single patches of the thermal picture lie in the colour picture: block matching on a grid, to sub-pixels.

The thermal frames are warped by what is known so far; each patch's structure is then looked for around its place in
the colour structure. The correlation surfaces of all frames are added before the peak is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sartm_core.preprocess.homography import project, resizing_matrix
from sartm_ros.calibration.coarse import Pictures
from sartm_ros.calibration.needs import fft
from sartm_ros.calibration.structure import Structure, reduce, structure, warp

LEAST_COVER = 0.6
"""Part of a patch that must have thermal data."""
LEAST_PEAK = 0.12
"""Lowest believable correlation of a patch."""
LEAST_LEAD = 1.08
"""The peak is so many times as high as any other local one, or the match is ambiguous."""
APART = 5
"""Pixels from the peak where another one begins."""


@dataclass(frozen=True)
class Level:
    """One pass of matching."""

    width: int
    """Columns the colour image is reduced to."""
    patch: int
    """Side of a patch, reduced pixels."""
    step: int
    """From patch to patch."""
    reach: int
    """Largest displacement looked for."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Points of one grid that were found again."""

    thermal: np.ndarray
    """(N, 2) x, y in pixels of the thermal frame."""
    rgb: np.ndarray
    """(N, 2) x, y in pixels of the rgb frame."""
    tried: int
    """Patches that had data on both sides."""

    def __len__(self) -> int:
        return len(self.rgb)


def match(pictures: Pictures, matrix: np.ndarray, level: Level, tick: Callable[[], None]) -> Matches:
    """Displacements of the patches from where `matrix` (3x3, thermal -> rgb pixel) puts them."""
    height, width = pictures[0][0].shape
    factor = min(1.0, level.width / max(width, height))
    size = round(width * factor), round(height * factor)
    to_small = resizing_matrix((width, height), size)
    centres = grid(size, level)  # (K, 2)
    total = np.float32(0)
    for light, heat in pictures:
        tick()
        cool = structure(reduce(light, size))
        warm = structure(warp(*shrunk(heat, to_small @ matrix), (size[1], size[0])))
        total = total + surfaces(cool, warm, centres, level)
    product, light_energy, heat_energy, cover = total
    covered = cover[:, 0, 0] / len(pictures) >= LEAST_COVER * level.patch**2
    score = product / np.sqrt(np.maximum(light_energy * heat_energy, 1e-6))  # (K, R, R)
    places, believed = peaks(score, level.reach)
    keep = covered & believed
    back = np.linalg.inv(to_small)
    return Matches(
        thermal=project(np.linalg.inv(to_small @ matrix), centres[keep]),
        rgb=project(back, centres[keep] + places[keep]),
        tried=int(covered.sum()),
    )


def grid(size: tuple[int, int], level: Level) -> np.ndarray:
    """Centres (K, 2) of the patches, x, y; a patch plus its reach may stick out of the image by half a patch."""
    axes = []
    for length in size:
        count = max(2, round((length - level.patch) / level.step) + 1)
        axes.append(np.round(np.linspace(level.patch / 2, length - level.patch / 2, count)))
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)


def shrunk(heat: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frame box-reduced where `matrix` would shrink it to less than 0.7, with the matrix that goes with it."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2] / matrix[2, 2]))))
    step = max(1, int(0.7 / max(scale, 1e-3)))
    if step == 1:
        return heat, matrix
    h, w = heat.shape
    small = max(w // step, 1), max(h // step, 1)
    return reduce(heat, small), matrix @ resizing_matrix(small, (w, h))


def surfaces(light: Structure, heat: Structure, centres: np.ndarray, level: Level) -> np.ndarray:
    """(4, K, R, R) with R = 2 reach + 1: product, energies of both, and pixels with thermal data, by displacement."""
    half, reach = level.patch // 2, level.reach
    margin = half + reach + 1
    pad = ((0, 0), (margin, margin), (margin, margin))
    maps = [np.pad(s.channels, pad) for s in (light, heat)]
    mask = np.pad(heat.mask, pad[1:])
    x, y = (centres.astype(int) + margin).T
    side, wide = np.arange(-half, half), np.arange(-half - reach, half + reach)
    small = (y[:, None, None] + side[:, None], x[:, None, None] + side[None])  # (K, patch, patch)
    large = (y[:, None, None] + wide[:, None], x[:, None, None] + wide[None])  # (K, patch + 2 reach, ...)
    cover = mask[small]  # (K, p, p)
    template, window = (
        maps[1][:, small[0], small[1]] * cover,
        maps[0][:, large[0], large[1]],
    )  # (C, K, p, p), (C, K, P, P)
    shape = (fft().next_fast_len(len(wide), real=True),) * 2

    def spectrum(maps: np.ndarray) -> np.ndarray:
        return np.asarray(fft().rfft2(maps, shape))

    def valid(values: np.ndarray) -> np.ndarray:
        return np.asarray(fft().irfft2(values, shape))[..., : 2 * reach + 1, : 2 * reach + 1]

    product = valid((spectrum(window) * np.conj(spectrum(template))).sum(axis=0))  # (K, R, R)
    energy = valid(spectrum((window**2).sum(axis=0)) * np.conj(spectrum(cover)))
    own = np.broadcast_to((template**2).sum(axis=(0, 2, 3))[:, None, None], product.shape)
    pixels = np.broadcast_to(cover.sum(axis=(1, 2))[:, None, None], product.shape)
    return np.stack([product, energy, own, pixels])


def peaks(score: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Highest point (K, 2) x, y of each surface (K, R, R) to a part of a pixel, and whether to believe it (K,)."""
    places, believed = np.zeros((len(score), 2)), np.zeros(len(score), bool)
    for index, surface in enumerate(score):
        row, column = np.unravel_index(surface.argmax(), surface.shape)
        peak = surface[row, column]
        inside = 0 < row < 2 * reach and 0 < column < 2 * reach
        if not inside or peak < LEAST_PEAK:
            continue
        places[index] = (
            column - reach + vertex(*surface[row, column - 1 : column + 2]),
            row - reach + vertex(*surface[row - 1 : row + 2, column]),
        )
        believed[index] = peak > LEAST_LEAD * rival(surface, row, column)
    return places, believed


def vertex(left: float, middle: float, right: float) -> float:
    """Where the parabola through three values at -1, 0, 1 is highest."""
    curve = left - 2 * middle + right
    return float(np.clip((left - right) / (2 * curve), -0.5, 0.5)) if curve < 0 else 0.0


def rival(surface: np.ndarray, row: int, column: int) -> float:
    """The highest local maximum at least `APART` from the peak; 0 when there is none."""
    centre = surface[1:-1, 1:-1]
    neighbours = [
        surface[1 + dy : surface.shape[0] - 1 + dy, 1 + dx : surface.shape[1] - 1 + dx]
        for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)
    ]  # fmt: skip
    top = np.all([centre >= n for n in neighbours], axis=0)
    rows, columns = np.nonzero(top)
    far = np.hypot(rows + 1 - row, columns + 1 - column) >= APART
    return float(max(centre[rows[far], columns[far]].max(initial=0.0), 0.0))
