"""The thermal camera: temperatures, air, soft optics, registration and noise -> (H, W) float32 kelvin."""

from __future__ import annotations

import numpy as np
from PIL import Image

from sartm_core.synthetic.canvas import FAR
from sartm_core.synthetic.layers import Layers

AIR_EXTINCTION = 0.0015  # 1/m, clear air in the 8-14 um band
FOG_SHARE = 0.25  # fog dims heat this much less than light
PATTERN_SHARE = 0.6  # fixed-pattern noise against the noise of one frame
SOFT_ROWS = 240  # one more pass of blur for every so many rows
PATCH_KELVIN = 0.6  # how uneven the ground's temperature is
ROTATION_PER_PIXEL = 0.0008  # rad, for a misalignment of one pixel at 480 rows
SCALE_PER_PIXEL = 0.0012


def sense(layers: Layers) -> np.ndarray:
    """Temperatures as soft optics see them, without noise, (H, W) float32."""
    env, camera = layers.env, layers.camera
    kelvin = np.take(layers.table[:, 3], layers.ids)
    kelvin += np.take(layers.table[:, 8], layers.ids) * layers.texture
    size = (camera.width, camera.height)
    below = slice(layers.first, None)
    dimmed = 1 - np.asarray(layers.canvas.shade.resize(size, Image.Resampling.BILINEAR), np.float32)[below] / 255
    mirrored = np.asarray(layers.canvas.warmth.resize(size, Image.Resampling.BILINEAR), np.float32)[below] / 16
    uneven = PATCH_KELVIN * (0.4 + 0.1 * env.sun_heat) * layers.patches
    kelvin[below] += np.where(layers.ground[below], uneven + mirrored - 0.6 * env.sun_heat * dimmed, 0)
    clear = np.exp(
        -(AIR_EXTINCTION + FOG_SHARE * (env.extinction - 0.003 if env.extinction > 0.01 else 0)) * layers.depth
    )
    np.copyto(clear, 1, where=layers.depth >= FAR)  # the sky's temperature already holds the air's share
    kelvin = env.ambient + (kelvin - env.ambient) * clear
    for _ in range(max(1, round(camera.height / SOFT_ROWS))):
        kelvin = soften(kelvin)
    return kelvin.astype(np.float32)


def soften(image: np.ndarray) -> np.ndarray:
    """3x3 binomial blur of (H, W), edges repeated."""
    padded = np.pad(image, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) * np.float32(1 / 16)


def misalign(kelvin: np.ndarray, limit: float, rng: np.random.Generator) -> np.ndarray:
    """Shift by at most `limit` pixels, with a little rotation and scale in proportion; edges repeat."""
    radius, angle, turn, zoom = limit * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi), *rng.uniform(-1, 1, 2)
    if limit == 0:
        return kelvin
    height, width = kelvin.shape
    relative = limit * 480 / height
    scale, rotation = 1 + SCALE_PER_PIXEL * relative * zoom, ROTATION_PER_PIXEL * relative * turn
    a, b = scale * np.cos(rotation), scale * np.sin(rotation)
    cx, cy = width / 2, height / 2
    shift_x, shift_y = radius * np.cos(angle), radius * np.sin(angle)
    margin = int(np.ceil(2 * limit + 0.02 * max(height, width))) + 2
    padded = Image.fromarray(np.pad(kelvin, margin, mode="edge"))
    matrix = (
        a, b, cx - a * cx - b * cy + shift_x + margin,
        -b, a, cy + b * cx - a * cy + shift_y + margin,
    )  # fmt: skip
    return np.asarray(padded.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))


def fixed_pattern(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Column stripes and pixel offsets of one sensor, (H, W) float32 kelvin."""
    columns = rng.standard_normal((1, shape[1]), dtype=np.float32)
    pixels = rng.standard_normal(shape, dtype=np.float32)
    return (PATTERN_SHARE * sigma) * (0.7 * columns + 0.7 * pixels)


def read_out(kelvin: np.ndarray, sigma: float, pattern: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add the noise of one frame (1 sigma in kelvin) and the sensor's fixed pattern. (H, W) float32."""
    noise = rng.standard_normal(kelvin.shape, dtype=np.float32)
    return (kelvin + np.float32(sigma) * noise + pattern).astype(np.float32)
