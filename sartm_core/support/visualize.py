"""Pictures for people: label colours, overlays, thermal in grey, contact sheets."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sartm_core.support.classes import IGNORE, Color

IGNORE_COLOR: Color = (90, 90, 90)
DISTINCT = 60
"""Two colours whose channels all differ by less look alike."""
SPARE_COLORS: tuple[Color, ...] = (
    (255, 255, 0), (0, 170, 255), (255, 85, 0), (127, 0, 255), (0, 255, 127), (255, 0, 127), (0, 255, 255),
    (170, 255, 0), (255, 0, 255), (0, 85, 255), (255, 170, 170), (255, 255, 255),
)  # fmt: skip
"""Bright ones, for classes whose own colour is taken or black."""
ROWS_PER_LINE = 300
"""Rows of a picture for each pixel of an outline's width."""
LIGHT, STRONGEST_GAMMA = 90.0, 0.5
"""Mean of a picture, 0..255, that is light enough to look at; how far a darker one is lightened."""
WHOLE = 256
"""Weights of colours are counted in parts of it."""
SAMPLE = 8
"""Every so many rows and columns tell how light a picture is."""
SMALLEST_CAPTION, ROWS_PER_CAPTION, FONT_PART = 16, 18, 0.7
"""Height of a caption: pixels at least, rows of the picture for each, and the part of it that the letters fill."""
BACKGROUND, INK = (20, 20, 20), (230, 230, 230)


def color_table(palette: Sequence[Color]) -> np.ndarray:
    """(256, 3) uint8 lookup table from class id to RGB; ids without a class get `IGNORE_COLOR`."""
    table = np.tile(np.array(IGNORE_COLOR, np.uint8), (256, 1))  # (256, 3)
    table[: len(palette)] = np.array(palette, np.uint8)
    return table


def colorize(mask: np.ndarray, palette: Sequence[Color]) -> np.ndarray:
    """Class ids (H, W) uint8 -> RGB (H, W, 3) uint8."""
    return color_table(palette)[mask]


@lru_cache
def display_colors(palette: tuple[Color, ...]) -> tuple[Color, ...]:
    """The palette as bright as its hues allow, for eyes and dark frames: (64, 64, 0) is black at night. Two that become
    alike, and black, get another hue. Class 0 stays. For files the data set's own palette stays."""
    shown = [palette[0]] if palette else []
    for color in palette[1:]:
        most = max(color)
        bright = tuple(round(v * 255 / most) for v in color) if most else color
        if min(distance(bright, other) for other in [(0, 0, 0), *shown]) < DISTINCT:
            bright = max(SPARE_COLORS, key=lambda spare: min(distance(spare, other) for other in shown))
        shown.append(bright)  # type: ignore[arg-type]
    return tuple(shown)


def distance(a: Sequence[int], b: Sequence[int]) -> int:
    """Of two colours: the largest difference of a channel."""
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def overlay(rgb: np.ndarray, mask: np.ndarray, palette: Sequence[Color], alpha: float = 0.5) -> np.ndarray:
    """Blend bright class colours over an image, with outlines; class 0 and 255 (unlabelled) stay clear.

    rgb (H, W, 3) uint8, which is lightened where it is dark, mask (H, W) uint8, alpha 0..1 = weight of the colour.
    Returns (H, W, 3) uint8.
    """
    if rgb.shape[:2] != mask.shape:
        raise ValueError(f"overlay: mask is {mask.shape}, rgb is {rgb.shape[:2]}; give both the same height and width")
    weight = round(alpha * WHOLE)
    shown = (mask != 0) & (mask != IGNORE)  # (H, W)
    table = color_table(display_colors(tuple(palette)))
    out = lightened(rgb)
    pixels, ids = out.reshape(-1, 3), mask.ravel()
    places = np.flatnonzero(shown)  # (N,)
    colors = table.take(ids[places], axis=0).astype(np.uint16)  # (N, 3)
    pixels[places] = (colors * weight + pixels[places].astype(np.uint16) * (WHOLE - weight)) // WHOLE
    if weight:
        edge = np.flatnonzero(shown & outline(mask))  # (E,)
        pixels[edge] = table.take(ids[edge], axis=0)
    return out


