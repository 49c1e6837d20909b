"""Whether a faster way says the same as the plain fp32 model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sartm_core.benchmark.lane import Lane
from sartm_core.benchmark.results import Agreement


@dataclass(frozen=True)
class Answer:
    """What one way says about one frame."""

    scores: np.ndarray
    """(C, H / 4, W / 4) float32."""
    masks: tuple[np.ndarray, ...]
    """(H, W) uint8 each."""


def answers(lane: Lane, frames: int) -> Iterator[Answer]:
    """Of the first frames, one after the other; it ends where the lane does."""
    for i in range(frames):
        scores, masks = lane.ask("scores", i), lane.ask("masks", i)
        if masks is None:
            return
        yield Answer(scores, masks)


def agree(plain: Answer, other: Answer) -> tuple[float, float, float]:
    """Largest difference of scores, mean and least part of equal pixels over the masks."""
    reference = plain.masks[0]
    equal = [float((mask == reference).mean()) for mask in other.masks]
    return float(np.abs(plain.scores - other.scores).max()), float(np.mean(equal)), min(equal)


def summarize(plain: list[Answer], others: Iterator[Answer]) -> Agreement | None:
    """None without frames, or where the other way did not get to the end."""
    found = [agree(reference, other) for reference, other in zip(plain, others, strict=False)]
    if not found or len(found) < len(plain):
        return None
    differences, means, leasts = zip(*found, strict=True)
    extent = max(a.scores.max() for a in plain) - min(a.scores.min() for a in plain)
    return Agreement(len(found), max(differences), float(extent), float(np.mean(means)), min(leasts))
