"""Pictures for people: label colours, overlays, thermal in grey, contact sheets."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from sartm_core.support.classes import IGNORE, Color

IGNORE_COLOR: Color = (90, 90, 90)
CAPTION_HEIGHT = 16


def color_table(palette: Sequence[Color]) -> np.ndarray:
    """(256, 3) uint8 lookup table from class id to RGB; ids without a class get `IGNORE_COLOR`."""
    table = np.tile(np.array(IGNORE_COLOR, np.uint8), (256, 1))  # (256, 3)
    table[: len(palette)] = np.array(palette, np.uint8)
    return table


def colorize(mask: np.ndarray, palette: Sequence[Color]) -> np.ndarray:
    """Class ids (H, W) uint8 -> RGB (H, W, 3) uint8."""
    return color_table(palette)[mask]


def overlay(rgb: np.ndarray, mask: np.ndarray, palette: Sequence[Color], alpha: float = 0.5) -> np.ndarray:
    """Blend class colours over an image; class 0 and 255 (unlabelled) stay clear.

    rgb (H, W, 3) uint8, mask (H, W) uint8, alpha 0..1 = weight of the colour. Returns (H, W, 3) uint8.
    """
    if rgb.shape[:2] != mask.shape:
        raise ValueError(f"overlay: mask is {mask.shape}, rgb is {rgb.shape[:2]}; give both the same height and width")
    weight = round(alpha * 256)
    shown = (mask != 0) & (mask != IGNORE)  # (H, W)
    out = rgb.copy()
    colors = color_table(palette)[mask[shown]].astype(np.uint16)  # (N, 3)
    out[shown] = ((colors * weight + rgb[shown].astype(np.uint16) * (256 - weight)) >> 8).astype(np.uint8)
    return out


def thermal_to_gray(thermal: np.ndarray) -> np.ndarray:
    """Any thermal image (H, W) -> (H, W, 3) uint8, stretched over its 15..99.5 percentiles (a clear sky is cold)."""
    values = thermal.astype(np.float32)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return np.zeros((*thermal.shape, 3), np.uint8)
    low, high = np.percentile(finite, (15, 99.5))
    gray = np.clip((np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-6), 0, 1)
    return np.repeat((gray * 255).astype(np.uint8)[..., None], 3, axis=2)


def png(image: Image.Image) -> bytes:
    """A picture as the bytes of a PNG: lossless."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def data_url(image: Image.Image) -> str:
    """A picture as text that stands for a file in HTML."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()


def camera_pictures(rgb: np.ndarray | None, thermal: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What to show of rgb (H, W, 3) uint8, of thermal (h, w), black for a missing one; and of the frame itself."""
    pictures = [rgb, None if thermal is None else thermal_to_gray(thermal)]
    frame = next(picture for picture in pictures if picture is not None)
    seen = [np.zeros_like(frame) if picture is None else picture for picture in pictures]
    return seen[0], seen[1], frame


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]], captions: Sequence[str], titles: Sequence[str] = ()
) -> Image.Image:
    """One picture from a grid of RGB images; `captions` name the columns, `titles` (optional) the rows.

    Every image is fitted into the size of the first one, keeping its own aspect ratio.
    """
    height, width = rows[0][0].shape[:2]
    cell_height = height + CAPTION_HEIGHT
    sheet = Image.new("RGB", (width * len(captions), cell_height * len(rows)), (20, 20, 20))
    draw = ImageDraw.Draw(sheet)
    for r, row in enumerate(rows):
        for c, array in enumerate(row):
            image = Image.fromarray(array)
            if image.size != (width, height):
                image.thumbnail((width, height))
            sheet.paste(image, (c * width, r * cell_height + CAPTION_HEIGHT))
            title = f"{titles[r]}: " if titles and c == 0 else ""
            draw.text((c * width + 4, r * cell_height + 2), f"{title}{captions[c]}", fill=(230, 230, 230))
    return sheet
