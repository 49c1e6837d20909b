"""From frames (on disk or synthetic) to items of model inputs, augmented for training or as the robot sees them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from sartm_core.config import TrainConfig
from sartm_core.data.datasets import Sample
from sartm_core.data.labels import IGNORE, remap_table
from sartm_core.data.synthetic import SceneConfig, SyntheticScenes, render_scene
from sartm_core.data.transforms import Frame, augment
from sartm_core.preprocess import PreprocessConfig, normalize_rgb, normalize_thermal, prepare

VAL_SEED = 10_000_000
"""Training scenes draw their seeds below this; validation scenes hash (VAL_SEED, index) into 32 bits."""

Item = dict[str, Any]
"""rgb (3, H, W) float32, thermal (1, H, W) float32, label (H, W) int64, name str; in training also keep (2,) bool: the
modalities the sample comes with."""
Draw = tuple[int, int]
"""(epoch, index): which training item, and the seed of everything random about it."""


class RandomScenes(Sequence[Sample]):
    """Synthetic scenes; every access draws a new one from torch's generator, so no epoch repeats another."""

    def __init__(self, length: int, config: SceneConfig) -> None:
        self.length, self.config = length, config

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        scene = render_scene(int(torch.randint(0, VAL_SEED, ())), self.config)
        return Sample(f"synthetic_{scene.seed}_{scene.condition}", scene.rgb, scene.kelvin, scene.label)


class FixedScenes(Sequence[Sample]):
    """The same synthetic scenes at every access, for validation. Names end in the condition."""

    def __init__(self, length: int, config: SceneConfig, seed: int = VAL_SEED) -> None:
        self.scenes = SyntheticScenes(length, seed, config)

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        scene = self.scenes[index]
        return Sample(f"synthetic_{index}_{scene.condition}", scene.rgb, scene.kelvin, scene.label)


class TrainingFrames(Dataset[Item]):
    """Augmented training items of one source."""

    def __init__(self, frames: Sequence[Sample], label_names: tuple[str, ...], config: TrainConfig) -> None:
        self.frames, self.label_names, self.config = frames, label_names, config
        self.table = remap_table(label_names, config.model.classes)  # (256,)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Item:
        sample = self.frames[index]
        label = torch.from_numpy(self.table[need_label(sample, self.label_names)])[None]  # (1, H, W)
        rgb = torch.from_numpy(sample.rgb).permute(2, 0, 1)  # (3, H, W)
        thermal = torch.from_numpy(fill_missing(sample.thermal))[None]  # (1, h, w)
        if thermal.shape[-2:] != label.shape[-2:]:
            thermal = torch.nn.functional.interpolate(thermal[None], label.shape[-2:], mode="bilinear")[0]
        norm = self.config.preprocess
        height, width = label.shape[-2:]
        zoom = math.sqrt(math.prod(norm.model_size(height, width)) / (height * width))
        frame = augment(Frame(rgb, thermal, label), self.config.data, zoom)
        return {
            "rgb": normalize_rgb(frame.rgb.permute(1, 2, 0).numpy(), norm),
            "thermal": torch.from_numpy(
                normalize_thermal(to_dtype(frame.thermal[0], sample.thermal.dtype), norm.thermal)
            )[None],
            "label": frame.label[0].long(),
            "keep": draw_keep(self.config.data.modality_dropout),
            "name": sample.name,
        }


class TrainingSet(Dataset[Item]):
    """All training sources as one. An item depends on (seed, epoch, index) alone: not on workers, processes or what
    was drawn before, so a run continues exactly where it stopped and many processes see what one would."""

    def __init__(self, parts: Sequence[TrainingFrames], seed: int) -> None:
        self.parts: ConcatDataset[Item] = ConcatDataset(parts)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, draw: Draw) -> Item:
        epoch, index = draw
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence((self.seed, epoch, index)).generate_state(1, np.uint64)[0]))
            return self.parts[index]


def draw_keep(dropout: float) -> Tensor:
    """(2,) bool: the modalities a sample keeps; each is dropped with probability `dropout`, never both."""
    draw = torch.rand(())
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
        rgb, thermal = prepare(sample.rgb, sample.thermal, self.config)
        assert rgb is not None and thermal is not None
        label = torch.from_numpy(self.table[need_label(sample, self.label_names)]).long()
        return {"rgb": rgb[0], "thermal": thermal[0], "label": label, "name": sample.name}


def need_label(sample: Sample, names: tuple[str, ...] | None = None) -> np.ndarray:
    """The sample's label (H, W), or ValueError naming the frame; with `names`, ids beyond them are refused too."""
    if sample.label is None:
        raise ValueError(f"labels: frame {sample.name!r} has none; training and validation need one for every frame")
    if sample.label.shape != sample.rgb.shape[:2]:
        raise ValueError(
            f"labels: frame {sample.name!r} is {sample.label.shape}, its rgb image {sample.rgb.shape[:2]}; "
            "sizes must be equal"
        )
    if names is not None:
        odd = np.unique(sample.label[(sample.label >= len(names)) & (sample.label != IGNORE)])
        if odd.size:
            raise ValueError(
                f"labels: frame {sample.name!r} holds ids {odd[:5].tolist()}; its label set has {len(names)} classes, "
                f"0..{len(names) - 1} and {IGNORE} = ignore. Is it another one (--data.label_set, classes.yaml)?"
            )
    return sample.label


def fill_missing(thermal: np.ndarray) -> np.ndarray:
    """(h, w) of any camera type -> float32; NaN and infinity become the frame's median, as `percentile` reads them."""
    values = thermal.astype(np.float32)
    missing = ~np.isfinite(values)
    if missing.any():
        values[missing] = np.median(values[~missing]) if not missing.all() else 0.0
    return values


def to_dtype(thermal: Tensor, dtype: np.dtype) -> np.ndarray:
    """Augmented float values back in the camera's type, which decides how `unit` normalisation scales them."""
    if dtype == np.float32:
        return thermal.numpy()
    return thermal.round().clamp(0, np.iinfo(dtype).max).numpy().astype(dtype)
