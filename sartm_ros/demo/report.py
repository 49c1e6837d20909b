"""What the demo leaves behind: scores against the truth, the table, the contact sheet, overlays and report.json."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from sartm_core.evaluate.metrics import ConfusionMatrix
from sartm_core.support.classes import MFNET, Color, remap_table
from sartm_core.support.visualize import contact_sheet, legend_of, overlay, thermal_to_gray
from sartm_ros.demo.player import Answer, Phase

SHEET_ROWS = 8
SHEET_WIDTH = 320
"""Width of one picture in the contact sheet, pixels."""


class Scores:
    """mIoU of masks against the truth, for all frames and for each condition apart."""

    def __init__(self, classes: Sequence[str], truth_classes: Sequence[str] = MFNET.names) -> None:
        self.classes = tuple(classes)
        self._truth_classes = tuple(truth_classes)
        self._table = remap_table(self._truth_classes, self.classes)
        self._by_condition: dict[str, ConfusionMatrix] = {}
        self._all = ConfusionMatrix(len(self.classes))

    def truth(self, label: np.ndarray) -> np.ndarray:
        """Label ids of the data -> class ids of the node, (H, W) uint8."""
        return self._table[label]

    def add(self, answer: Answer) -> None:
        """Count one mask; without a label nothing happens. A mask pixel of 255 counts as wrong."""
        if answer.pair.label is None:
            return
        truth = self.truth(answer.pair.label)
        condition = self._by_condition.setdefault(
            answer.pair.condition or "unnamed", ConfusionMatrix(len(self.classes))
        )
        for matrix in (condition, self._all):
            matrix.update(answer.mask, truth)

    def rows(self) -> dict[str, dict[str, float | None]]:
        """{condition or "all": {"mIoU": v, class: IoU}}. None: no true pixel, not in the mean. Empty without labels."""
        named = {**self._by_condition, "all": self._all} if self._by_condition else {}
        return {name: self._row(matrix) for name, matrix in named.items()}

    def _row(self, matrix: ConfusionMatrix) -> dict[str, float | None]:
        iou = np.where(matrix.true_pixels() > 0, matrix.iou(), np.nan)  # (C,)
        known = iou[~np.isnan(iou)]
        mean = float(known.mean()) if known.size else math.nan
        return {"mIoU": _number(mean), **dict(zip(self.classes, map(_number, iou), strict=True))}

    def unknown(self) -> list[str]:
        """Classes of the labels that the weights lack; their pixels count as class 0. None without labels."""
        if not self._by_condition:
            return []
        return [name for name in self._truth_classes[1:] if name not in self.classes]


class Gallery:
    """Keeps the few frames that become pictures: rows of the contact sheet, spread from the first frame to the last."""

    def __init__(self, frames: int, overlays: int = 24) -> None:
        self._sheet = _spread(frames, SHEET_ROWS)
        self.overlay_indices = set(_spread(frames, overlays))
        self._kept: list[Answer] = []

    def add(self, answer: Answer) -> None:
        """Keep the answer if it is the first one at or after the next wanted frame."""
        if self._sheet and answer.index >= self._sheet[0]:
            self._sheet = [i for i in self._sheet if i > answer.index]
            self._kept.append(answer)

    def contact(self, scores: Scores, palette: Sequence[Color]) -> Image.Image:
        """rgb, thermal, truth where there is one, and mask of the kept frames, one row each."""
        rows, names = [], [answer.pair.name for answer in self._kept]
        labelled = all(answer.pair.label is not None for answer in self._kept)
        for answer in self._kept:
            pair = answer.pair
            masks = [scores.truth(pair.label), answer.mask] if labelled else [answer.mask]
            overlays = [overlay(pair.rgb, mask, palette) for mask in masks]
            rows.append([_shrink(image) for image in (pair.rgb, thermal_to_gray(pair.thermal), *overlays)])
        captions = ("rgb", "thermal", *(["truth"] if labelled else []), "mask")
        return contact_sheet(rows, captions, names, legend_of(scores.classes, palette))

    @property
    def empty(self) -> bool:
        """Whether nothing was kept."""
        return not self._kept


def phase_row(phase: Phase) -> dict[str, Any]:
    """The numbers of one phase; latencies in milliseconds, None when no mask came."""
    millis = np.array(phase.latencies) * 1000
    return {
        "pairs": phase.sent,
        "masks": phase.answers,
        "dropped": phase.sent - phase.answers,
        "pairs_per_second": round(phase.sent / phase.seconds, 2) if phase.seconds else None,
        "latency_ms": {
            name: round(float(np.percentile(millis, q)), 1) for name, q in (("p50", 50), ("p95", 95), ("max", 100))
        }
        if phase.latencies
        else None,
    }


def table(report: dict[str, Any]) -> str:
    """The report as text for the terminal."""
    lines = [f"{'':<30}{'pairs':>7}{'masks':>7}{'dropped':>9}{'pairs/s':>9}{'p50 ms':>9}{'p95 ms':>9}"]
    for name, row in report["phases"].items():
        latency = row["latency_ms"] or {}
        cells = [row[key] for key in ("pairs", "masks", "dropped", "pairs_per_second")]
        cells += [latency.get("p50"), latency.get("p95")]
        widths = (7, 7, 9, 9, 9, 9)
        lines.append(f"{name:<30}" + "".join(f"{_show(c):>{w}}" for c, w in zip(cells, widths, strict=True)))
    if report["iou"]:
        classes = list(report["iou"]["all"])
        lines += ["", f"{'IoU, percent':<30}" + "".join(f"{c:>11}" for c in classes)]
        for name, row in report["iou"].items():
            cells = [None if row[c] is None else row[c] * 100 for c in classes]
            lines.append(f"{name:<30}" + "".join(f"{_show(c):>11}" for c in cells))
    else:
        lines += ["", "no labels/ in the data, so no IoU"]
    return "\n".join(lines)


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)


def _spread(frames: int, count: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, frames - 1, min(count, frames))}) if frames > 0 else []


def _shrink(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> the same at `SHEET_WIDTH`, nearest, so that class colours stay themselves."""
    size = (SHEET_WIDTH, max(1, round(image.shape[0] * SHEET_WIDTH / image.shape[1])))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.NEAREST))
