"""Before a run: the classes it is about, and the folder it may write to."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from sartm_core.data.sources import open_source, sources_of
from sartm_core.model.config import ModelConfig
from sartm_core.support.fields import differences, from_dict, load_yaml, to_dict
from sartm_core.train.config import TrainConfig

log = logging.getLogger(__name__)

MAY_CHANGE = {
    "sam2", "init",  # the checkpoint knows its SAM2 file by content
    "data.root", "data.workers", "data.cache", "data.cache_mb",
    "loss.teacher_weights",  # the embeddings are in the checkpoint
    "optim.lr", "optim.encoder_lr", "optim.weight_decay", "optim.warmup_ratio", "optim.power", "optim.clip_norm",
    *(f"trainer.{name}" for name in (
        "max_epochs", "max_steps", "val_batch_size", "val_every", "checkpoint_every", "threads", "accelerator",
        "activation_checkpointing", "compile", "fit_confidence",
    )),
}  # fmt: skip
"""Fields that a run may go on with changed; files may have moved."""


def check_output(config: TrainConfig, output: Path) -> None:
    """Refuse to go on with a run of another configuration, naming the fields; see `MAY_CHANGE`."""
    path = output / "config.yaml"
    if not (path.is_file() and (output / "checkpoints").is_dir()):
        return
    try:
        before = from_dict(TrainConfig, load_yaml(path))
    except ValueError as error:
        raise ValueError(f"--output {output}: {path} is not a configuration ({error}); choose a new folder") from error
    odd = [d for d in differences(to_dict(before), to_dict(config)) if d[0] not in MAY_CHANGE]
    if odd:
        listed = "; ".join(f"{name} was {have!r}, is {want!r}" for name, have, want in odd)
        raise ValueError(f"--output {output}: holds a run of another configuration: {listed}. Choose a new folder")


def data_classes(config: TrainConfig) -> TrainConfig:
    """With classes left at their default and data sets of other ones, those of the first and their colours instead."""
    sources = sources_of(config.data)
    if not sources or config.model.classes != ModelConfig().classes:
        return config
    labels = open_source(config.data, sources[0], sources[0].train_split).label_set
    if labels.names == config.model.classes:
        return config
    log.info("classes of the data set: %s", ", ".join(labels.names))
    return replace(config, model=replace(config.model, classes=labels.names, palette=labels.palette))
