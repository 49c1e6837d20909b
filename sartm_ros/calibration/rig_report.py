"""The page to judge a calibration with a target by: one HTML file with its pictures inside."""

from __future__ import annotations

import html
from collections.abc import Sequence

from PIL import Image

from sartm_core.support.visualize import data_url
from sartm_ros.calibration.corners import Seen
from sartm_ros.calibration.rig import Rig

REPORT = "report.html"
STYLE = """body { font: 15px sans-serif; margin: 1em 2em; background: #fff; color: #222; max-width: 1300px; }
table { border-collapse: collapse; } td, th { border: 1px solid #ccc; padding: 2px 10px; text-align: right; }
td:first-child, td:last-child { text-align: left; } .bad { background: #ffe3b3; } img { max-width: 100%; }
.bar { display: inline-block; height: 9px; background: #36c; } li { margin: 3px 0; }"""
BAR = 120
"""Width of the longest bar, px: that of the worst view in use, and of those left out."""
HEADS = ("view", "rgb px", "thermal px", "together px", "")
LOOK = (
    "Look at each row: the points must lie on the target's corners or circles, the ring at the same corner of the "
    "board in both pictures, and in the right picture the thermal edges (orange) on those of the board. Around the "
    "board they need not: only the board is at that distance."
)


def page(
    title: str, lines: Sequence[str], seen: Sequence[Seen], rig: Rig | None, pictures: dict[str, Image.Image]
) -> str:
    """The HTML text; `lines` are said first, `pictures` come by their heading."""
    shown = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    table = "" if rig is None else f"<h2>Error by view</h2>{errors(seen, rig)}"
    parts = "".join(
        f'<h2>{html.escape(name)}</h2><img src="{data_url(image)}" alt="{html.escape(name)}">'
        for name, image in pictures.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1><ul>{shown}</ul>{table}"
        f"<p>{LOOK}</p>{parts}</body></html>\n"
    )


def errors(seen: Sequence[Seen], rig: Rig) -> str:
    """A table: RMS reprojection errors, by each camera alone and by both with the target at one place."""
    together = {**{name: max(both) for name, both in rig.errors.items()}, **rig.left_out}
    longest = max(map(max, rig.errors.values()))
    rows = [f"<tr>{''.join(f'<th>{head}</th>' for head in HEADS)}</tr>"]
    for view in seen:
        alone = [{**lens.errors, **lens.left_out}.get(view.name) for lens in (rig.rgb, rig.thermal)]
        cells = [html.escape(view.name), *[number(error) for error in (*alone, together.get(view.name))]]
        width = round(BAR * min(1.0, together.get(view.name, 0) / longest))
        cells.append(f'<span class="bar" style="width:{width}px"></span> {why_not(view, rig)}')
        style = "" if view.name in rig.errors else ' class="bad"'
        rows.append(f"<tr{style}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"


def why_not(view: Seen, rig: Rig) -> str:
    """Why a view is not used for the cameras together; empty when it is."""
    missed = [name for name in ("rgb", "thermal") if getattr(view, name) is None]
    if missed:
        return f"no target found in {' and '.join(missed)}"
    for name, errors in (("rgb", rig.rgb.left_out), ("thermal", rig.thermal.left_out), ("together", rig.left_out)):
        if view.name in errors:
            return f"left out: bad {name}"
    return ""


def number(error: float | None) -> str:
    return "" if error is None else f"{error:.2f}"
