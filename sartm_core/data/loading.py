"""Batches of training and validation items for a configuration."""

from __future__ import annotations

import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from sartm_core.config import TrainConfig
from sartm_core.data.datasets import open_dataset
from sartm_core.data.frames import FixedScenes, Item, RandomScenes, TrainingFrames, ValidationFrames
from sartm_core.data.labels import MFNET
from sartm_core.data.synthetic import SceneConfig


def training_loader(config: TrainConfig) -> DataLoader[Item]:
    """Shuffled batches of the data set (repeated as configured) and of fresh synthetic scenes."""
    data = config.data
    parts: list[Dataset[Item]] = []
    if data.dataset != "synthetic":
        frames = open_dataset(data.dataset, data.root or "", data.train_split, data.label_set)
        parts += [TrainingFrames(frames, frames.label_set.names, config)] * data.repeat
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
        frames = open_dataset(data.dataset, data.root or "", data.val_split, data.label_set)
        sources[data.dataset] = ValidationFrames(frames, frames.label_set.names, classes, norm)
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
