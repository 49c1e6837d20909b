"""A picture of each output of one frame, as `demo.robot` leaves them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sartm_core.scene import run_length
from sartm_core.scene.cloud import POINT
from sartm_core.scene.temperature import ZERO_CELSIUS
from sartm_core.support.visualize import SPARE_COLORS, lightened, thermal_to_gray

HOT, INK = (255, 60, 30), (255, 255, 255)
TEXT_PIXELS = 12
SIDES = ((-25.0, -20.0), (25.0, -20.0))
"""Yaw and pitch of the two views of the cloud, degrees: from the left and from the right, from above."""
PIVOT = np.array([0.0, 0.5, 9.0])
"""Metres: what they turn about."""
FARTHEST = 40.0
"""Metres: points behind it are left out, or the near ones would be dots."""
LARGE = 0.002
"""Share of the picture above which an object's temperatures are written: those of small ones would take it all."""


def draw(scene: Any, counts: np.ndarray, heard: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """Write a PNG for each output that there is; their paths."""
    for name, make in PICTURES.items():
        if name in heard:
            path = folder / f"{name.replace('/', '_')}.png"
            Image.fromarray(make(heard[name], scene, counts)).save(path)
            yield path


def channels(message: Any) -> np.ndarray:
    """(H, W) or (H, W, C) of an image message without padding."""
    kind = np.float32 if message.encoding.startswith("32FC") else np.uint8
    return np.frombuffer(message.data, kind).reshape(message.height, message.width, -1).squeeze()


def as_it_is(message: Any, scene: Any, counts: np.ndarray) -> np.ndarray:
    return channels(message)


def ids(message: Any, scene: Any, counts: np.ndarray) -> np.ndarray:
    """Class ids, spread over the greys."""
    if message.encoding == "run_length":
        return run_length.decode(message.data, message.height, message.width) * np.uint8(60)
    return channels(message) * np.uint8(60)


def scores(message: Any, scene: Any, counts: np.ndarray) -> np.ndarray:
    """One grey picture for each class, side by side."""
    return np.hstack([(channel * 255).astype(np.uint8) for channel in np.moveaxis(channels(message), 2, 0)])


def objects(message: Any, scene: Any, counts: np.ndarray) -> np.ndarray:
    """Boxes with class and, of those that are not small, temperatures; each in a colour of its own."""
    picture, taken = Image.fromarray(lightened(scene.rgb)), []
    for one, color in zip(json.loads(message.data)["objects"], cycle(SPARE_COLORS)):  # noqa: B905
        kelvin, large = one["kelvin"], one["pixels"] > LARGE * scene.label.size
        warm = "" if kelvin is None else f" {celsius(kelvin['median'])}, max {celsius(kelvin['max'])}"
        label(picture, one["box"], f"{one['class']}{warm if large else ''}", color, taken)
    return np.asarray(picture)


def hot_spots(message: Any, scene: Any, counts: np.ndarray) -> np.ndarray:
    """On the thermal frame, whose pixels they are in."""
    told = json.loads(message.data)
    picture, taken = Image.fromarray(thermal_to_gray(counts)), []
    for spot in told["hot_spots"]:
        label(picture, spot["box"], f"{celsius(spot['kelvin'])}", HOT, taken)
    label(picture, (0, 0, 0, 0), f"alarm {'ON' if told['alarm'] else 'off'}", HOT, taken)
    return np.asarray(picture)


def cloud(message: Any, scene: Any, counts: np.ndarray) -> np.ndarray:
    """From the left in the camera's colours, from the right in temperatures."""
    points = np.frombuffer(message.data, POINT)
    points = points[points["z"] < FARTHEST]  # False for NaN
    places = np.stack([points[axis] for axis in "xyz"], axis=1)  # (n, 3)
    bits = points["rgb"].view(np.uint32)
    colors = lightened(np.stack([bits >> shift & 255 for shift in (16, 8, 0)], axis=1).astype(np.uint8)[None])[
        0
    ]  # (n, 3)
    size = message.width, message.height
    views = (colors, warm_colors(points["temperature"]))
    both = np.hstack([side(places, view, *angles, size) for view, angles in zip(views, SIDES, strict=True)])
    picture, taken = Image.fromarray(both), []
    for column, text in enumerate(("colours, from the left", "temperatures, from the right")):
        label(picture, (column * both.shape[1] // 2 + 4, 0, 0, 0), text, INK, taken)
    return np.asarray(picture)


def warm_colors(kelvin: np.ndarray) -> np.ndarray:
    """(n,) -> (n, 3) uint8 from blue over red to yellow; grey where there is no temperature."""
    low, high = np.nanpercentile(kelvin, (5, 99.5))
    place = np.clip((kelvin - low) / max(high - low, 1e-6), 0, 1)[:, None]
    stops = np.array([(0, 0, 90), (200, 0, 60), (255, 230, 0)], float)
    between = [np.interp(place[:, 0], (0, 0.5, 1), stops[:, channel]) for channel in range(3)]
    colors = np.nan_to_num(np.stack(between, axis=1), nan=90.0).astype(np.uint8)
    colors[np.isnan(kelvin)] = 90
    return colors


def side(points: np.ndarray, colors: np.ndarray, yaw: float, pitch: float, size: tuple[int, int]) -> np.ndarray:
    """(n, 3) points and colours seen by a camera turned about `PIVOT`: (H, W, 3) uint8; near ones over far ones."""
    a, b = np.radians((yaw, pitch))
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    x, y, z = ((points - PIVOT) @ turn.T @ tilt.T + PIVOT).T
    width, height = size
    front = z > 0.5
    order = np.flatnonzero(front)[np.argsort(-z[front])]
    u = np.rint(0.8 * width * x[order] / z[order] + width / 2).astype(int)
    v = np.rint(0.8 * width * y[order] / z[order] + height / 2).astype(int)
    picture = np.zeros((height + 1, width + 1, 3), np.uint8)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    for right, down in ((1, 1), (1, 0), (0, 1), (0, 0)):  # two by two pixels each
        picture[v[inside] + down, u[inside] + right] = colors[order[inside]]
    return picture[:height, :width]


def celsius(kelvin: float) -> str:
    return f"{kelvin - ZERO_CELSIUS:.1f} °C"


def label(
    picture: Image.Image, box: Any, text: str, color: tuple[int, int, int], taken: list[tuple[int, int, int]]
) -> None:
    """A box and its text above it, in place; below what is `taken` by other texts: (left, right, top) each."""
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(TEXT_PIXELS)
    x, y, width, height = box
    if width:
        pen.rectangle((x, y, x + width - 1, y + height - 1), outline=color)
    if not text:
        return
    length, line = round(pen.textlength(text, font)), TEXT_PIXELS + 6
    left, top = min(x, picture.width - length), max(0, y - line)
    beside = sorted(there for start, end, there in taken if start < left + length and left < end)
    for there in beside:
        if abs(there - top) < line:
            top = there + line
    taken.append((left, left + length, top))
    pen.text((left, top), text, color, font, stroke_width=2, stroke_fill=(0, 0, 0))


PICTURES = {
    "semantic_mask": ids,
    "semantic_mask/run_length": ids,
    "confidence": as_it_is,
    "overlay": as_it_is,
    "color_mask": as_it_is,
    "selected_mask": as_it_is,
    "scores": scores,
    "objects_json": objects,
    "hot_spots": hot_spots,
    "cloud": cloud,
}
"""By output, what draws it."""
