"""The confusion matrix and the reliability of the confidence as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sartm_core.evaluate.reliability import BINS

CELL_INCHES = 0.52
MARGIN_INCHES = 2.2
SMALLEST_INCHES = 3.0
"""Side of the matrix with few classes, so that the title fits."""
PANEL_INCHES = (3.3, 4.1)
DPI = 130
WHITE_ABOVE = 0.55
"""Cells darker than this share get white digits."""


def plot_confusion(counts: np.ndarray, classes: Sequence[str], title: str, path: Path) -> None:
    """Write a row-normalised confusion matrix, in percent of each true class.

    counts (C, C) int: true class by row, predicted class by column. A class without a true pixel has an empty row.
    """
    from matplotlib.figure import Figure

    total = counts.sum(axis=1, keepdims=True)  # (C, 1)
    share = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)  # (C, C)
    side = max(SMALLEST_INCHES, CELL_INCHES * len(classes))
    figure = Figure(figsize=(side + MARGIN_INCHES, side + MARGIN_INCHES), dpi=DPI, layout="constrained")
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


def plot_reliability(reliability: dict[str, dict[str, Any]], path: Path) -> None:
    """Write a reliability diagram: accuracy of the pixels told with each confidence, and below how many there are.

    reliability: as of `scores.confidence_scores`, a panel for each set of cameras. On the diagonal a confidence means
    what it says; below it the network is too sure of itself.
    """
    from matplotlib.figure import Figure

    width, height = PANEL_INCHES
    figure = Figure(figsize=(width * len(reliability) + 0.6, height), dpi=DPI, layout="constrained")
    grid = figure.subplots(2, len(reliability), height_ratios=(3, 1), sharex=True, squeeze=False)
    for column, (cameras, kinds) in enumerate(reliability.items()):
        diagram, histogram = grid[:, column]
        diagram.plot((0, 1), (0, 1), color="0.6", linewidth=1, linestyle=":")
        for kind, (color, mark, name) in RELIABILITY_STYLES.items():
            bins, ece = kinds[kind]["bins"], kinds[kind]["ece"]
            label = f"{name}: ECE {'-' if ece is None else f'{100 * ece:.1f} %'}"
            diagram.plot(bins["confidence"], bins["accuracy"], f"{mark}-", color=color, markersize=4, label=label)
            share = np.array(bins["pixels"]) / max(1, kinds[kind]["pixels"])
            histogram.stairs(spread_bins(bins["from"], share), np.linspace(0, 1, BINS + 1), color=color, linewidth=1.4)
        diagram.set_title(cameras, fontsize=10)
        diagram.legend(fontsize=7, frameon=False, loc="upper left")
        diagram.set_xlim(0, 1)
        diagram.set_ylim(0, 1)
        histogram.set_ylim(0, 1)
        histogram.set_xlabel("confidence")
        for axes in (diagram, histogram):
            axes.grid(color="0.92", linewidth=0.6)
    grid[0, 0].set_ylabel("accuracy")
    grid[1, 0].set_ylabel("share of pixels", fontsize=8)
    figure.savefig(path)


RELIABILITY_STYLES = {
    "all": ("#1f5fa8", "o", "all pixels"),
    "called_object": ("#c05a12", "s", "called an object"),
}
"""Kind of pixels -> colour, mark, name. Those that are or are called one have no honest diagram."""


def spread_bins(starts: Sequence[float], values: np.ndarray) -> np.ndarray:
    """(BINS,) values by bin, 0 where there are no pixels."""
    out = np.zeros(BINS)
    out[np.round(np.array(starts) * BINS).astype(int)] = values
    return out
