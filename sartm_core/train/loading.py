"""Batches of training and validation items for a configuration."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Sampler, Subset, default_collate

from sartm_core.data.checked import MB, CheckedFrames
from sartm_core.data.sources import training_sources, validation_sources
from sartm_core.train.config import TrainConfig
from sartm_core.train.frames import Draw, Item, TrainingFrames, TrainingSet, ValidationFrames

log = logging.getLogger(__name__)


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
    """All sources, those on disk read into memory as far as they fit and by class where crops are drawn so."""
    data, classes = config.data, config.model.classes
    sources = training_sources(data)
    if not sources:
        raise ValueError("DataConfig.synthetic_train: 0 with dataset 'synthetic' leaves nothing to train on")
    known = {name for source in sources for name in source.label_set.names}
    strange = [name for name in classes[1:] if name not in known]
    if strange:
        where = ", ".join(repr(source.name) for source in sources)
        raise ValueError(
            f"ModelConfig.classes: {strange} occur in no label set of {where}, which has "
            f"{tuple(dict.fromkeys(name for source in sources for name in source.label_set.names))}; set "
            "--model.classes to (some of) these"
        )
    parts, room = [], data.cache_mb * MB if data.cache == "memory" else 0
    for source in sources:
        frames = CheckedFrames(source.frames, source.label_set.names, classes)
        kept = frames.load(room, by_class=data.focus > 0)
        room = max(0, room - kept)
        log.info(
            "source %r: %d items an epoch of %d frames, %d of them in memory (%d MB)",
            source.name, source.count, len(frames), len(frames.kept), kept // MB,
        )  # fmt: skip
        parts.append(TrainingFrames(frames, config))
    return TrainingSet(parts, [source.count for source in sources], config.seed)


def training_loader(config: TrainConfig, rank: int = 0, world: int = 1) -> DataLoader[Item]:
    """Shuffled micro-batches of process `rank` of `world`; `batch_sampler` is an `EpochBatches`."""
    frames = training_set(config)
    trainer, workers = config.trainer, config.data.workers
    batches = EpochBatches(len(frames), trainer.batch_size, config.seed, trainer.accumulate, rank, world)
    return DataLoader(
        frames, batch_sampler=batches, num_workers=workers, persistent_workers=workers > 0,
        pin_memory=trainer.accelerator != "cpu" and torch.cuda.is_available(),  # the copy to the GPU need not wait
        worker_init_fn=outlive_sigterm,
    )  # fmt: skip


def outlive_sigterm(worker: int) -> None:
    """Of a loader process: the first SIGTERM does nothing. Where a scheduler sends it to all processes of a run, the
    trainer needs frames until it has saved; loaders end with it, by a second signal if they must."""
    signal.signal(signal.SIGTERM, lambda number, frame: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def validation_sets(config: TrainConfig) -> dict[str, ValidationFrames]:
    """Validation sets by name: the splits of the data sets, and synthetic scenes where they are asked for."""
    return {
        source.name: ValidationFrames(source.frames, source.label_set.names, config.model.classes, config.preprocess)
        for source in validation_sources(config.data)
    }


def validation_loaders(config: TrainConfig, rank: int = 0, world: int = 1) -> dict[str, DataLoader[list[Item]]]:
    """One loader per validation set, with every `world`-th frame from `rank` on; its batches come in equal sizes."""
    sources = validation_sets(config)
    for name, source in sources.items():
        if len(source) < world:
            raise ValueError(f"validation set {name!r}: {len(source)} frames for {world} processes; use fewer of these")
    return {
        name: DataLoader(
            Subset(source, range(rank, len(source), world)), config.trainer.val_batch_size,
            num_workers=config.data.workers, collate_fn=by_size, worker_init_fn=outlive_sigterm,
        )
        for name, source in sources.items()
    }  # fmt: skip


def by_size(items: list[Item]) -> list[Item]:
    """Items as batches of equal sizes: cameras may differ within a validation set."""
    groups: dict[tuple[int, ...], list[Item]] = {}
    for item in items:
        groups.setdefault((*item["rgb"].shape, *item["label"].shape), []).append(item)
    return [default_collate(group) for group in groups.values()]
