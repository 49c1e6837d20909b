"""Differences with their intervals as a drawing (SVG), part of the page: no file beside it, no drawing library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from sartm_core.compare.scores import verdict

NAME_WIDTH, PLOT_WIDTH, ROW_HEIGHT, MARGIN = 170, 560, 24, 30
COLORS = {"A": "#d97a00", "B": "#0086b3", "unclear": "#777777", "-": "#bbbbbb"}
"""Of intervals on A's side, on B's side, over zero, and of differences without one."""
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
"""Distances of the grid lines, in percentage points."""
MOST_LINES = 4
"""Grid lines on either side of zero."""


def forest(rows: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """An SVG drawing with a row for each (name, estimate of `scores`): a point at B - A, a line over its interval."""
    known = [(name, row) for name, row in rows if row["difference"] is not None]
    ends = [100 * abs(value) for _, row in known for value in (row["difference"], *(row["interval"] or ()))]
    step = next((step for step in STEPS if max(ends, default=0) <= MOST_LINES * step), STEPS[-1])
    reach = step * max(1, math.ceil(max(ends, default=0) / step))
    height = MARGIN + ROW_HEIGHT * len(known)

    def x(value: float) -> float:
        """Percentage points -> pixels."""
        return NAME_WIDTH + PLOT_WIDTH * (value / reach + 1) / 2

    lines = [grid_line(x(k * step), k * step, height) for k in range(-round(reach / step), round(reach / step) + 1)]
    marks = [mark(name, row, MARGIN + ROW_HEIGHT * (i + 0.5), x) for i, (name, row) in enumerate(known)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{NAME_WIDTH + PLOT_WIDTH + MARGIN}" height="{height + 4}" '
        f'font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="differences with intervals">\n'
        + "\n".join([*lines, *marks])
        + "\n</svg>"
    )


def grid_line(x: float, value: float, height: int) -> str:
    """A vertical line with its value above."""
    color = "#444444" if value == 0 else "#dddddd"
    label = f"{value:+g}" if value else "0"
    return (
        f'<line x1="{x:.1f}" y1="{MARGIN - 6}" x2="{x:.1f}" y2="{height}" stroke="{color}"/>'
        f'<text x="{x:.1f}" y="{MARGIN - 12}" text-anchor="middle" fill="#555555">{label}</text>'
    )


def mark(name: str, row: dict[str, Any], y: float, x: Any) -> str:
    """The name, the line of the interval and the point of the difference."""
    color = COLORS[verdict(row)]
    parts = [f'<text x="{NAME_WIDTH - 12}" y="{y + 4:.1f}" text-anchor="end" fill="#222222">{escape(name)}</text>']
    if row["interval"]:
        low, high = (x(100 * value) for value in row["interval"])
        parts.append(
            f'<line x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}" stroke="{color}" stroke-width="4" '
            'stroke-linecap="round" opacity="0.55"/>'
        )
    parts.append(f'<circle cx="{x(100 * row["difference"]):.1f}" cy="{y}" r="4.5" fill="{color}"/>')
    return "".join(parts)
