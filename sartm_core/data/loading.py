"""Batches of training and validation items for a configuration."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Sampler, Subset, default_collate

from sartm_core.config import TrainConfig
from sartm_core.data.datasets import open_dataset
from sartm_core.data.frames import (
    Draw,
    FixedScenes,
    Item,
    RandomScenes,
    TrainingFrames,
    TrainingSet,
    ValidationFrames,
)
from sartm_core.data.labels import MFNET
from sartm_core.data.synthetic import SceneConfig


class EpochBatches(Sampler[list[Draw]]):
    """The micro-batches of one process: parts of global batches that are the same for any number of processes.

    Global batch s is items s*B .. s*B + B - 1 of the epoch's permutation; it is cut into `accumulate` micro-batches,
    and process r of W takes every W-th item of each from r on. An incomplete last batch is left out.
    """

    def __init__(
        self, length: int, batch_size: int, seed: int, accumulate: int = 1, rank: int = 0, world: int = 1
    ) -> None:
        self.length, self.seed, self.rank, self.world = length, seed, rank, world
        self.micro = batch_size // accumulate  # items of a micro-batch over all processes
        self.batches = length // batch_size * accumulate
        if self.micro % world:
            raise ValueError(
                f"TrainerConfig.batch_size: {batch_size} in {accumulate} micro-batches does not divide among {world} "
                f"processes; give a multiple of {accumulate * world}"
            )
        if not self.batches:
            raise ValueError(f"TrainerConfig.batch_size: {batch_size}, but there are only {length} training frames")
        self.epoch = 0
        self.resumed_epoch, self.start = -1, 0

    def resume(self, epoch: int, start: int) -> None:
        """Go on in `epoch` behind its first `start` micro-batches."""
        self.epoch, self.resumed_epoch, self.start = epoch, epoch, start

    @property
    def sampler(self) -> EpochBatches:
        """Where Lightning looks for the `set_epoch` to call before every epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch = self.epoch
        order = torch.randperm(self.length, generator=torch.Generator().manual_seed(self.seed * 1_000_003 + epoch))
        first = self.start if epoch == self.resumed_epoch else 0
        for batch in range(first, self.batches):
            items = order[batch * self.micro : (batch + 1) * self.micro][self.rank :: self.world]
            yield [(epoch, int(index)) for index in items]


def training_set(config: TrainConfig) -> TrainingSet:
    """The data set (repeated as configured) and fresh synthetic scenes."""
    data = config.data
    parts: list[TrainingFrames] = []
    if data.dataset != "synthetic":
        frames = open_dataset(data.dataset, data.root or "", data.train_split, data.label_set)
        parts += [TrainingFrames(frames, frames.label_set.names, config)] * data.repeat
    if data.synthetic_train:
        scenes = SceneConfig(misalignment=data.synthetic_misalignment)
        parts.append(TrainingFrames(RandomScenes(data.synthetic_train, scenes), MFNET.names, config))
    if not parts:
        raise ValueError("DataConfig.synthetic_train: 0 with dataset 'synthetic' leaves nothing to train on")
    known = {name for part in parts for name in part.label_names}
    strange = [name for name in config.model.classes[1:] if name not in known]
    if strange:
        raise ValueError(
            f"ModelConfig.classes: {strange} occur in no label set of {data.dataset!r}, which has "
            f"{parts[0].label_names}; set --model.classes to (some of) these"
        )
    return TrainingSet(parts, config.seed)


def training_loader(config: TrainConfig, rank: int = 0, world: int = 1) -> DataLoader[Item]:
    """Shuffled micro-batches of process `rank` of `world`; `batch_sampler` is an `EpochBatches`."""
    frames = training_set(config)
    trainer, workers = config.trainer, config.data.workers
    batches = EpochBatches(len(frames), trainer.batch_size, config.seed, trainer.accumulate, rank, world)
    return DataLoader(
        frames, batch_sampler=batches, num_workers=workers, persistent_workers=workers > 0,
        pin_memory=trainer.accelerator != "cpu" and torch.cuda.is_available(),  # the copy to the GPU need not wait
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


def validation_loaders(config: TrainConfig, rank: int = 0, world: int = 1) -> dict[str, DataLoader[Item]]:
    """One loader per validation set, with every `world`-th frame from `rank` on."""
    sources = validation_sources(config)
    for name, source in sources.items():
        if len(source) < world:
            raise ValueError(f"validation set {name!r}: {len(source)} frames for {world} processes; use fewer of these")
    return {
        name: DataLoader(
            Subset(source, range(rank, len(source), world)), config.trainer.val_batch_size,
            num_workers=config.data.workers, collate_fn=stack_equal,
        )
        for name, source in sources.items()
    }  # fmt: skip


def stack_equal(items: list[Item]) -> Item:
    """Stack items of one size. ValueError when cameras differ within a validation set."""
    sizes = {tuple(item["label"].shape) for item in items}
    if len(sizes) > 1:
        raise ValueError(f"validation frames have several sizes {sorted(sizes)}; set --trainer.val_batch_size 1")
    return default_collate(items)
