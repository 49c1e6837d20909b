"""The numbers of an evaluation as tables: rows of text for the terminal, for HTML and for CSV alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sartm_core.evaluate.conventions import CONVENTIONS, Convention
from sartm_core.evaluate.scores import percent
from sartm_core.support.reports import to_csv

Row = tuple[str, ...]
Scores = dict[str, dict[str, Any]]
"""{cameras: {group: scores}} of `sartm_core.evaluate.scores.all_scores`."""
MEANS = {"miou": "mIoU", "macc": "mAcc", "mf1": "mF1"}
PIXELS = {"all": "all labelled", "called_object": "called an object", "object": "are or are called one"}
BY_CLASS = {"iou": "IoU", "accuracy": "Acc", "f1": "F1"}


def summary(scores: Scores) -> list[Row]:
    """One row per cameras and group, percent, by the usual convention of the data set."""
    rows: list[Row] = [("cameras", "group", "frames", *MEANS.values(), "pixel acc")]
    for cameras, group, row in flat(scores):
        values = (row[key] for key in (*MEANS, "pixel_accuracy"))
        rows.append((cameras, group, str(row["frames"]), *map(percent, values)))
    return rows


def conventions(scores: Scores, num_classes: int, usual: Convention) -> list[Row]:
    """mIoU, mAcc and mF1 of all frames by every convention; `*` marks the usual one."""
    rows: list[Row] = [("convention", "classes", "cameras", *MEANS.values(), "where")]
    for convention in CONVENTIONS:
        for i, (cameras, groups) in enumerate(scores.items()):
            values = map(percent, (groups["all"]["conventions"][convention.name][key] for key in MEANS))
            name = convention.name + (" *" if convention == usual else "")
            head = (name, str(convention.number_of_classes(num_classes))) if i == 0 else ("", "")
            rows.append((*head, cameras, *values, convention.text if i == 0 else ""))
    return rows


def per_class(scores: Scores, group: str = "all") -> list[Row]:
    """One row per class, columns IoU, Acc and F1 of each camera set, percent."""
    rows: list[Row] = [("class", *(f"{title} {cameras}" for cameras in scores for title in BY_CLASS.values()))]
    by_cameras = [groups[group] for groups in scores.values()]
    for name in by_cameras[0]["iou"]:
        rows.append((name, *(percent(row[key][name]) for row in by_cameras for key in BY_CLASS)))
    return rows


def iou_by_group(scores: Scores) -> list[Row]:
    """One row per cameras and group, columns IoU of each class, percent."""
    classes = list(next(flat(scores))[2]["iou"])
    rows: list[Row] = [("cameras", "group", "frames", *classes)]
    for cameras, group, row in flat(scores):
        rows.append((cameras, group, str(row["frames"]), *(percent(row["iou"][name]) for name in classes)))
    return rows


def confidence(reliability: dict[str, dict[str, Any]]) -> list[Row]:
    """One row per cameras and kind of pixels; ECE, mean confidence and accuracy in percent."""
    rows: list[Row] = [("cameras", "pixels", "number", "ECE", "confidence", "accuracy")]
    for cameras, kinds in reliability.items():
        for i, (kind, row) in enumerate(kinds.items()):
            values = map(percent, (row["ece"], row["mean_confidence"], row["accuracy"]))
            rows.append((cameras if i == 0 else "", PIXELS[kind], str(row["pixels"]), *values))
    return rows


def per_class_csv(scores: Scores) -> str:
    """Every class of every group and camera set, one a line, in 0..1; empty where there is no value."""
    keys = ("iou", "accuracy", "f1", "true_pixels", "predicted_pixels")
    lines: list[Sequence[Any]] = [("cameras", "group", "frames", "class", *keys)]
    for cameras, group, row in flat(scores):
        lines += [(cameras, group, row["frames"], name, *(row[key][name] for key in keys)) for name in row["iou"]]
    return to_csv(lines)


def flat(scores: Scores) -> Any:
    """(cameras, group, scores) one after the other."""
    return ((cameras, group, row) for cameras, groups in scores.items() for group, row in groups.items())


def as_text(rows: Sequence[Row], left: int) -> str:
    """Columns set with spaces; the first `left` ones and the last text column flush left, numbers flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    numeric = [all(is_number(row[i]) for row in rows[1:]) for i in range(len(rows[0]))]
    lines = (
        "  ".join(
            cell.rjust(width) if number and i >= left else cell.ljust(width)
            for i, (cell, width, number) in enumerate(zip(row, widths, numeric, strict=True))
        ).rstrip()
        for row in rows
    )
    return "\n".join(lines)


def is_number(cell: str) -> bool:
    """Whether a cell is a number, `-` or empty."""
    return cell.replace(".", "", 1).isdigit() or cell in ("", "-")
