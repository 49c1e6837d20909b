"""Figure 8: how alike the class prototypes are, over the epochs of a run, beside how alike the class names' text is.

The trainer leaves `prototypes/epoch_NNNN.npz` after every epoch: the bank of global prototypes, which classes it has
seen, and with a teacher the text embeddings. The curve is L_se between the bank and the text (the training loss takes
the prototypes of a batch instead), and the mean difference of the two matrices off their diagonals.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sartm_core.figures.config import SimilarityConfig
from sartm_core.losses.semantic import self_similarity, semantic_loss
from sartm_core.support.files import replacing, write_json

FILE = re.compile(r"epoch_(\d+)\.npz")
COLORS = "viridis"
UNSEEN: dict[str, Any] = {"facecolor": "0.9", "edgecolor": "0.65", "hatch": "////", "linewidth": 0.0}
MOST_DIGITS = 9
"""Up to this many classes the cells carry their values."""
MOST_DOTS = 40
"""Up to this many epochs the curve has dots."""
DPI = 300


@dataclass(frozen=True)
class Prototypes:
    """The bank after one epoch."""

    epoch: int
    """Counted from 1."""
    bank: np.ndarray
    """(C, width) float32."""
    seen: np.ndarray
    """(C,) bool."""
    text: np.ndarray | None
    """(C, D) float32 of the class names, None without teacher."""
    classes: tuple[str, ...]
    """Names in id order."""

    def matrix(self) -> np.ndarray:
        """(C, C) cosine similarity of the prototypes, NaN for a class not seen yet."""
        return np.where(self.seen[:, None] & self.seen, cosine(self.bank), np.nan)

    def text_matrix(self) -> np.ndarray | None:
        """(C, C) cosine similarity of the text embeddings."""
        return None if self.text is None else cosine(self.text)

    def loss(self) -> float | None:
        """L_se of the bank against the text; None without text or with fewer than two classes seen."""
        if self.text is None or self.seen.sum() < 2:
            return None
        bank, seen, text = (torch.from_numpy(np.asarray(a)) for a in (self.bank, self.seen, self.text))
        return float(semantic_loss(bank, seen, text))

    def mean_off_diagonal(self, other: np.ndarray | None = None) -> float | None:
        """Mean similarity of two different classes seen; with `other` (C, C) the mean absolute difference to it."""
        matrix = self.matrix() if other is None else np.abs(self.matrix() - other)
        values = matrix[~np.eye(len(matrix), dtype=bool)]
        return None if np.isnan(values).all() else float(np.nanmean(values))


def similarity(config: SimilarityConfig, output: Path) -> list[Path]:
    """Write `similarity.png` and `similarity.json`. ValueError names what is missing."""
    run = Path(config.run)
    history = read_prototypes(run)
    shown = pick_epochs(history, config.epochs, run)
    output.mkdir(parents=True, exist_ok=True)
    draw_figure(output / "similarity.png", history, shown)
    facts = {
        "run": run.name,
        "classes": list(history[-1].classes),
        "epochs": [
            {
                "epoch": p.epoch,
                "seen": int(p.seen.sum()),
                "l_se": p.loss(),
                "mean_similarity": p.mean_off_diagonal(),
                "mean_difference_to_text": None if p.text is None else p.mean_off_diagonal(p.text_matrix()),
            }
            for p in history
        ],
    }
    write_json(output / "similarity.json", facts)
    return [output / "similarity.png", output / "similarity.json"]


def read_prototypes(run: Path) -> list[Prototypes]:
    """All epochs of a run, in order. ValueError says what is missing and how to get it."""
    if not run.is_dir():
        raise ValueError(f"--run {run}: no such folder; give the --output folder of a training run")
    files = sorted((int(m[1]), path) for path in (run / "prototypes").glob("*.npz") if (m := FILE.fullmatch(path.name)))
    if not files:
        raise ValueError(
            f"{run / 'prototypes'}: no epoch_NNNN.npz; sartm_core.train writes one after every epoch. Is this the "
            "--output folder of a run, has its first epoch ended, and was it trained with this version?"
        )
    history = [read_epoch(epoch, path) for epoch, path in files]
    odd = next((p for p in history if p.classes != history[0].classes), None)
    if odd is not None:
        raise ValueError(f"{run / 'prototypes'}: epochs {history[0].epoch} and {odd.epoch} have other classes")
    return history


def read_epoch(epoch: int, path: Path) -> Prototypes:
    """One file. ValueError names it when it is not what the trainer writes."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            text = arrays.get("text")
            names = tuple(str(name) for name in arrays["classes"])
            return Prototypes(epoch, arrays["bank"], arrays["seen"].astype(bool), text, names)
    except (KeyError, OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: not prototypes of sartm_core.train ({error})") from error


def pick_epochs(history: Sequence[Prototypes], wanted: Sequence[int], run: Path) -> list[Prototypes]:
    """The epochs asked for, or the first, a middle one and the last. ValueError for one that is not there."""
    by_epoch = {p.epoch: p for p in history}
    epochs = list(by_epoch)
    missing = [epoch for epoch in wanted if epoch not in by_epoch]
    if missing:
        raise ValueError(f"--epochs {missing[0]}: {run} has {len(epochs)}, from {epochs[0]} to {epochs[-1]}")
    chosen = wanted or (epochs[0], epochs[(len(epochs) - 1) // 2], epochs[-1])
    return [by_epoch[epoch] for epoch in sorted(set(chosen))]


def cosine(vectors: np.ndarray) -> np.ndarray:
    """(C, D) -> (C, C)."""
    return self_similarity(torch.from_numpy(np.asarray(vectors, np.float32))).numpy()


def draw_figure(path: Path, history: Sequence[Prototypes], shown: Sequence[Prototypes]) -> None:
    """The matrices in a row with one colour scale, the curve on the right."""
    text = history[-1].text_matrix()
    matrices = [(f"epoch {p.epoch}", p.matrix()) for p in shown] + ([] if text is None else [("text", text)])
    classes = history[-1].classes
    side = max(2.3, 0.17 * len(classes) + 0.5)
    figure = Figure(figsize=((side + 0.15) * len(matrices) + 1.0 + side * 1.25, side + 1.1), layout="constrained")
    widths = [1.0] * len(matrices) + [1.25]
    *heat, curve = figure.subplots(1, len(matrices) + 1, width_ratios=widths)
    known = np.concatenate([m[~np.isnan(m)] for _, m in matrices])
    scale = Normalize(min(0.0, float(known.min())) if known.min() < 0.2 else float(known.min()), 1.0)
    for axes, (title, matrix) in zip(heat, matrices, strict=True):
        draw_matrix(axes, matrix, classes, scale)
        axes.set_title(title, fontsize=9)
        axes.set_yticks(range(len(classes)), classes if axes is heat[0] else [""] * len(classes), fontsize=7)
    bar = figure.colorbar(ScalarMappable(scale, COLORS), ax=heat, shrink=0.75, pad=0.01)
    bar.set_label("cosine similarity", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    draw_curve(curve, history, shown)
    if not all(p.seen.all() for p in shown):
        figure.legend(
            handles=[Patch(**UNSEEN, label="not seen yet")], loc="outside lower left", frameon=False, fontsize=7
        )
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def draw_matrix(axes: Axes, matrix: np.ndarray, classes: Sequence[str], scale: Normalize) -> None:
    """One heatmap (C, C); classes not seen are hatched."""
    axes.patch.set(**UNSEEN)
    image = axes.imshow(matrix, cmap=COLORS, norm=scale)
    axes.set_xticks(range(len(classes)), classes, rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
    axes.tick_params(length=0)
    if len(classes) <= MOST_DIGITS:
        for (row, column), value in np.ndenumerate(matrix):
            if not np.isnan(value):
                red, green, blue, _ = image.cmap(scale(value))
                dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
                digits = f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 0.995 else f"{value:.0f}"
                axes.text(column, row, digits, ha="center", va="center", fontsize=6, color="w" if dark else "k")


def draw_curve(axes: Axes, history: Sequence[Prototypes], shown: Sequence[Prototypes]) -> None:
    """How far the prototypes' similarities are from the text's, by epoch; without text, how alike they are."""
    epochs = [p.epoch for p in history]
    dot = "." if len(epochs) <= MOST_DOTS else ""
    for p in shown:
        axes.axvline(p.epoch, color="0.85", linewidth=1, zorder=0)
    axes.set_xlabel("epoch", fontsize=8)
    axes.set_box_aspect(0.8)
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if history[-1].text is None:
        values = [p.mean_off_diagonal() for p in history]
        axes.plot(epochs, [np.nan if v is None else v for v in values], f"{dot}-", color="#1f5fa8")
        axes.set_title("mean similarity of two classes (no text)", fontsize=8)
        return
    losses = [p.loss() for p in history]
    differences = [p.mean_off_diagonal(p.text_matrix()) for p in history]
    right = axes.twinx()
    right.set_box_aspect(axes.get_box_aspect())
    lines = axes.plot(
        epochs, [np.nan if v is None else v for v in losses], f"{dot}-", color="#1f5fa8", label="$L_{se}$ of the bank"
    )
    lines += right.plot(
        epochs, [np.nan if v is None else v for v in differences], f"{dot}--", color="#c05a12",
        label="mean |difference|, right",
    )  # fmt: skip
    axes.ticklabel_format(axis="y", scilimits=(-2, 3), useMathText=True)
    axes.yaxis.get_offset_text().set_fontsize(7)
    right.tick_params(labelsize=7)
    axes.set_title("prototypes against text", fontsize=9)
    axes.legend(lines, [str(line.get_label()) for line in lines], fontsize=7, frameon=False)
