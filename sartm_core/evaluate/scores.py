"""From confusion matrices to the numbers of the report."""

from __future__ import annotations

from typing import Any

from sartm_core.evaluate.conventions import CONVENTIONS, Convention
from sartm_core.evaluate.metrics import ConfusionMatrix
from sartm_core.evaluate.run import Evaluation
from sartm_core.support.reports import number


def all_scores(result: Evaluation, classes: tuple[str, ...], usual: Convention) -> dict[str, dict[str, Any]]:
    """{cameras: {group: scores}}; see `scores`. Groups: `all`, then as they came."""
    return {
        cameras: {group: {"frames": result.frames[group], **scores(m, classes, usual)} for group, m in groups.items()}
        for cameras, groups in result.matrices.items()
    }


def scores(matrix: ConfusionMatrix, classes: tuple[str, ...], usual: Convention) -> dict[str, Any]:
    """Everything one matrix says, in 0..1, None where a class has no value.

    `miou`, `macc`, `mf1` follow the usual convention of the data set; `conventions` has them in all.
    """
    by_class = {"iou": matrix.iou(), "accuracy": matrix.accuracy(), "f1": matrix.f1()}
    pixels = {"true_pixels": matrix.true_pixels(), "predicted_pixels": matrix.predicted_pixels()}
    return {
        **means(matrix, usual),
        "pixel_accuracy": number(matrix.pixel_accuracy()),
        "conventions": {convention.name: means(matrix, convention) for convention in CONVENTIONS},
        **{key: {c: number(v) for c, v in zip(classes, values, strict=True)} for key, values in by_class.items()},
        **{key: {c: int(v) for c, v in zip(classes, values, strict=True)} for key, values in pixels.items()},
        "confusion": matrix.counts[:, : matrix.num_classes].tolist(),
    }


def confidence_scores(result: Evaluation) -> dict[str, dict[str, Any]]:
    """{cameras: {kind of pixels: ECE, mean confidence, accuracy and their bins}}."""
    return {
        cameras: {kind: counts.as_dict() for kind, counts in kinds.by_pixels().items()}
        for cameras, kinds in result.reliability.items()
    }


def means(matrix: ConfusionMatrix, convention: Convention) -> dict[str, float | None]:
    """mIoU, mAcc and mean F1 by one convention."""
    counted = convention.counted(matrix)
    values = {"miou": counted.iou(), "macc": counted.accuracy(), "mf1": counted.f1()}
    return {key: number(convention.mean(v)) for key, v in values.items()}


def absent(row: dict[str, Any]) -> dict[str, int]:
    """Classes without a true pixel in one row of scores -> pixels that were called them all the same."""
    return {c: row["predicted_pixels"][c] for c, pixels in row["true_pixels"].items() if not pixels}


def percent(value: float | None) -> str:
    """A score for people: percent with two digits, `-` for None."""
    return "-" if value is None else f"{100 * value:.2f}"
