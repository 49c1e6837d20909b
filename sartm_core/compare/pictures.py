"""The frames where two models differ most, as small pictures: memory does not grow with the number of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sartm_core.data.pairs import Sample
from sartm_core.evaluate.worst import shrink
from sartm_core.support.classes import IGNORE, Color
from sartm_core.support.ranking import Ranking
from sartm_core.support.visualize import camera_pictures, contact_sheet, overlay

ONLY_A_RIGHT: Color = (255, 150, 0)
ONLY_B_RIGHT: Color = (0, 200, 255)
BOTH_WRONG: Color = (220, 60, 255)
NO_LABEL: Color = (255, 255, 80)
DIFFERENCE_COLORS = {
    "only A right": ONLY_A_RIGHT,
    "only B right": ONLY_B_RIGHT,
    "they differ, both wrong": BOTH_WRONG,
    "they differ, no label": NO_LABEL,
}
"""Legend of the difference pictures."""
BLANK_COLOR: Color = (40, 40, 40)
"""In place of the label of a frame that has none."""
CAPTIONS = ("rgb", "thermal", "label", "A", "B", "difference")


@dataclass(frozen=True)
class DifferentFrame:
    """One frame with its row of pictures."""

    name: str
    differing: float
    """Share of the frame's pixels where the two masks differ, 0..1."""
    row: dict[str, np.ndarray]
    """Pictures by caption, (h, w, 3) uint8 each; a frame without a label has none of it."""

    def strip(self) -> Image.Image:
        """The row as one picture, with captions."""
        return contact_sheet([list(self.row.values())], list(self.row))

    def blank(self) -> np.ndarray:
        """In place of a picture that it has not."""
        return np.full_like(next(iter(self.row.values())), BLANK_COLOR)


class MostDifferent:
    """Keeps the `size` frames of the largest differing share among all that are offered; of equal ones the earlier.

    Frames on which both agree everywhere are never kept.
    """

    def __init__(self, size: int, palette: Sequence[Color]) -> None:
        self.palette = palette
        self._kept: Ranking[DifferentFrame] = Ranking(size)

    def offer(self, sample: Sample, truth: np.ndarray | None, a: np.ndarray, b: np.ndarray) -> None:
        """Consider one frame: `truth`, `a` and `b` are (H, W) uint8 class ids; `truth` None without a label."""
        share = float((a != b).mean())
        if share:
            self._kept.offer(share, lambda: DifferentFrame(sample.name, share, self.pictures(sample, truth, a, b)))

    def frames(self) -> list[DifferentFrame]:
        """The most different first."""
        return self._kept.best()

    def pictures(self, sample: Sample, truth: np.ndarray | None, a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
        """By caption, in the order of `CAPTIONS`, each as wide as those of an evaluation."""
        rgb, thermal, frame = camera_pictures(sample.rgb, sample.thermal)
        masks = {"label": truth, "A": a, "B": b}
        drawn = {name: overlay(frame, mask, self.palette) for name, mask in masks.items() if mask is not None}
        pictures = {"rgb": rgb, "thermal": thermal, **drawn}
        row = {name: shrink(image, Image.Resampling.BILINEAR) for name, image in pictures.items()}
        return {**row, "difference": shrink(difference(frame, truth, a, b), Image.Resampling.NEAREST)}


def difference(rgb: np.ndarray, truth: np.ndarray | None, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two masks differ and who is right, in `DIFFERENCE_COLORS` over the darkened grey image, (H, W, 3) uint8."""
    out = np.repeat((rgb.mean(axis=2) / 2).astype(np.uint8)[..., None], 3, axis=2)  # (H, W, 3)
    differ = a != b  # (H, W)
    out[differ] = NO_LABEL
    if truth is not None:
        known = differ & (truth != IGNORE)
        out[known] = BOTH_WRONG
        out[known & (a == truth)] = ONLY_A_RIGHT
        out[known & (b == truth)] = ONLY_B_RIGHT
    return out
