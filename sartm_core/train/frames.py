"""From frames (on disk or synthetic) to items of model inputs, augmented for training or as the robot sees them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sartm_core.data.checked import CheckedFrames, need_label, some_pixel
from sartm_core.data.pairs import Sample
from sartm_core.data.transforms import Frame, augment, chance
from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.preprocess.normalise import normalize_rgb, normalize_thermal
from sartm_core.preprocess.prepare import prepare
from sartm_core.preprocess.resize import resize
from sartm_core.preprocess.thermal import mode_of
from sartm_core.support.classes import remap_table
from sartm_core.train.config import TrainConfig

Item = dict[str, Any]
"""rgb (3, H, W) float32, thermal (1, H, W) float32, label (H, W) int64, name str, keep (2,) bool: the modalities the
sample comes with; zeros stand for the other."""
Draw = tuple[int, int]
"""(epoch, index): which training item, and the seed of everything random about it."""
ORDER_STREAM = 1
"""Sets the order of frames apart from other random numbers of a seed."""


class TrainingFrames(Dataset[Item]):
    """Augmented training items of one source."""

    def __init__(self, frames: CheckedFrames, config: TrainConfig) -> None:
        self.frames, self.config = frames, config

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Item:
        data, norm = self.config.data, self.config.preprocess
        around: int | None = None
        if chance(data.focus):
            index, around = self.frames.of_some_class(index)
        sample = self.frames[index]
        assert sample.label is not None
        height, width = sample.label.shape
        frame = Frame(
            None if sample.rgb is None else torch.from_numpy(sample.rgb).permute(2, 0, 1),  # (3, H, W)
            None if sample.thermal is None else whole_thermal(sample.thermal, norm.thermal, (height, width)),
            torch.from_numpy(sample.label)[None],  # (1, H, W)
        )
        pixel = None if around is None else some_pixel(sample.label, around)
        zoom = math.sqrt(math.prod(norm.model_size(height, width)) / (height * width))
        frame = augment(frame, data, zoom, pixel, mode_of(norm.thermal.mode).CLIP)
        size = frame.label.shape[-2:]
        return {
            "rgb": torch.zeros(3, *size) if frame.rgb is None else normalize_rgb(channels_last(frame.rgb), norm),
            "thermal": torch.zeros(1, *size) if frame.thermal is None else frame.thermal.contiguous(),
            "label": frame.label[0].long(),
            "keep": draw_keep(data.modality_dropout, cameras_of(sample)),
            "name": sample.name,
        }


def whole_thermal(thermal: np.ndarray, norm: ThermalNorm, size: tuple[int, int]) -> Tensor:
    """A frame of any camera type -> (1, *size) float32, normalised as a whole like on the robot, before any crop."""
    return resize(torch.from_numpy(normalize_thermal(thermal, norm))[None, None], size)[0]


def channels_last(rgb: Tensor) -> np.ndarray:
    """(3, H, W) -> (H, W, 3), as cameras give it."""
    return rgb.permute(1, 2, 0).numpy()


class TrainingSet(Dataset[Item]):
    """All training sources as one. An item depends on (seed, epoch, index) alone: not on workers, processes or what
    was drawn before, so a run continues exactly where it stopped and many processes see what one would.

    Items `starts[s] .. starts[s + 1] - 1` of an epoch are of source s, which goes through its frames in a new order
    each time around: none comes again before all have come, over the ends of epochs.
    """

    def __init__(self, parts: Sequence[TrainingFrames], counts: Sequence[int], seed: int) -> None:
        self.parts, self.counts, self.seed = parts, counts, seed
        self.starts = np.cumsum([0, *counts])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, draw: Draw) -> Item:
        epoch, index = draw
        part, frame = self.frame_of(epoch, index)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence((self.seed, epoch, index)).generate_state(1, np.uint64)[0]))
            return self.parts[part][frame]

    def frame_of(self, epoch: int, index: int) -> tuple[int, int]:
        """(source, its frame) of an item of an epoch."""
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        before = epoch * self.counts[part] + index - int(self.starts[part])  # items of this source
        turn, place = divmod(before, len(self.parts[part]))
        order = np.random.default_rng((ORDER_STREAM, self.seed, part, turn)).permutation(len(self.parts[part]))
        return part, int(order[place])


def cameras_of(sample: Sample) -> tuple[bool, bool]:
    """Whether there is an rgb and a thermal image."""
    return sample.rgb is not None, sample.thermal is not None


def draw_keep(dropout: float, have: tuple[bool, bool] = (True, True)) -> Tensor:
    """(2,) bool: the modalities a sample keeps; each is dropped with probability `dropout`, never both nor the only
    one."""
    draw = torch.rand(())
    if not all(have):
        return torch.tensor(have)
    return torch.stack((draw >= dropout, (draw < dropout) | (draw >= 2 * dropout)))  # rgb, thermal


class ValidationFrames(Dataset[Item]):
    """Whole frames, prepared as the robot would, each with its label at native size."""

    def __init__(
        self, frames: Sequence[Sample], label_names: tuple[str, ...], classes: tuple[str, ...], config: PreprocessConfig
    ):
        self.frames, self.label_names, self.config = frames, label_names, config
        self.table = remap_table(label_names, classes)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Item:
        sample = self.frames[index]
        label = torch.from_numpy(self.table[need_label(sample, self.label_names)]).long()
        rgb, thermal = prepare(sample.rgb, sample.thermal, self.config)
        frame = rgb if rgb is not None else thermal
        assert frame is not None
        size = frame.shape[-2:]
        return {
            "rgb": torch.zeros(3, *size) if rgb is None else rgb[0],
            "thermal": torch.zeros(1, *size) if thermal is None else thermal[0],
            "label": label,
            "keep": torch.tensor(cameras_of(sample)),
            "name": sample.name,
        }
