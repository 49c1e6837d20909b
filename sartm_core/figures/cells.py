"""The labelled cells of the coarse grid whose features a t-SNE shows, and those features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from sartm_core.data.checked import need_label
from sartm_core.data.pairs import Sample
from sartm_core.losses.prototypes import resize_nearest
from sartm_core.model.sartm import SARTM
from sartm_core.preprocess.prepare import prepare
from sartm_core.support.classes import IGNORE, LabelSet

FUSED_STRIDE = 16


@dataclass(frozen=True)
class Cells:
    """N cells of F~n: the frame, its row and column on the grid, its class."""

    frame: np.ndarray
    """(N,) int index of the frame, ascending."""
    row: np.ndarray
    """(N,) int."""
    column: np.ndarray
    """(N,) int."""
    label: np.ndarray
    """(N,) int class id."""

    def __len__(self) -> int:
        return len(self.label)

    def of_frame(self, frame: int) -> np.ndarray:
        """(N,) bool: the cells of one frame."""
        return self.frame == frame


def grid_size(model: SARTM, sample: Sample) -> tuple[int, int]:
    """Height and width of F~n for a frame."""
    height, width = model.info.preprocess.model_size(*sample.rgb.shape[:2])
    return height // FUSED_STRIDE, width // FUSED_STRIDE


def choose_cells(
    frames: Sequence[Sample],
    indices: Sequence[int],
    labels: LabelSet,
    table: np.ndarray,
    size_of: Callable[[Sample], tuple[int, int]],
    most: int,
    seed: int,
) -> Cells:
    """At most `most` cells of every class, drawn with a seed from the labelled cells of the frames.

    `table` (256,) turns the labels' ids into class ids; labels are resized to the grid as the losses do it.
    """
    found = []  # (4, n) of each frame: frame, row, column, class
    for index in tqdm(indices, desc="labels", unit="frame", disable=None):
        sample = frames[index]
        label = torch.from_numpy(table[need_label(sample, labels.names)])[None]  # (1, H, W)
        coarse = resize_nearest(label, size_of(sample))[0].numpy()  # (h, w)
        rows, columns = np.nonzero(coarse != IGNORE)
        found.append(np.stack((np.full(len(rows), index), rows, columns, coarse[rows, columns].astype(int))))
    cells = np.concatenate(found, axis=1)  # (4, n)
    if cells.shape[1] == 0:
        raise ValueError(f"labels: none of the {len(indices)} frames has a labelled cell on the grid")
    rng = np.random.default_rng(seed)
    kept = []
    for number in np.unique(cells[3]):
        members = np.flatnonzero(cells[3] == number)
        kept.append(rng.choice(members, min(most, len(members)), replace=False))
    return Cells(*cells[:, np.sort(np.concatenate(kept))])


def features(model: SARTM, frames: Sequence[Sample], cells: Cells, device: torch.device, title: str) -> np.ndarray:
    """F~n of the cells, (N, width) float32."""
    out = np.zeros((len(cells), model.encoder.width), np.float32)
    model = model.to(device).eval().fold()
    for index in tqdm(np.unique(cells.frame).tolist(), desc=title, unit="frame", disable=None):
        sample, mine = frames[index], cells.of_frame(index)
        inputs = prepare(sample.rgb, sample.thermal, model.info.preprocess, device)
        with torch.inference_mode():
            fused = model(*inputs).fused[0].float().cpu().numpy()  # (width, h, w)
        out[mine] = fused[:, cells.row[mine], cells.column[mine]].T
    return out
