"""Figure 7: t-SNE of the fused features F~n by class, a panel for each checkpoint, all of the same cells.

A picture of an embedding shows what one wants to see, so every panel carries two numbers of the features themselves:
the silhouette score, and how well a cell's class is told by the nearest cells of *other* frames (cells of one frame
resemble each other whatever the model).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sartm_core.evaluate.run import label_table
from sartm_core.figures import ablation
from sartm_core.figures.cells import Cells, choose_cells, features, grid_size
from sartm_core.figures.config import TsneConfig
from sartm_core.figures.sources import check_same_classes, open_source, spread
from sartm_core.model.checkpoint import sha256
from sartm_core.model.sartm import SARTM
from sartm_core.runtime.opening import checkpoint_path, name_of
from sartm_core.support.classes import Color
from sartm_core.support.device import pick_device
from sartm_core.support.files import replacing, write_json
from sartm_core.support.visualize import display_colors

log = logging.getLogger(__name__)

FEWEST_CELLS = 5
PANEL, LEGEND_ENTRY = 3.2, 1.25
"""Inches."""
DPI = 300
LIGHT = 0.75
"""Colours of a higher luminance get a dark edge, so that they show on white."""


def tsne(config: TsneConfig, output: Path) -> list[Path]:
    """Write `tsne.png` and `tsne.json`. ValueError and OSError name what is wrong."""
    shown = panels_of(config)
    names, frames, labels = open_source(config)
    paths = list(dict.fromkeys(path for _, path in shown))  # one may have several panels
    models = [SARTM.load(path, config.sam2) for path in paths]
    indices = spread(len(names), config.frames)
    check_comparable(models, paths, frames[indices[0]])
    classes, palette = models[0].config.classes, display_colors(models[0].config.palette or ())
    table = label_table(labels.names, classes)
    cells = choose_cells(
        frames, indices, labels, table, lambda sample: grid_size(models[0], sample), config.points, config.seed
    )
    if len(cells) < FEWEST_CELLS:
        raise ValueError(f"--frames {config.frames}: only {len(cells)} labelled cells; give more frames")
    device = pick_device(config.device)
    found = {}
    for model, path in zip(models, paths, strict=True):
        unit = unit_vectors(features(model, frames, cells, device, path.parent.name))
        log.info("%s: t-SNE of %d cells", path, len(cells))
        points = embed(unit, config.perplexity, config.seed)
        found[path] = points, {"file": path.name, "sha256": sha256(path), **scores(unit, cells, classes, config)}
    panels = [(found[path][0], {"title": title, **found[path][1]}) for title, path in shown]
    output.mkdir(parents=True, exist_ok=True)
    draw_figure(output / "tsne.png", panels, cells, classes, palette, config.neighbors)
    about = {
        "frames": len(np.unique(cells.frame)),
        "cells by class": {classes[i]: int((cells.label == i).sum()) for i in np.unique(cells.label)},
        "seed": config.seed,
        "features": "F~n, scaled to length 1; distances are cosine",
        "panels": [facts for _, facts in panels],
    }
    write_json(output / "tsne.json", about)
    return [output / "tsne.png", output / "tsne.json"]


def panels_of(config: TsneConfig) -> list[tuple[str, Path]]:
    """(title, weights) of each panel."""
    if config.ablation:
        own = ablation.panels(Path(config.ablation), config.run_seed)
    else:
        own = [(name_of(file), checkpoint_path(file)) for file in (config.checkpoint, *config.compare)]
    return list(zip(config.titles, (path for _, path in own), strict=True)) if config.titles else own


def check_comparable(models: Sequence[SARTM], paths: Sequence[Path], sample: Any) -> None:
    """Raise ValueError when checkpoints have other classes or another grid, naming two of them."""
    for model, path in zip(models[1:], paths[1:], strict=True):
        check_same_classes(models[0].config.classes, model.config.classes, (str(paths[0]), str(path)))
        grids = grid_size(models[0], sample), grid_size(model, sample)
        if grids[0] != grids[1]:
            raise ValueError(
                f"checkpoints {paths[0]} and {path}: F~n is {grids[0]} and {grids[1]} for one frame; "
                "only weights trained at the same input size share their cells"
            )


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """(N, D) scaled to length 1 each."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def embed(unit: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """(N, D) unit vectors -> (N, 2), the same for the same seed."""
    from sklearn.manifold import TSNE  # 2 s to import

    fitting = min(perplexity, (len(unit) - 1) / 3)  # t-SNE needs some three times as many points
    return TSNE(2, perplexity=fitting, init="pca", learning_rate="auto", random_state=seed).fit_transform(unit)


def scores(unit: np.ndarray, cells: Cells, classes: Sequence[str], config: TsneConfig) -> dict[str, Any]:
    """Silhouette and k-NN accuracy of the features (N, D), None where they cannot be had."""
    from sklearn.metrics import silhouette_score

    several = 2 <= len(np.unique(cells.label)) < len(cells)
    silhouette = float(silhouette_score(unit, cells.label, metric="cosine")) if several else None
    by_class = neighbor_accuracy(unit, cells.label, cells.frame, config.neighbors)
    return {
        "silhouette": silhouette,
        "knn_accuracy": float(np.mean(list(by_class.values()))) if by_class else None,
        "knn_accuracy_by_class": {classes[i]: value for i, value in by_class.items()},
        "neighbors": config.neighbors,
    }


def neighbor_accuracy(unit: np.ndarray, label: np.ndarray, frame: np.ndarray, neighbors: int) -> dict[int, float]:
    """Class -> share of its cells (N,) that the majority of their nearest cells in other frames has right.

    unit (N, D) of length 1. A tie goes to the nearest cell's class, if it is among the tied. Empty for one frame.
    """
    alike = unit @ unit.T  # (N, N)
    alike[frame[:, None] == frame] = -np.inf
    order = np.argsort(-alike, axis=1, kind="stable")[:, :neighbors]  # (N, k)
    usable = np.take_along_axis(alike, order, axis=1) > -np.inf
    if not usable.any():
        return {}
    votes = np.zeros((len(label), label.max() + 1))  # (N, C)
    np.add.at(votes, (np.arange(len(label))[:, None], label[order]), usable)
    np.add.at(votes, (np.arange(len(label)), label[order[:, 0]]), 0.5 * usable[:, 0])
    right = votes.argmax(axis=1) == label
    return {int(i): float(right[label == i].mean()) for i in np.unique(label)}


def draw_figure(
    path: Path,
    panels: Sequence[tuple[np.ndarray, dict[str, Any]]],
    cells: Cells,
    classes: Sequence[str],
    palette: Sequence[Color],
    neighbors: int,
) -> None:
    """All panels in a row, the legend below."""
    present = np.unique(cells.label)
    lines = math.ceil(len(present) / max(2, int(PANEL * len(panels) / LEGEND_ENTRY)))
    columns = math.ceil(len(present) / lines)  # full lines, as far as they go
    figure = Figure(figsize=(PANEL * len(panels), PANEL + 0.6 + 0.2 * lines), layout="constrained")
    for axes, (points, facts) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        scatter(axes, points, cells.label, palette)
        axes.set_title(facts["title"], fontsize=10)
        silhouette, knn = facts["silhouette"], facts["knn_accuracy"]
        words = [f"silhouette {silhouette:.3f}" if silhouette is not None else "one class"]
        words.append(f"{neighbors}-NN {100 * knn:.1f} %" if knn is not None else "one frame: no k-NN")
        axes.set_xlabel("    ".join(words), fontsize=9)
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=6, label=classes[i], **colors(palette[i])) for i in present
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def scatter(axes: Axes, points: np.ndarray, label: np.ndarray, palette: Sequence[Color]) -> None:
    """Points (N, 2) in the colours of their classes, the most frequent class at the back."""
    for i in sorted(np.unique(label), key=lambda i: -(label == i).sum()):
        mine = points[label == i]
        axes.plot(mine[:, 0], mine[:, 1], "o", markersize=2.6, alpha=0.8, **colors(palette[i]))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1)


def colors(color: Color) -> dict[str, Any]:
    """How markers of a class look."""
    red, green, blue = (value / 255 for value in color)
    light = 0.299 * red + 0.587 * green + 0.114 * blue > LIGHT
    return {
        "markerfacecolor": (red, green, blue),
        "markeredgecolor": "0.25" if light else "none",
        "markeredgewidth": 0.5 if light else 0.0,
    }
