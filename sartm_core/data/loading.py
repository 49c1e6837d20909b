"""From frames (on disk or synthetic) to batches of model inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from sartm_core.config import TrainConfig
from sartm_core.data.datasets import FolderPairs, MFNetImages, Sample
from sartm_core.data.labels import LABEL_SETS, MFNET, remap_table
from sartm_core.data.synthetic import SceneConfig, SyntheticScenes, render_scene
from sartm_core.data.transforms import Frame, augment
from sartm_core.preprocess import PreprocessConfig, normalize_rgb, normalize_thermal, prepare

DISK_LAYOUTS = {"folder": FolderPairs, "mfnet": MFNetImages}
VAL_SEED = 10_000_000
"""Training scenes draw their seeds below this; validation scenes hash (VAL_SEED, index) into 32 bits."""

Item = dict[str, Tensor]
"""rgb (3, H, W) float32, thermal (1, H, W) float32, label (H, W) int64."""


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
        self.frames, self.config = frames, config
        self.table = remap_table(label_names, config.model.classes)  # (256,)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Item:
        sample = self.frames[index]
        label = torch.from_numpy(self.table[need_label(sample)])[None]  # (1, H, W)
        rgb = torch.from_numpy(sample.rgb).permute(2, 0, 1)  # (3, H, W)
        thermal = torch.from_numpy(fill_missing(sample.thermal))[None]  # (1, h, w)
        if thermal.shape[-2:] != label.shape[-2:]:
            thermal = torch.nn.functional.interpolate(thermal[None], label.shape[-2:], mode="bilinear")[0]
        norm = self.config.preprocess
        height, width = label.shape[-2:]
        zoom = math.sqrt(math.prod(norm.model_size(height, width)) / (height * width))
        frame = augment(Frame(rgb, thermal, label), self.config.data, zoom)
        return {
            "rgb": normalize_rgb(np.ascontiguousarray(frame.rgb.permute(1, 2, 0).numpy()), norm),
            "thermal": torch.from_numpy(
                normalize_thermal(to_dtype(frame.thermal[0], sample.thermal.dtype), norm.thermal)
            )[None],
            "label": frame.label[0].long(),
        }


class ValidationFrames(Dataset[Item]):
    """Whole frames, prepared as the robot would, each with its label at native size."""

    def __init__(
        self, frames: Sequence[Sample], label_names: tuple[str, ...], classes: tuple[str, ...], config: PreprocessConfig
    ):
        self.frames, self.config = frames, config
        self.table = remap_table(label_names, classes)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Item:
        sample = self.frames[index]
        rgb, thermal = prepare(sample.rgb, sample.thermal, self.config)
        assert rgb is not None and thermal is not None
        return {"rgb": rgb[0], "thermal": thermal[0], "label": torch.from_numpy(self.table[need_label(sample)]).long()}


def need_label(sample: Sample) -> np.ndarray:
    """The sample's label, or ValueError naming it."""
    if sample.label is None:
        raise ValueError(f"labels: frame {sample.name!r} has none; training and validation need one for every frame")
    if sample.label.shape != sample.rgb.shape[:2]:
        raise ValueError(
            f"labels: frame {sample.name!r} is {sample.label.shape}, its rgb image {sample.rgb.shape[:2]}; "
            "sizes must be equal"
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


def training_loader(config: TrainConfig) -> DataLoader[Item]:
    """Shuffled batches of the data set (repeated as configured) and of fresh synthetic scenes."""
    data = config.data
    parts: list[Dataset[Item]] = []
    if data.dataset != "synthetic":
        frames = DISK_LAYOUTS[data.dataset](data.root or "", data.train_split)
        parts += [TrainingFrames(frames, LABEL_SETS[data.label_set].names, config)] * data.repeat
    if data.synthetic_train:
        scenes = SceneConfig(misalignment=data.synthetic_misalignment)
        parts.append(TrainingFrames(RandomScenes(data.synthetic_train, scenes), MFNET.names, config))
    if not parts:
        raise ValueError("DataConfig.synthetic_train: 0 with dataset 'synthetic' leaves nothing to train on")
    return DataLoader(
        ConcatDataset(parts), config.trainer.batch_size, shuffle=True, drop_last=True,
        num_workers=data.workers, persistent_workers=data.workers > 0,
    )  # fmt: skip


def validation_sources(config: TrainConfig) -> dict[str, ValidationFrames]:
    """Validation sets by name: the data set's own split, and synthetic scenes where they are asked for."""
    data, classes, norm = config.data, config.model.classes, config.preprocess
    sources = {}
    if data.dataset != "synthetic":
        frames = DISK_LAYOUTS[data.dataset](data.root or "", data.val_split)
        sources[data.dataset] = ValidationFrames(frames, LABEL_SETS[data.label_set].names, classes, norm)
    if data.synthetic_val:
        scenes = FixedScenes(data.synthetic_val, SceneConfig(misalignment=data.synthetic_misalignment))
        sources["synthetic"] = ValidationFrames(scenes, MFNET.names, classes, norm)
    if not sources:
        raise ValueError("DataConfig.synthetic_val: 0 with dataset 'synthetic' leaves nothing to validate on")
    return sources


def validation_loaders(config: TrainConfig) -> dict[str, DataLoader[Item]]:
    """One loader per validation set."""
    return {
        name: DataLoader(source, config.trainer.val_batch_size, num_workers=config.data.workers, collate_fn=stack_equal)
        for name, source in validation_sources(config).items()
    }


def stack_equal(items: list[Item]) -> Item:
    """Stack items of one size. ValueError when cameras differ within a validation set."""
    sizes = {tuple(item["label"].shape) for item in items}
    if len(sizes) > 1:
        raise ValueError(f"validation frames have several sizes {sorted(sizes)}; set --trainer.val_batch_size 1")
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}
