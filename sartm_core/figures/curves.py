"""A run over its epochs: the loss, and the IoU of every class on every validation set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sartm_core.figures.config import RunConfig
from sartm_core.figures.sources import read_history
from sartm_core.support.files import replacing, write_json

PANEL = (3.4, 3.2)
"""Inches of one panel."""
DPI = 300
TERMS = {"loss": "loss", "s0": "mask decoder", "s1": "auxiliary head"}
"""What is drawn of the loss -> what it is called."""
MEAN_STYLE = {"color": "black", "linewidth": 2.0}


def curves(config: RunConfig, output: Path) -> list[Path]:
    """Write `curves.png` and `curves.json`. ValueError names what is missing."""
    run = Path(config.run)
    rows = read_history(run)
    scored = [row for row in rows if "miou" in row]
    if not scored:
        raise ValueError(f"{run}: no validation yet, so there are no scores to draw")
    output.mkdir(parents=True, exist_ok=True)
    draw_figure(output / "curves.png", rows, scored)
    write_json(output / "curves.json", {"run": run.name, "epochs": rows})
    return [output / "curves.png", output / "curves.json"]


def draw_figure(path: Path, rows: Sequence[dict[str, Any]], scored: Sequence[dict[str, Any]]) -> None:
    """A panel with the loss, then one for each validation set."""
    sets = [name for name, value in scored[0].items() if isinstance(value, dict) and "iou" in value]
    width, height = PANEL
    figure = Figure(figsize=(width * (1 + len(sets)), height), layout="constrained")
    panels = figure.subplots(1, 1 + len(sets))
    draw_loss(panels[0], rows)
    for axes, name in zip(panels[1:], sets, strict=True):
        draw_scores(axes, scored, name)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def draw_loss(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """The whole loss and that of each path, means over the steps of an epoch."""
    for term, label in TERMS.items():
        values = [row.get(term) for row in rows]
        if any(value is not None for value in values):
            axes.plot([row["epoch"] for row in rows], values, ".-", label=label)
    finish(axes, "training", "mean loss of the epoch", rows)


def draw_scores(axes: Axes, scored: Sequence[dict[str, Any]], name: str) -> None:
    """IoU by class in percent, and their mean."""
    epochs = [row["epoch"] for row in scored]
    for label in scored[0][name]["iou"]:
        values = [row[name]["iou"][label] for row in scored]
        axes.plot(epochs, [np.nan if v is None else 100 * v for v in values], ".-", label=label)
    axes.plot(epochs, [100 * row[name]["miou"] for row in scored], ".-", label="mean", **MEAN_STYLE)
    axes.set_ylim(0, 100)
    finish(axes, f"validation: {name}", "IoU, percent", scored)


def finish(axes: Axes, title: str, label: str, rows: Sequence[dict[str, Any]]) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.set_xlim(0, rows[-1]["epoch"] + 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.legend(frameon=False, fontsize=8)
