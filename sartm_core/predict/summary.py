"""How much of each class there is in the masks: counts, and the tables made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sartm_core.support.classes import IGNORE
from sartm_core.support.files import LONGEST_NAME
from sartm_core.support.reports import to_csv
from sartm_core.support.text import plain

UNSURE = "unsure"
"""Row of the pixels below the confidence threshold."""
HEAD = ("id", "class", "share_percent", "frames", "frames_percent")
NAMED = 20
"""Most bad files in the text for the terminal."""


@dataclass
class Result:
    """What became of the frames."""

    classes: Sequence[str]
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    """Frame -> pixels of each class, and last of 255, (C + 1,) int64."""
    kept: int = 0
    """Frames that an earlier run had done."""
    failed: dict[str, str] = field(default_factory=dict)
    """Frame -> what is wrong with its files."""
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, mask: np.ndarray) -> None:
        """Count the pixels of a mask (H, W) uint8."""
        histogram = np.bincount(mask.ravel(), minlength=IGNORE + 1)  # (256,)
        self.counts[name] = np.append(histogram[: len(self.classes)], histogram[IGNORE])


def class_rows(result: Result) -> list[dict[str, Any]]:
    """One row a class, in id order; one for 255 where it occurs."""
    names = [*enumerate(result.classes), (IGNORE, UNSURE)]
    table = np.array(list(result.counts.values()), np.int64).reshape(-1, len(names))  # (frames, C + 1)
    pixels, frames = table.sum(axis=0), (table > 0).sum(axis=0)
    total = max(1, int(pixels.sum()))
    rows = [
        dict(zip(HEAD, (id, name, 100 * n / total, int(k), 100 * k / max(1, len(table))), strict=True))
        for (id, name), n, k in zip(names, pixels, frames, strict=True)
    ]
    return rows if pixels[-1] else rows[:-1]


def as_dict(result: Result, record: dict[str, Any]) -> dict[str, Any]:
    """For summary.json."""
    return {
        "frames": len(result.counts),
        "kept_from_before": result.kept,
        "classes": class_rows(result),
        "failed": result.failed,
        "notes": result.notes,
        "run": record,
    }


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows with the same keys as CSV."""
    return to_csv([list(rows[0]), *([f"{v:.4f}" if isinstance(v, float) else v for v in row.values()] for row in rows)])


def frame_rows(result: Result) -> list[dict[str, Any]]:
    """One row a frame with the share of each class in percent."""
    names = (*result.classes, UNSURE)
    return [
        {"frame": frame, **dict(zip(names, (100 * counts / counts.sum()).tolist(), strict=True))}
        for frame, counts in result.counts.items()
    ]


def as_text(result: Result) -> str:
    """The summary for the terminal."""
    new = len(result.counts) - result.kept
    lines = [f"{len(result.counts)} frames: {new} computed, {result.kept} from before", *map(plain, result.notes)]
    if result.counts:
        rows = class_rows(result)
        width = max(len(row["class"]) for row in rows)
        lines.append(f"\n {'id':>3}  {'class':{width}}  pixels %  in frames")
        lines += [
            f" {row['id']:>3}  {row['class']:{width}}  {row['share_percent']:8.2f}  "
            f"{row['frames']:5} ({row['frames_percent']:.0f} %)"
            for row in rows
        ]
    return "\n".join(lines)


def failures(result: Result) -> str:
    """The bad files, one a line."""
    lines = [f"  {plain(name, LONGEST_NAME)}: {plain(error)}" for name, error in list(result.failed.items())[:NAMED]]
    if len(result.failed) > NAMED:
        lines.append(f"  and {len(result.failed) - NAMED} more, all in summary.json")
    return "\n".join([f"{len(result.failed)} bad frames were skipped:", *lines])
