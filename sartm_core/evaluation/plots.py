"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

CELL_INCHES = 0.52
MARGIN_INCHES = 2.2
SMALLEST_INCHES = 3.0
"""Side of the matrix with few classes, so that the title fits."""
DPI = 130
WHITE_ABOVE = 0.55
"""Cells darker than this share get white digits."""


def plot_confusion(counts: np.ndarray, classes: Sequence[str], title: str, path: Path) -> None:
    """Write a row-normalised confusion matrix, in percent of each true class.

    counts (C, C) int: true class by row, predicted class by column. A class without a true pixel has an empty row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    total = counts.sum(axis=1, keepdims=True)  # (C, 1)
    share = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)  # (C, C)
    side = max(SMALLEST_INCHES, CELL_INCHES * len(classes))
    figure = Figure(figsize=(side + MARGIN_INCHES, side + MARGIN_INCHES), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts).tolist():
        value = share[row, column]
        text = f"{100 * value:.0f}" if value > 0.005 else "<1"
        color = "white" if value > WHITE_ABOVE else "black" if value > 0.005 else "0.6"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color=color)
    for row in np.flatnonzero(total[:, 0] == 0).tolist():
        axes.text((len(classes) - 1) / 2, row, "no true pixel", ha="center", va="center", fontsize=8, color="0.5")
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xticks(np.arange(len(classes)) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(classes)) - 0.5, minor=True)
    axes.grid(which="minor", color="0.85", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path)
