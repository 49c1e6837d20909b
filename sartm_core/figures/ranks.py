"""Effective ranks over a run: in how many directions the encoder's stages and F~n vary, validation by validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from sartm_core.figures.config import RunConfig
from sartm_core.figures.sources import read_history
from sartm_core.model.config import MODALITIES
from sartm_core.support.files import replacing, write_json
from sartm_core.train.ranks import FUSED, LEAST

SIZE = (8.4, 3.4)
"""Inches."""
DPI = 300
MOST_DOTS = 40
"""Up to this many validations the curves have dots."""
COLORS = ("#a6bddb", "#3690c0", "#02818a", "#014636")
"""Strides from the finest on."""
FUSED_COLOR, ALARM_COLOR = "#d95f02", "#cb181d"
HIGHEST_AT_LEAST, HEADROOM = 10.0, 1.3
"""Upper end of the axis: this, or this part of the largest rank."""
TICKS = (1, 2, 3, 5, 10, 20, 50, 100, 200)


def ranks(config: RunConfig, output: Path) -> list[Path]:
    """Write `ranks.png` and `ranks.json`. ValueError names what is missing."""
    run = Path(config.run)
    rows = read_ranks(run)
    output.mkdir(parents=True, exist_ok=True)
    draw_figure(output / "ranks.png", rows)
    facts = {"run": run.name, "alarm_below": LEAST, "validations": rows}
    write_json(output / "ranks.json", facts)
    return [output / "ranks.png", output / "ranks.json"]


def read_ranks(run: Path) -> list[dict[str, Any]]:
    """{epoch, step, ranks} of every validation. ValueError says what is missing and how to get it."""
    rows = read_history(run)
    found = [
        {key: row[key] for key in ("epoch", "step", "ranks")} for row in rows if any((row.get("ranks") or {}).values())
    ]
    if not found:
        raise ValueError(f"{run}: no ranks in its history; was the run validated, and trained with this version?")
    return found


def draw_figure(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """A panel for each modality, F~n in both."""
    figure = Figure(figsize=SIZE, layout="constrained")
    panels = figure.subplots(1, len(MODALITIES), sharey=True)
    for axes, modality in zip(panels, MODALITIES, strict=True):
        draw_panel(axes, rows, modality)
    panels[0].set_ylabel("effective rank")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def draw_panel(axes: Axes, rows: Sequence[dict[str, Any]], modality: str) -> None:
    """The stages of one modality by epoch, on a logarithmic axis; what lies in the red is an alarm."""
    epochs = [row["epoch"] for row in rows]
    names = sorted(
        {n for row in rows for n in row["ranks"] if n.startswith(modality)}, key=lambda n: int(n.split("_")[1])
    )
    dot = "." if len(rows) <= MOST_DOTS else ""
    for name, color in zip([*names, FUSED], [*COLORS[: len(names)], FUSED_COLOR], strict=True):
        values = [row["ranks"].get(name) for row in rows]
        label = "F~n" if name == FUSED else name.split("/")[1].replace("_", " ")
        axes.plot(epochs, [np.nan if v is None else max(v, 1.0) for v in values], f"{dot}-", color=color, label=label)
    axes.set_yscale("log")
    axes.set_yticks(TICKS, minor=False)
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.minorticks_off()
    highest = max(value for row in rows for value in row["ranks"].values() if value is not None)
    axes.set_ylim(1, max(HIGHEST_AT_LEAST, HEADROOM * highest))
    axes.axhspan(1, LEAST, color=ALARM_COLOR, alpha=0.12, linewidth=0, label=f"alarm, below {LEAST:g}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_title(modality, fontsize=10)
    axes.grid(axis="y", color="0.9", linewidth=0.6)
