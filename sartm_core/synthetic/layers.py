"""Per-pixel maps that the two cameras share, read once from a finished canvas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sartm_core.synthetic.canvas import GROUND, Camera, Canvas
from sartm_core.synthetic.environment import Environment
from sartm_core.synthetic.textures import ground_texture, screen_textures


@dataclass(frozen=True)
class Layers:
    """What stands where; all (H, W) unless told."""

    camera: Camera
    env: Environment
    canvas: Canvas
    ids: np.ndarray
    """int32 surface ids."""
    table: np.ndarray
    """(N, 9) float32, one row a surface, see Canvas.rows."""
    label: np.ndarray
    """uint8."""
    depth: np.ndarray
    """float32, metres."""
    texture: np.ndarray
    """float32, mean 0, deviation about 1."""
    ground: np.ndarray
    """bool, where open ground is seen."""
    patches: np.ndarray
    """(H - first, W) float32 coarse pattern of the ground below the horizon."""
    first: int
    """First row below the horizon."""


def enlarge(coarse: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear upsampling of (h, w) float32 to (height, width)."""
    image = Image.fromarray(np.ascontiguousarray(coarse, dtype=np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def read_layers(canvas: Canvas, rng: np.random.Generator) -> Layers:
    """Turn surface ids into per-pixel maps; `rng` shifts the textures."""
    camera = canvas.camera
    ids = np.asarray(canvas.ids)  # (H, W) int32
    table = np.asarray(canvas.rows, dtype=np.float32)  # (N, 9)
    kind = np.take(table[:, 6].astype(np.int32), ids)
    ground = kind == GROUND
    pixels = np.arange(ids.size, dtype=np.int32).reshape(ids.shape)
    screen = screen_textures(camera, rng)
    texture = np.take(screen.ravel(), np.where(ground, 0, kind) * np.int32(ids.size) + pixels)
    fine, patches, first = ground_texture(camera)
    np.copyto(texture[first:], fine + 0.5 * patches, where=ground[first:])
    depth = np.where(ground, camera.ground_depth(), np.take(table[:, 4], ids))
    label = np.take(table[:, 5].astype(np.uint8), ids)
    return Layers(camera, canvas.env, canvas, ids, table, label, depth, texture, ground, patches, first)
