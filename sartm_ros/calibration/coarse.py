"""Where the thermal view lies in the colour view, roughly: a search over scale, rotation and every shift.

For each scale and rotation the thermal structure is slid over the colour structure (all shifts at once, by FFT); the
correlations of all frames are added up, since the cameras are mounted on one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sartm_core.preprocess.homography import project, resizing_matrix
from sartm_ros.calibration.needs import fft
from sartm_ros.calibration.structure import Structure, reduce, structure, warp

WIDTH = 160
"""The colour image is reduced to this many columns (rows, where it is upright)."""
VIEWS = tuple(float(v) for v in np.geomspace(0.4, 2.0, 28))
"""Thermal views of this many times the colour view's width are tried first."""
FINE_VIEWS = (0.97, 1.0, 1.03)
FINE_ROTATIONS = (-5.0, -2.5, 0.0, 2.5, 5.0)
"""Then around the best ones: factors of the scale, and degrees."""
KEEP = 3
"""Scales to look around, and guesses to hand on."""
ELSEWHERE = 0.08
"""Guesses that agree to this part of the colour image's width are one."""
LEAST_OVERLAP = 0.35
"""Part of the smaller view that must lie within the other one."""
SQUARE = 0.03
"""Frames whose aspect ratios differ by more than this are also tried stretched onto one another."""


@dataclass(frozen=True)
class Guess:
    """A similarity (with the pixels' aspect) and how far its correlation stands out."""

    score: float
    """Correlation times the square root of the overlap: comparable between scales."""
    view: float
    """Width of the thermal view in widths of the colour view."""
    stretch: float
    """Vertical over horizontal scale."""
    rotation: float
    """Degrees, clockwise in the picture."""
    matrix: np.ndarray
    """3x3, thermal pixel -> rgb pixel."""


Pictures = Sequence[tuple[np.ndarray, np.ndarray]]
"""(brightness (H, W), heat (h, w)), float32, of each frame."""


def search(pictures: Pictures, tick: Callable[[], None]) -> list[Guess]:
    """The `KEEP` best guesses over all frames, best first; `tick` is called `steps()` times at most."""
    height, width = pictures[0][0].shape
    factor = min(1.0, WIDTH / min(width, height * 4 / 3))
    size = round(width * factor), round(height * factor)
    lights = [structure(reduce(light, size)) for light, _ in pictures]
    heats = [heat for _, heat in pictures]
    h, w = heats[0].shape
    stretches = [1.0]
    if abs(ratio := (height / width) * (w / h) - 1) > SQUARE:
        stretches.append(1 + ratio)

    def guess(view: float, stretch: float, rotation: float) -> Guess:
        tick()
        score, matrix = slide(lights, heats, view * size[0] / w, stretch, rotation)
        return Guess(score, view, stretch, rotation, resizing_matrix(size, (width, height)) @ matrix)

    first = sorted((guess(v, s, 0.0) for v in VIEWS for s in stretches), key=lambda g: -g.score)[:KEEP]
    fine = [
        guess(g.view * factor, g.stretch, rotation)
        for g in first for factor in FINE_VIEWS for rotation in FINE_ROTATIONS if (factor, rotation) != (1.0, 0.0)
    ]  # fmt: skip
    return distinct(first + fine, (w, h), ELSEWHERE * width)


def distinct(guesses: Sequence[Guess], thermal_size: tuple[int, int], apart: float) -> list[Guess]:
    """The best guess, then the best that puts a corner of the thermal view `apart` pixels elsewhere, up to `KEEP`."""
    kept: list[Guess] = []
    ends = corners(thermal_size)
    for guess in sorted(guesses, key=lambda g: -g.score):
        here = project(guess.matrix, ends)
        if all(np.linalg.norm(here - project(other.matrix, ends), axis=1).max() > apart for other in kept):
            kept.append(guess)
    return kept[:KEEP]


def steps() -> int:
    """How many times `search` calls `tick` at most."""
    return 2 * len(VIEWS) + KEEP * len(FINE_VIEWS) * len(FINE_ROTATIONS)


def slide(
    lights: Sequence[Structure], heats: Sequence[np.ndarray], scale: float, stretch: float, rotation: float
) -> tuple[float, np.ndarray]:
    """Score and matrix (thermal pixel -> reduced rgb pixel) of the best shift for one scale and rotation."""
    h, w = heats[0].shape
    angle = np.deg2rad(rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag(
        (scale, scale * stretch)
    )
    corners = turn @ np.array([[0, w - 1, 0, w - 1], [0, 0, h - 1, h - 1]], float)
    low = corners.min(axis=1)
    columns, rows = np.ceil(corners.max(axis=1) - low).astype(int) + 1
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = turn, -low
    smaller = antialiased(heats, scale)
    sizes = [resizing_matrix(heat.shape[::-1], (w, h)) for heat in smaller]
    moved = [structure(warp(heat, matrix @ size, (rows, columns))) for heat, size in zip(smaller, sizes, strict=True)]
    score = correlate(lights, moved)
    row, column = np.unravel_index(score.argmax(), score.shape)
    matrix[:2, 2] += column - (columns - 1), row - (rows - 1)
    return float(score[row, column]), matrix


def antialiased(heats: Sequence[np.ndarray], scale: float) -> list[np.ndarray]:
    """The frames, box-reduced when they are to be shrunk to less than half."""
    h, w = heats[0].shape
    step = max(1, int(0.7 / scale))
    return [reduce(heat, (max(w // step, 1), max(h // step, 1))) for heat in heats] if step > 1 else list(heats)


def correlate(lights: Sequence[Structure], heats: Sequence[Structure]) -> np.ndarray:
    """Normalised correlation of all shifts (H + h - 1, W + w - 1), weighted with the root of the overlap.

    The middle of the result's index range is the shift 0 plus (h - 1, w - 1).
    """
    (height, width), (h, w) = lights[0].mask.shape, heats[0].mask.shape
    shape = height + h - 1, width + w - 1
    good = tuple(fft().next_fast_len(n, real=True) for n in shape)
    product = energy_light = energy_heat = overlap = np.float32(0)

    def spectrum(maps: np.ndarray) -> np.ndarray:
        return np.asarray(fft().rfft2(maps, good))

    for light, heat in zip(lights, heats, strict=True):
        turned, cover = heat.channels[:, ::-1, ::-1], spectrum(heat.mask[::-1, ::-1])
        light_mask = spectrum(light.mask)
        product = product + (spectrum(light.channels) * spectrum(turned)).sum(axis=0)
        energy_light = energy_light + spectrum((light.channels**2).sum(axis=0)) * cover
        energy_heat = energy_heat + light_mask * spectrum((turned**2).sum(axis=0))
        overlap = overlap + light_mask * cover

    def back(values: np.ndarray) -> np.ndarray:
        return np.asarray(fft().irfft2(values, good))[: shape[0], : shape[1]]

    count = back(overlap)
    energy = np.sqrt(np.maximum(back(energy_light), 1e-3) * np.maximum(back(energy_heat), 1e-3))
    least = LEAST_OVERLAP * min(sum(s.mask.sum() for s in lights), sum(s.mask.sum() for s in heats))
    return np.where(count >= max(least, 1.0), back(product) / energy * np.sqrt(np.maximum(count, 0)), -np.inf)


def corners(size: tuple[int, int]) -> np.ndarray:
    """(4, 2) centres of the corner pixels of a (width, height) image."""
    w, h = size
    return np.array([[0, 0], [w - 1, 0], [0, h - 1], [w - 1, h - 1]], float)
