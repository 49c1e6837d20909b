"""Does a quantised network still say what it said in float? On frames that nothing was measured on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sartm_core.runtime.batching import SCORE_STRIDE
from sartm_core.runtime.postprocess import class_ids
from sartm_core.runtime.quantisation.frames import Input
from sartm_core.support.classes import IGNORE
from sartm_core.support.late import F, torch

Run = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""As a `Session`: rgb, thermal, present -> scores (1, C, H / 4, W / 4)."""

ENOUGH = 0.99
"""Share of pixels that must get the same class."""
MOST_LOST = 0.01
"""Of the IoU of a class, against the masks in float."""
BORDER = SCORE_STRIDE
"""Pixels on either side of a border between classes that the IoU leaves out: less than the distance of two scores."""
FEWEST = 1e-3
"""Share of the pixels from which on the IoU of a class says something."""


@dataclass(frozen=True)
class Verdict:
    """A quantised network against the same in float."""

    same: float
    """Share of pixels with the same class, 0..1."""
    worst: float
    """The same of the worst frame."""
    lost: dict[str, float] = field(default_factory=dict)
    """By class, 1 - IoU with the float masks away from their borders; of classes that are there."""
    frames: int = 0

    @property
    def is_good(self) -> bool:
        return self.same >= ENOUGH and self.most_lost <= MOST_LOST

    @property
    def most_lost(self) -> float:
        return max(self.lost.values(), default=0.0)

    @property
    def order(self) -> tuple[float, float]:
        """The larger, the better: first what is furthest beyond its limit."""
        return -max((1 - self.same) / (1 - ENOUGH), self.most_lost / MOST_LOST), self.same

    def __str__(self) -> str:
        text = f"{self.same:.2%} of pixels as in float, {self.worst:.2%} in the worst of {self.frames} frames"
        if not self.lost:
            return text
        name = max(self.lost, key=lambda one: self.lost[one])
        return f"{text}; {name} loses most, {100 * self.lost[name]:.2f} points of IoU"


class Judge:
    """Knows the masks of the network in float; says how far another one is from them."""

    def __init__(self, exact: Run, frames: Sequence[Input], classes: Sequence[str]) -> None:
        self.frames, self.classes = frames, tuple(classes)
        self.masks = [mask_of(exact, frame) for frame in frames]
        self.inner = [away_from_borders(mask) for mask in self.masks]

    def __call__(self, run: Run) -> Verdict:
        same, count = [], len(self.classes)
        pairs = np.zeros((count, count), np.int64)  # (C, C) float, quantised
        for frame, mask, inner in zip(self.frames, self.masks, self.inner, strict=True):
            found = mask_of(run, frame)
            same.append(float((found == mask).mean()))
            counted = inner != IGNORE
            pairs += np.bincount(inner[counted] * count + found[counted], minlength=count**2).reshape(count, count)
        hit, true, guess = pairs.diagonal(), pairs.sum(1), pairs.sum(0)  # (C,) each
        there = np.flatnonzero(np.maximum(true, guess) >= max(1, FEWEST * pairs.sum()))
        lost = {self.classes[c]: float(1 - hit[c] / (true[c] + guess[c] - hit[c])) for c in there}
        return Verdict(float(np.mean(same)), min(same), lost, len(same))


def mask_of(run: Run, frame: Input) -> np.ndarray:
    """(H, W) int64 class ids at the size of the network's input."""
    scores = torch.from_numpy(run(*frame))[0]  # (C, H / 4, W / 4)
    size = scores.shape[1] * SCORE_STRIDE, scores.shape[2] * SCORE_STRIDE
    return class_ids(scores, size).numpy().astype(np.int64)


def away_from_borders(mask: np.ndarray) -> np.ndarray:
    """(H, W) ids -> the same, `IGNORE` along borders."""
    ids = torch.from_numpy(mask)[None, None].float()  # (1, 1, H, W)
    window = 2 * BORDER + 1
    high, low = (F.max_pool2d(sign * ids, window, 1, BORDER)[0, 0] * sign for sign in (1, -1))  # (H, W) each
    return np.where((high == low).numpy(), mask, IGNORE)
