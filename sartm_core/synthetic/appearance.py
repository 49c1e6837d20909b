"""The colour camera: light, shadow, haze, bloom, exposure, lens and noise -> (H, W, 3) uint8."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from sartm_core.synthetic.canvas import GAMMA
from sartm_core.synthetic.layers import Layers, enlarge

GRID = 8  # light on the ground and bloom are computed on a grid this much coarser than the picture
TONE_STEPS = 4096
TONE_MAX = 4.0  # linear radiance at the end of the tone curve
HIDING_GAP, HIDDEN_GLOW = 0.8, 0.08  # m in front of a light; share of its bloom that is left
HALO_FALL = 1.7  # exponent of a halo's tail
TOE = 0.006  # linear radiance lost in the blacks
CONTRAST = 0.06  # depth of the tone curve's S
SHOULDER = 1.9  # how fast highlights saturate
LENS = ImageFilter.Kernel((3, 3), (1, 2, 1, 2, 7, 2, 1, 2, 1))


@lru_cache(maxsize=1)
def tone_curve() -> np.ndarray:
    """Lookup (TONE_STEPS,) uint8: linear radiance 0..TONE_MAX -> 8-bit level, soft in the highlights."""
    linear = np.linspace(0, TONE_MAX, TONE_STEPS)
    toe = np.maximum(linear - TOE * linear / (linear + TOE), 0)  # quadratic near black, slope 1 above
    level = (1 - np.exp(-SHOULDER * toe)) ** (1 / GAMMA)
    level -= CONTRAST * np.sin(2 * np.pi * level) * np.minimum(1, level / 0.3)  # darker shades, brighter lights
    return np.round(255 * level).astype(np.uint8)


def ground_light(layers: Layers) -> list[np.ndarray]:
    """Light on what is seen below the horizon: 3 planes (H - first, W) float32; 1 where no open ground is.

    Sky and sun dimmed by shadows, plus the pools under lamps.
    """
    camera, env, canvas = layers.camera, layers.env, layers.canvas
    h, w = -(-camera.height // GRID), -(-camera.width // GRID)
    rows = (np.arange(h, dtype=np.float32) + 0.5) * GRID - camera.horizon
    z = camera.focal * camera.y / np.maximum(rows, 0.5)[:, None]  # (h, 1) m ahead
    columns = (np.arange(w, dtype=np.float32) + 0.5) * GRID - camera.center
    x = columns[None, :] * z / camera.focal + camera.x - camera.curve * z * z  # (h, w)
    light = np.empty((3, h, w), np.float32)
    light[:] = np.array([a + 0.7 * b for a, b in zip(env.light, env.sun, strict=False)], np.float32)[:, None, None]
    for lamp in canvas.lamps:
        square = (x - lamp.x) ** 2 + (z + camera.z - lamp.z) ** 2
        pool = lamp.power * np.exp(np.maximum(square * (-0.5 / lamp.reach**2), -30))
        light += pool * np.array(lamp.color, np.float32)[:, None, None]
    shadow = np.asarray(canvas.shade.resize((camera.width, camera.height), Image.Resampling.BILINEAR))[layers.first :]
    shadow = shadow * np.float32(1 / 255)
    ground = layers.ground[layers.first :]
    return [
        np.where(ground, enlarge(c, camera.height, camera.width)[layers.first :] * shadow, np.float32(1)) for c in light
    ]


def bloom(layers: Layers) -> list[np.ndarray] | None:
    """Halos of lamps and sun: red, green, blue, each (H, W) float32 linear, or None without any.

    A source with something nearer in front of it keeps only a faint glow.
    """
    camera, halos = layers.camera, layers.canvas.halos
    if not halos:
        return None
    h, w = -(-camera.height // GRID), -(-camera.width // GRID)
    v = (np.arange(h, dtype=np.float32) + 0.5) * GRID
    u = (np.arange(w, dtype=np.float32) + 0.5) * GRID
    total = np.zeros((3, h, w), np.float32)
    for halo in halos:
        radius = max(halo.radius, 0.5 * GRID)
        gain = (halo.radius / radius) ** 2
        if 0 <= halo.u < camera.width and 0 <= halo.v < camera.height:
            hidden = layers.depth[int(halo.v), int(halo.u)] < halo.depth - HIDING_GAP
            gain *= HIDDEN_GLOW if hidden else 1
        square = ((v[:, None] - halo.v) ** 2 + (u[None, :] - halo.u) ** 2) * (1 / radius**2)
        spread = gain / (1 + 0.8 * square) ** HALO_FALL  # (h, w)
        total += spread * np.array(halo.color, np.float32)[:, None, None]
    return [enlarge(c, camera.height, camera.width) for c in total]


def expose(layers: Layers, rng: np.random.Generator, noise: float) -> np.ndarray:
    """Picture of the colour camera, (H, W, 3) uint8; `noise` scales its sensor noise."""
    camera, env = layers.camera, layers.env
    grain = np.maximum(1 + np.take(layers.table[:, 7], layers.ids) * layers.texture, 0.05)  # (H, W)
    light, veil = ground_light(layers), bloom(layers)
    clear = np.exp(-env.extinction * layers.depth)
    fall_off = vignette(camera.height, camera.width)
    levels = np.empty((camera.height, camera.width, 3), np.uint8)
    for c in range(3):
        linear = np.take(np.ascontiguousarray(layers.table[:, c]), layers.ids)  # (H, W)
        linear *= grain
        linear[layers.first :] *= light[c]
        linear -= env.haze[c]
        linear *= clear
        linear += env.haze[c]
        if veil is not None:
            linear += veil[c]
        linear *= fall_off
        linear *= env.tint[c] * (TONE_STEPS - 1) / TONE_MAX
        np.clip(linear, 0, TONE_STEPS - 1, out=linear)
        levels[..., c] = np.take(tone_curve(), linear.astype(np.int32))
    soft = np.asarray(Image.fromarray(levels).filter(LENS))
    return add_noise(soft, env.noise * noise, rng)


@lru_cache(maxsize=4)
def vignette(height: int, width: int) -> np.ndarray:
    """Light fall-off towards the corners, (H, W) float32, 1 in the middle."""
    v, u = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    return (1 - 0.12 * (u * u + v * v)).astype(np.float32)


def add_noise(levels: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Brightness noise per pixel and colour noise in blotches of 2x2 pixels, sigma in levels. (H, W, 3) uint8."""
    height, width = levels.shape[:2]
    luma = rng.standard_normal((height, width), dtype=np.float32)
    luma = np.rint(luma * np.float32(0.8 * sigma)).astype(np.int16)
    chroma = rng.standard_normal((3, -(-height // 2), -(-width // 2)), dtype=np.float32) * np.float32(0.7 * sigma)
    chroma = np.rint(chroma).astype(np.int16)
    out = np.empty_like(levels)
    for c in range(3):
        noisy = luma + levels[..., c]
        noisy += chroma[c].repeat(2, 0)[:height].repeat(2, 1)[:, :width]
        out[..., c] = np.clip(noisy, 0, 255, out=noisy)
    return out
