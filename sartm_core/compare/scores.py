"""From the counts of a comparison to its numbers, as plain values: what `compare.json` holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sartm_core.compare.bootstrap import LEAST_FRAMES, interval, resampled_sums
from sartm_core.compare.config import CompareConfig
from sartm_core.compare.run import OVERLAP, TRUE, UNION, Comparison, FrameCounts
from sartm_core.evaluate.conventions import Convention
from sartm_core.evaluate.run import OTHER
from sartm_core.support.reports import number

ALL = "all"


def agreement(result: Comparison, classes: Sequence[str], config: CompareConfig) -> dict[str, Any]:
    """How far the two masks are the same, labels or not, in 0..1.

    `overlap` of a class: pixels that both call it, over those that either does; None where neither does.
    """
    pixels = np.array([(frame.agreeing, frame.pixels) for frame in result.frames], np.float64)  # (N, 2)
    matrix = result.agreement
    shares = {"share_a": matrix.true_pixels(), "share_b": matrix.predicted_pixels()}
    total = pixels[:, 1].sum()
    return {
        "pixels": number(np.divide(*pixels.sum(axis=0))),
        "interval": spread(pixels, lambda sums: sums[:, 0] / sums[:, 1], config),
        "overlap": by_class(classes, matrix.iou()),
        **{key: by_class(classes, counts / total) for key, counts in shares.items()},
    }


def scores(
    frames: Sequence[FrameCounts], classes: Sequence[str], convention: Convention, config: CompareConfig
) -> dict[str, Any] | None:
    """IoU of every class and mIoU, of A and B and B minus A with its interval, of all frames and of every group.

    None when no frame has a label.
    """
    labelled = [frame for frame in frames if frame.counts is not None]
    if not labelled:
        return None
    groups = list(dict.fromkeys(frame.group for frame in labelled))
    members = {ALL: labelled}
    if groups != [OTHER]:  # names tell something
        members |= {group: [frame for frame in labelled if frame.group == group] for group in groups}
    return {name: group_scores(inside, classes, convention, config) for name, inside in members.items()}


def group_scores(
    frames: Sequence[FrameCounts], classes: Sequence[str], convention: Convention, config: CompareConfig
) -> dict[str, Any]:
    """`scores` of some frames, all with labels."""
    counts = np.stack([frame.counts for frame in frames if frame.counts is not None])  # (N, 2, 3, C)
    iou = ious(counts.sum(axis=0))  # (2, C)
    mean = np.array([convention.mean(values) for values in iou])  # (2,)
    resampled = means = None
    if len(frames) >= LEAST_FRAMES:
        sums = resampled_sums(counts.reshape(len(frames), -1), config.resamples, config.seed)  # (S, 2 * 3 * C)
        resampled = ious(sums.reshape(-1, *counts.shape[1:]))  # (S, 2, C)
        means = np.array([[convention.mean(values) for values in pair] for pair in resampled])  # (S, 2)
    with_class = (counts[:, 0, TRUE] > 0).sum(axis=0)  # (C,)
    return {
        "frames": len(frames),
        "miou": estimate(mean, means, config),
        "classes": {
            name: {
                **estimate(
                    iou[:, c],
                    None if resampled is None or with_class[c] < LEAST_FRAMES else resampled[:, :, c],
                    config,
                ),
                "frames": int(with_class[c]),
                "true_pixels": int(counts[:, 0, TRUE, c].sum()),
            }
            for c, name in enumerate(classes)
        },
    }


def ious(sums: np.ndarray) -> np.ndarray:
    """(..., 3, C) counts -> (..., C) IoU, NaN where neither truth nor prediction has the class."""
    overlap, union = sums[..., OVERLAP, :], sums[..., UNION, :]
    return np.divide(overlap, union, out=np.full(union.shape, np.nan), where=union > 0)


def estimate(values: np.ndarray, resampled: np.ndarray | None, config: CompareConfig) -> dict[str, Any]:
    """A score of A and B (2,) and what it was in each resample (S, 2): both, B minus A, and its interval."""
    bounds = None if resampled is None else interval(resampled[:, 1] - resampled[:, 0], config.confidence)
    return {
        "a": number(values[0]),
        "b": number(values[1]),
        "difference": number(values[1] - values[0]),
        "interval": None if bounds is None else list(bounds),
    }


def spread(values: np.ndarray, score: Any, config: CompareConfig) -> list[float] | None:
    """The interval of a score of summed frames; None with too few frames."""
    if len(values) < LEAST_FRAMES:
        return None
    bounds = interval(score(resampled_sums(values, config.resamples, config.seed)), config.confidence)
    return None if bounds is None else list(bounds)


def verdict(row: dict[str, Any]) -> str:
    """`A` or `B` where the interval of the difference leaves out 0, `unclear` where it holds it, `-` without one."""
    if row["interval"] is None:
        return "-"
    low, high = row["interval"]
    return "B" if low > 0 else "A" if high < 0 else "unclear"


def by_class(classes: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    return {name: number(value) for name, value in zip(classes, values, strict=True)}
