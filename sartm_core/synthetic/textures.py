"""Seamless noise tiles, made once, and how they are laid over a picture."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sartm_core.synthetic.canvas import CLOUDS, FOLIAGE, PLAIN, STAINS, Camera

TILE = 512  # pixels
SLOPES = {PLAIN: 0.6, FOLIAGE: 0.85, STAINS: 1.5, CLOUDS: 2.2}  # spectrum 1/f^slope: the higher the smoother
GROUND_FINE, GROUND_COARSE = 45.0, 5.0  # noise pixels per metre of ground
REFERENCE_HEIGHT = 480  # textures keep their look at other sizes


@lru_cache(maxsize=8)
def tile(texture: int) -> np.ndarray:
    """Periodic Gaussian noise (TILE, TILE) float32, mean 0, deviation 1, clipped at 2.5."""
    rng = np.random.default_rng(1000 + texture)
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE)))
    fy, fx = np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :]
    radius = np.maximum(np.hypot(fy, fx), 1 / TILE)
    noise = np.fft.irfft2(spectrum / radius ** SLOPES[texture] * (radius > 2 / TILE), s=(TILE, TILE))
    return np.clip(noise / noise.std(), -2.5, 2.5).astype(np.float32)


@lru_cache(maxsize=2)
def ground_tile() -> np.ndarray:
    """Cracks and patches for roads: fine gravel with a few dark lines, (TILE, TILE) float32."""
    patches = tile(STAINS)
    cracks = -2.0 * np.exp(-((np.roll(tile(CLOUDS), 37, 1) / 0.007) ** 2))
    return (0.8 * tile(PLAIN) + 0.5 * patches + cracks).astype(np.float32)


def screen_textures(camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """(4, H, W) float32: PLAIN, FOLIAGE, STAINS, CLOUDS laid over the picture with a random offset."""
    step = REFERENCE_HEIGHT / camera.height
    out = np.empty((len(SLOPES), camera.height, camera.width), np.float32)
    for texture in SLOPES:
        oy, ox = rng.integers(0, TILE, 2)
        rows = ((np.arange(camera.height) * step).astype(np.int64) + oy) % TILE
        columns = ((np.arange(camera.width) * step).astype(np.int64) + ox) % TILE
        out[texture] = tile(texture).take(rows, 0).take(columns, 1)
    return out


def ground_texture(camera: Camera) -> tuple[np.ndarray, np.ndarray, int]:
    """Texture fixed to the road: (fine, coarse, first row), both (H - first, W) float32 from the horizon down."""
    first = int(np.clip(np.ceil(camera.horizon) + 1, 0, camera.height - 1))
    depth = camera.ground_depth()[first:]  # (h, 1)
    columns = np.arange(camera.width, dtype=np.float32)[None, :] - camera.center
    x = columns * (depth / camera.focal) + (camera.x - camera.curve * depth * depth)  # (h, W), m
    z = depth + camera.z

    def sample(noise: np.ndarray, density: float) -> np.ndarray:
        xi = (x * density).astype(np.int32) & (TILE - 1)
        zi = (z * density).astype(np.int32) & (TILE - 1)
        return noise.ravel()[zi * TILE + xi]

    blur = np.clip(2 * camera.focal / (GROUND_FINE * depth), 0, 1)  # far gravel averages out
    return sample(ground_tile(), GROUND_FINE) * blur, sample(tile(STAINS), GROUND_COARSE), first
