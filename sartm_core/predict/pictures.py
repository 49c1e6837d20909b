"""Pictures of a prediction for people: overlay, contact sheet, side-by-side video frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from sartm_core.predict.frames import Frame
from sartm_core.support.classes import Color
from sartm_core.support.visualize import contact_sheet, legend_of, overlay, thermal_to_gray

CELL_WIDTH = 320
"""Pixels of a picture on the contact sheet."""
PANEL_WIDTH = 640
"""Most pixels of one of the pictures in a video frame."""


def columns(frame: Frame, mask: np.ndarray, palette: Sequence[Color]) -> dict[str, np.ndarray]:
    """What is shown of a frame, by caption: the cameras there are and the overlay, (h, w, 3) uint8 each."""
    shown = {} if frame.rgb is None else {"rgb": frame.rgb}
    if frame.thermal is not None:
        shown["thermal"] = thermal_to_gray(frame.thermal)
    return {**shown, "overlay": overlay(next(iter(shown.values())), mask, palette)}


def sheet(
    rows: Sequence[tuple[str, dict[str, np.ndarray]]], classes: Sequence[str], palette: Sequence[Color]
) -> Image.Image:
    """A contact sheet of frames by name, with the colours of the classes below."""
    titles, pictures = [name for name, _ in rows], [list(row.values()) for _, row in rows]
    return contact_sheet(pictures, list(rows[0][1]), titles, legend_of(classes, palette))


def fitted(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) uint8 -> (*size, 3) uint8: shrunk or enlarged at its own aspect, on black."""
    height, width = size
    scale = min(height / image.shape[0], width / image.shape[1])
    inner = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    out = Image.new("RGB", (width, height))
    resized = Image.fromarray(image).resize(inner, Image.Resampling.BILINEAR)
    out.paste(resized, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return np.asarray(out)


def cell(image: np.ndarray) -> np.ndarray:
    """A picture at the width of the contact sheet."""
    return fitted(image, (max(1, round(image.shape[0] * CELL_WIDTH / image.shape[1])), CELL_WIDTH))


def side_by_side(rows: Iterable[dict[str, np.ndarray]]) -> Iterable[np.ndarray]:
    """The pictures of each frame beside each other, (H, W, 3) uint8 with one even H and W for all."""
    size: tuple[int, int] | None = None
    for row in rows:
        if size is None:
            height, width = next(iter(row.values())).shape[:2]
            scale = min(1.0, PANEL_WIDTH / width)
            size = 2 * max(1, round(height * scale / 2)), 2 * max(1, round(width * scale / 2))
        yield np.concatenate([fitted(image, size) for image in row.values()], axis=1)  # (H, n * W, 3)
