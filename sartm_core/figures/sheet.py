"""A grid of pictures at their own pixels, with titles, captions, boxes and a legend of class colours, for print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from sartm_core.figures.boxes import Box
from sartm_core.support.classes import Color
from sartm_core.support.files import replacing

COLUMN = 2.2
"""Inches; a panel of W pixels then has W * k / COLUMN dots an inch, with whole k."""
FEWEST_DOTS = 600
"""Across a panel."""
GAP, TITLE, CAPTION, NAME = 0.05, 0.26, 0.2, 0.22
"""Inches between panels, above the first row, below each row, left of it."""
FONT = 8
CHARACTER = 0.6
"""Width of a character, parts of the font size, generously."""
POINTS = 72
EDGE = 1 / 200
"""Least distance of a box from the border, parts of the longer side."""


@dataclass(frozen=True)
class Mark:
    """One kind of box."""

    color: str
    """Of its edge."""
    style: Literal["-", "--"]
    """Of its edge."""
    meaning: str
    """In the legend."""


@dataclass(frozen=True)
class Panel:
    """One picture."""

    image: np.ndarray
    """(H, W, 3) uint8."""
    caption: str = ""
    """Below it."""
    marks: tuple[tuple[Mark, Box], ...] = ()
    """Boxes on it."""


@dataclass(frozen=True)
class Row:
    """The pictures of one frame; all are drawn at the size of the first."""

    name: str
    panels: tuple[Panel, ...]


def write_sheet(
    path: Path, rows: Sequence[Row], titles: Sequence[str], legend: Sequence[tuple[str, Color]], marks: Sequence[Mark]
) -> None:
    """Write the grid as a PNG. `legend`: names and colours of the classes; `marks`: boxes to explain."""
    native = rows[0].panels[0].image.shape[1]
    zoom = math.ceil(FEWEST_DOTS / native)
    dpi = native * zoom / COLUMN
    heights = [COLUMN * row.panels[0].image.shape[0] / row.panels[0].image.shape[1] for row in rows]
    width = NAME + len(titles) * (COLUMN + GAP)
    handles = legend_handles(legend, marks)
    longest = max(len(str(handle.get_label())) for handle in handles)
    entry = (longest * CHARACTER + 4) * FONT / POINTS  # swatch and spaces: 4 characters
    lines = math.ceil(len(handles) / max(1, int(width / entry)))
    columns = math.ceil(len(handles) / lines)  # full lines, as far as they go
    bottom = 0.1 + 0.19 * lines
    height = TITLE + sum(heights) + CAPTION * len(rows) + bottom
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    y = height - TITLE
    for row, tall in zip(rows, heights, strict=True):
        y -= tall
        name = shortened(row.name, tall)
        figure.text(
            NAME / 2 / width, (y + tall / 2) / height, name, rotation=90, ha="center", va="center", size=FONT - 1
        )
        for column, panel in enumerate(row.panels):
            x = NAME + column * (COLUMN + GAP)
            left, low, wide, high = (round(inches * dpi) / dpi for inches in (x, y, COLUMN, tall))  # whole dots
            axes = figure.add_axes((left / width, low / height, wide / width, high / height))
            draw(axes, panel, row.panels[0].image.shape)
            if row is rows[0]:
                middle = (x + COLUMN / 2) / width
                figure.text(middle, 1 - TITLE / 2 / height, titles[column], ha="center", va="center", size=FONT + 1)
        y -= CAPTION
    figure.legend(handles=handles, loc="lower center", ncols=columns, frameon=False, fontsize=FONT, borderpad=0.2)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def draw(axes: Axes, panel: Panel, shape: tuple[int, ...]) -> None:
    """One picture, filled into the row's shape unless its own aspect is another one."""
    height, width = shape[:2]
    own = panel.image.shape
    same = math.isclose(own[0] / own[1], height / width, rel_tol=0.01)
    smooth = own[:2] != (height, width)  # a thermal image of another size; masks have the row's
    axes.imshow(panel.image, interpolation="bilinear" if smooth else "nearest", aspect="auto" if same else "equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color="0.5", linewidth=0.4)
    inset = EDGE * max(height, width)  # a box at the border stays visible
    for mark, box in panel.marks:
        left, right = (min(max(x - 0.5, inset), width - inset) for x in (box.left, box.right))
        top, bottom = (min(max(y - 0.5, inset), height - inset) for y in (box.top, box.bottom))
        edge = Rectangle(
            (left, top), right - left, bottom - top,
            fill=False, edgecolor=mark.color, linestyle=mark.style, linewidth=1.1, zorder=3,
            path_effects=[withStroke(linewidth=2.0, foreground="white")],
        )  # fmt: skip
        axes.add_patch(edge)
    if panel.caption:
        axes.set_xlabel(panel.caption, fontsize=FONT - 1.5, labelpad=1.5)


def legend_handles(legend: Sequence[tuple[str, Color]], marks: Sequence[Mark]) -> list[Patch]:
    """Swatches of the classes, then of the boxes."""
    handles = [
        Patch(facecolor=(r / 255, g / 255, b / 255), edgecolor="0.4", linewidth=0.4, label=name)
        for name, (r, g, b) in legend
    ]
    return handles + [
        Patch(facecolor="none", edgecolor=m.color, linestyle=m.style, linewidth=1.1, label=m.meaning) for m in marks
    ]


def shortened(name: str, inches: float) -> str:
    """A name that fits into a length, its middle left out if need be."""
    most = max(5, int(inches * POINTS / (CHARACTER * (FONT - 1))))
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"
