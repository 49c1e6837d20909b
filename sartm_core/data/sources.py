"""The sources of a run: which frames there are to train on and to validate on, and how much each counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sartm_core.data.config import DataConfig, SourceConfig
from sartm_core.data.datasets import open_dataset
from sartm_core.data.pairs import Sample
from sartm_core.data.scenes import FixedScenes, RandomScenes, pooled
from sartm_core.preprocess.registration_file import read_registration
from sartm_core.support.classes import MFNET, LabelSet
from sartm_core.synthetic import SceneConfig

POOL_SEED = 30_000_000
"""Scenes of the training pool hash (POOL_SEED, index) into 32 bits."""


@dataclass(frozen=True)
class Source:
    """Frames of one data set."""

    name: str
    """What errors, logs and scores call it."""
    frames: Sequence[Sample]
    """As stored."""
    label_set: LabelSet
    """Whose ids the labels hold."""
    count: int
    """Items of it in a training epoch; of validation, its frames."""


def sources_of(data: DataConfig) -> tuple[SourceConfig, ...]:
    """The data sets on disk, as sources also where the configuration names a single one."""
    if data.sources:
        return tuple(source for source in data.sources if source.dataset != "synthetic")
    if data.dataset == "synthetic":
        return ()
    one = SourceConfig(data.dataset, None, data.label_set, data.train_split, data.val_split, name=data.dataset)
    return (one,)


def training_sources(data: DataConfig) -> list[Source]:
    """What an epoch consists of, in the order of the configuration. ValueError names what is missing."""
    opened = [open_source(data, source, source.train_split) for source in sources_of(data)]
    if not data.sources:
        found = [replace(source, count=source.count * data.repeat) for source in opened]
        return found + ([synthetic_source(data, data.synthetic_train)] if data.synthetic_train else [])
    total = data.epoch_frames or sum(source.count for source in opened)
    if not total:
        raise ValueError("DataConfig.epoch_frames: not set, and there are only synthetic sources; say how many items")
    counts = shares([source.weight for source in data.sources], total)
    for config, count in zip(data.sources, counts, strict=True):
        if not count:
            raise ValueError(
                f"DataConfig.sources: {config.title!r} with weight {config.weight} gets none of {total} items; raise "
                "it or epoch_frames"
            )
    on_disk = iter(opened)
    return [
        synthetic_source(data, count, config.title)
        if config.dataset == "synthetic"
        else replace(next(on_disk), count=count)
        for config, count in zip(data.sources, counts, strict=True)
    ]


def validation_sources(data: DataConfig) -> list[Source]:
    """The splits to validate on, and synthetic scenes where they are asked for."""
    found = [open_source(data, source, source.val_split) for source in sources_of(data) if source.val_split]
    if data.synthetic_val:
        scenes = SceneConfig(misalignment=data.synthetic_misalignment)
        fixed = FixedScenes(data.synthetic_val, scenes)
        found.append(
            Source("synthetic", pooled(fixed.scenes) if data.synthetic_pool else fixed, MFNET, data.synthetic_val)
        )
    if not found:
        raise ValueError("DataConfig.synthetic_val: 0, and no data set with a val_split: nothing to validate on")
    return found


def open_source(data: DataConfig, source: SourceConfig, split: str | None) -> Source:
    """The frames of a split on disk."""
    frames = open_dataset(source.dataset, data.folder(source), split, source.label_set)
    if data.registration is not None:
        frames.register(read_registration(data.registration))
    return Source(source.title, frames, frames.label_set, len(frames))


def synthetic_source(data: DataConfig, count: int, name: str = "synthetic") -> Source:
    """Scenes to train on: those of the pool, or new ones at every access."""
    scenes = SceneConfig(misalignment=data.synthetic_misalignment)
    if data.synthetic_pool:
        return Source(name, pooled(FixedScenes(data.synthetic_pool, scenes, POOL_SEED).scenes), MFNET, count)
    return Source(name, RandomScenes(count, scenes), MFNET, count)


def shares(weights: Sequence[float], total: int) -> list[int]:
    """`total` items shared out by weight: whole parts first, the rest by largest remainder, the earlier of equals."""
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [math.floor(part) for part in exact]
    by_rest = sorted(range(len(weights)), key=lambda i: (counts[i] - exact[i], i))
    for i in by_rest[: total - sum(counts)]:
        counts[i] += 1
    return counts
