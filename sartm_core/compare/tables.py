"""The numbers of a comparison as tables: rows of text for the terminal and for HTML alike, and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sartm_core.compare.run import FrameCounts
from sartm_core.compare.scores import verdict
from sartm_core.evaluate.scores import percent
from sartm_core.evaluate.tables import Row
from sartm_core.support.reports import number, to_csv

Scores = dict[str, dict[str, Any]]
"""{group: scores} of `sartm_core.compare.scores.scores`."""


def difference_columns(level: float) -> tuple[str, ...]:
    """Heads of what `cells` gives."""
    return ("A", "B", "B - A", f"{100 * level:g} % interval", "better")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """One estimate in percent: A, B, their difference in points, its interval, who is better."""
    return (percent(row["a"]), percent(row["b"]), points(row["difference"]), between(row["interval"]), verdict(row))


def points(value: float | None) -> str:
    """A difference in percentage points, with its sign."""
    return "-" if value is None else f"{100 * value:+.2f}"


def between(bounds: Sequence[float] | None) -> str:
    """An interval in percentage points."""
    return "-" if bounds is None else f"{points(bounds[0])} to {points(bounds[1])}"


def means(scores: Scores, level: float) -> list[Row]:
    """mIoU of all frames and of every group."""
    rows: list[Row] = [("mIoU of", "frames", *difference_columns(level))]
    return rows + [(group, str(row["frames"]), *cells(row["miou"])) for group, row in scores.items()]


def per_class(scores: Scores, level: float) -> list[Row]:
    """IoU by class, all frames; `frames`: how many have a true pixel of it."""
    rows: list[Row] = [("IoU of", "frames", *difference_columns(level))]
    return rows + [(name, str(row["frames"]), *cells(row)) for name, row in scores["all"]["classes"].items()]


def agreement(found: dict[str, Any]) -> list[Row]:
    """Shares of pixels by class, in percent, and how far the two put them in the same place."""
    rows: list[Row] = [("class", "pixels A", "pixels B", "overlap")]
    keys = ("share_a", "share_b", "overlap")
    return rows + [(name, *(percent(found[key][name]) for key in keys)) for name in found["overlap"]]


def per_class_csv(scores: Scores | None, found: dict[str, Any]) -> str:
    """Every class (and `mIoU`) of every group, one a line, in 0..1; empty where there is no value.

    Without labels only what the masks themselves say: shares of pixels and overlap.
    """
    if scores is None:
        keys = ("share_a", "share_b", "overlap")
        return to_csv([("class", *keys), *((name, *(found[key][name] for key in keys)) for name in found["overlap"])])
    lines: list[Sequence[Any]] = [("group", "class", "frames", "iou_a", "iou_b", "difference", "low", "high")]
    for group, row in scores.items():
        for name, values in (("mIoU", row["miou"]), *row["classes"].items()):
            count = values.get("frames", row["frames"])
            three = (values[key] for key in ("a", "b", "difference"))
            lines.append((group, name, count, *three, *(values["interval"] or (None, None))))
    return to_csv(lines)


def frames_csv(frames: Iterable[FrameCounts]) -> str:
    """Every frame, one a line, those where the two differ most first."""
    lines: list[Sequence[Any]] = [("frame", "group", "differing", "miou_a", "miou_b")]
    for frame in sorted(frames, key=lambda frame: frame.agreeing / frame.pixels):
        a, b = (number(value) for value in frame.miou) if frame.miou else (None, None)
        lines.append((frame.name, frame.group, (frame.pixels - frame.agreeing) / frame.pixels, a, b))
    return to_csv(lines)