def outline(mask: Any) -> Any:
    """(H, W) ids -> (H, W) bool: pixels beside another id, a line that is thicker in larger pictures.

    Of an array or of a tensor, where that lies.
    """
    width = max(1, round(mask.shape[0] / ROWS_PER_LINE))
    edge = mask < 0  # no id is: False everywhere
    down, right = mask[width:] != mask[:-width], mask[:, width:] != mask[:, :-width]
    edge[width:] |= down
    edge[:-width] |= down
    edge[:, width:] |= right
    edge[:, :-width] |= right
    return edge


def lightened(rgb: np.ndarray) -> np.ndarray:
    """A copy of (H, W, 3) uint8, by a gamma curve as light as `LIGHT` in the mean where it is darker."""
    gamma = gamma_of(rgb)
    if gamma == 1.0:
        return rgb.copy()
    curve = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    translated = bytearray(np.ascontiguousarray(rgb)).translate(curve.tobytes())  # five times as fast as curve[rgb]
    return np.frombuffer(translated, np.uint8).reshape(rgb.shape)


def gamma_of(rgb: np.ndarray) -> float:
    """The exponent that makes (H, W, 3) uint8 light enough to look at; 1.0: it is."""
    mean = max(1.0, float(rgb[::SAMPLE, ::SAMPLE].mean()))
    return max(STRONGEST_GAMMA, math.log(LIGHT / 255) / math.log(mean / 255)) if mean < LIGHT else 1.0


def gray_range(thermal: np.ndarray) -> tuple[float, float]:
    """The values of any thermal image (H, W) that are shown black and white: its 15 and 99.5 percentiles (a clear sky
    is cold)."""
    finite = thermal[np.isfinite(thermal)].astype(np.float32)
    if finite.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(finite, (15, 99.5))
    return float(low), float(high)


def thermal_to_gray(thermal: np.ndarray) -> np.ndarray:
    """Any thermal image (H, W) -> (H, W, 3) uint8, stretched over its `gray_range`."""
    values = thermal.astype(np.float32)
    low, high = gray_range(thermal)
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


def caption_height(height: int) -> int:
    """Of the captions on a sheet of pictures that are `height` rows high."""
    return max(SMALLEST_CAPTION, round(height / ROWS_PER_CAPTION))


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    captions: Sequence[str],
    titles: Sequence[str] = (),
    legend: Mapping[str, Color] | None = None,
) -> Image.Image:
    """One picture from a grid of RGB images; `captions` name the columns, `titles` (optional) the rows, and `legend`
    the colours, in lines below.

    Every image is fitted into the size of the first one, keeping its own aspect ratio.
    """
    height, width = rows[0][0].shape[:2]
    caption = caption_height(height)
    font = ImageFont.load_default(FONT_PART * caption)
    cell_height, whole = height + caption, width * len(captions)
    lines = legend_lines(legend or {}, font, whole, caption)
    sheet = Image.new("RGB", (whole, cell_height * len(rows) + caption * len(lines)), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for r, row in enumerate(rows):
        for c, array in enumerate(row):
            image = Image.fromarray(array)
            if image.size != (width, height):
                image.thumbnail((width, height))
            sheet.paste(image, (c * width, r * cell_height + caption))
            title = f"{titles[r]}: " if titles and c == 0 else ""
            place = (c * width + caption // 4, r * cell_height + caption // 2)
            draw.text(place, f"{title}{captions[c]}", fill=INK, font=font, anchor="lm")
    for i, line in enumerate(lines):
        y = cell_height * len(rows) + i * caption
        for x, name, color in line:
            draw.rectangle((x, y + caption // 4, x + caption // 2, y + 3 * caption // 4), fill=color, outline=INK)
            draw.text((x + 3 * caption // 4, y + caption // 2), name, fill=INK, font=font, anchor="lm")
    return sheet


def legend_lines(
    legend: Mapping[str, Color], font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int, height: int
) -> list[list[tuple[int, str, Color]]]:
    """Where each entry begins, line by line."""
    lines: list[list[tuple[int, str, Color]]] = []
    x = width
    for name, color in legend.items():
        needed = round(font.getlength(name)) + 3 * height // 2
        if x + needed > width:
            lines.append([])
            x = height // 4
        lines[-1].append((x, name, color))
        x += needed
    return lines


def legend_of(classes: Sequence[str], palette: Sequence[Color]) -> dict[str, Color]:
    """The classes that an overlay shows with the colours it gives them; class 0 stays clear."""
    return dict(zip(classes[1:], display_colors(tuple(palette))[1:], strict=True))
