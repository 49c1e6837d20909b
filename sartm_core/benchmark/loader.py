"""How many training items the loader of a configuration gives per second."""

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from sartm_core.data.config import DataConfig
from sartm_core.data.scenes import FixedScenes
from sartm_core.data.sources import sources_of
from sartm_core.support.classes import MFNET
from sartm_core.synthetic import SceneConfig
from sartm_core.train.config import TrainConfig
from sartm_core.train.frames import Item
from sartm_core.train.loading import EpochBatches, training_loader, training_set

NO_ROOT = "not-given"
"""Stands for `data.root` in a configuration that leaves it to the command line."""
MADE_UP_FRAMES = 16
"""Frames written where the configuration's data set is not there: 8-bit PNG files of the model's input size."""
BATCHES_PER_WORKER = 6
"""Batches that are timed, for each process."""
ALONE = 24
"""Items that one process makes by itself."""
KELVIN = (250.0, 330.0)
"""What becomes 0 and 255 in the thermal files."""


def measure(config: TrainConfig) -> dict[str, Any]:
    """Items per second of the real `DataLoader` with its processes, and of one process by itself."""
    warnings.filterwarnings("ignore", message="This DataLoader will create")  # more processes than CPUs: as configured
    sources = sources_of(config.data)
    given = bool(sources) and config.data.root not in (None, NO_ROOT)
    if given and not Path(str(config.data.root)).is_dir():
        raise ValueError(f"data.root: no folder {config.data.root}; leave it out for made-up frames")
    if given or not sources:
        names = " ".join(source.title for source in sources) or "synthetic"
        return {"frames": f"data set {names!r}", **throughput(config)}
    with tempfile.TemporaryDirectory() as folder:
        made_up = write_frames(Path(folder), config)
        height, width = config.preprocess.input_size or config.data.crop_size
        frames = f"{MADE_UP_FRAMES} made-up frames of {height}x{width} (no data.root)"
        return {"frames": frames, **throughput(made_up)}


def throughput(config: TrainConfig) -> dict[str, Any]:
    loader, workers = training_loader(config), config.data.workers
    batches = endless(loader)
    first = next(batches)
    ahead, timed = loader.prefetch_factor or 0, BATCHES_PER_WORKER * max(1, workers)
    for _ in range(ahead * workers):  # made while the processes started
        next(batches)
    started = perf_counter()
    for _ in range(timed):
        next(batches)
    seconds = perf_counter() - started
    batches.close()
    return {
        "workers": workers,
        "items_per_second": timed * len(first["name"]) / seconds,
        "items_per_second_of_one_process": alone(config),
    }


def endless(loader: DataLoader[Item]) -> Generator[Item]:
    """Batches of one epoch after the other."""
    batches = loader.batch_sampler
    assert isinstance(batches, EpochBatches)
    for epoch in itertools.count():
        batches.set_epoch(epoch)
        yield from loader


def alone(config: TrainConfig) -> float:
    """Items per second of this process on one thread, as a loader process has it."""
    frames, threads = training_set(config), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        frames[0, 0]
        started = perf_counter()
        for i in range(ALONE):
            frames[1 + i // len(frames), i % len(frames)]
        return ALONE / (perf_counter() - started)
    finally:
        torch.set_num_threads(threads)


def write_frames(folder: Path, config: TrainConfig) -> TrainConfig:
    """`config` with a data set of its own in `folder`: synthetic scenes as the files that a real one consists of."""
    height, width = config.preprocess.input_size or config.data.crop_size
    scenes = FixedScenes(MADE_UP_FRAMES, SceneConfig(height, width))
    for kind in ("rgb", "thermal", "labels"):
        (folder / kind).mkdir()
    for i, scene in enumerate(scenes):
        assert scene.label is not None
        thermal = np.interp(scene.thermal, KELVIN, (0, 255)).astype(np.uint8)
        for kind, image in (("rgb", scene.rgb), ("thermal", thermal), ("labels", scene.label)):
            Image.fromarray(image).save(folder / kind / f"{i:05}.png")
    (folder / "train.txt").write_text("".join(f"{i:05}\n" for i in range(MADE_UP_FRAMES)))
    repeat = -(-config.trainer.batch_size // MADE_UP_FRAMES)
    one: dict[str, Any] = {"dataset": "folder", "root": str(folder), "label_set": "mfnet", "repeat": repeat}
    data: DataConfig = replace(config.data, **one, sources=(), epoch_frames=None, synthetic_train=0)
    classes = replace(config.model, classes=MFNET.names, palette=None)
    return replace(config, data=data, model=classes, loss=replace(config.loss, class_weights=None))
