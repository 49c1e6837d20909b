"""Before a run: what it trains on which data, whether this machine can, and the folder it may write to."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from sartm_core.data.datasets import open_dataset
from sartm_core.data.seen import in_both
from sartm_core.data.sources import open_source, sources_of
from sartm_core.data.swapped import false_color, swapped_cameras
from sartm_core.losses.teachers.text import text_embeddings
from sartm_core.model.config import ModelConfig
from sartm_core.preprocess.statistics import InputStatistics, input_statistics, problems
from sartm_core.support.distributed import sync_batchnorm
from sartm_core.support.fields import differences, from_dict, load_yaml, to_dict
from sartm_core.train.checkpoints import ResumePoint, resume_point
from sartm_core.train.config import MAY_CHANGE, TrainConfig
from sartm_core.train.frames import Item
from sartm_core.train.loading import training_loader, validation_loaders
from sartm_core.train.module import LitSARTM
from sartm_core.train.start import build_model

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What a run needs to begin or go on."""

    config: TrainConfig
    """With the classes of its data."""
    module: LitSARTM
    train_loader: DataLoader[Item]
    val_loaders: dict[str, DataLoader[list[Item]]]
    resume: ResumePoint | None
    """Where it goes on; None at its start."""
    inputs: dict[str, list[InputStatistics]]
    """Folder of a data set -> what the network sees of its cameras."""
    learnt: str
    """How many of the validation frames also train, in words; "" for none."""


def prepare(config: TrainConfig, last: Path | None = None) -> Prepared:
    """Data, network and objective of one process of a run; `last`: the checkpoint it would go on from.

    The network is made anew or from the files that the configuration names. A resumed run has the teacher's
    embeddings in its checkpoint.
    """
    config = data_classes(config)
    check_precision(config)
    rank, world = rank_and_world()
    check_compile(config, world)
    inputs = check_inputs(config)
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    L.seed_everything(config.seed, workers=True, verbose=False)
    val_loaders = validation_loaders(config, rank, world)
    train_loader = training_loader(config, rank, world)
    learnt = validation_frames_that_train(config, train_loader, val_loaders)
    resume = None if last is None else resume_point(last)
    model = build_model(config)
    if world > 1:
        sync_batchnorm(model)
    text = resume.text if resume else text_embeddings(config.loss, config.model.classes)
    module = LitSARTM(model, config, list(val_loaders), text)
    return Prepared(config, module, train_loader, val_loaders, resume, inputs, learnt)


def check_inputs(config: TrainConfig) -> dict[str, list[InputStatistics]]:
    """Look at some training frames of every data set on disk as the network will see them: its folder -> its cameras.

    Warns of what is odd, and raises ValueError where training on it is senseless, both with the option to set.
    """
    data, inputs = config.data, {}
    for source in sources_of(data):
        frames = open_dataset(source.dataset, data.folder(source), source.train_split, source.label_set)
        pairs = [(files.rgb, files.thermal) for files in frames.files.values()]
        if reason := swapped_cameras(pairs):
            raise ValueError(f"{frames.root}: {reason}")
        if doubt := false_color(pairs):
            log.warning("%s: %s", frames.root, doubt)
        found = input_statistics(frames.some_images(), config.preprocess)
        log.info("inputs from %s: %s", frames.root, "; ".join(map(str, found)))
        for problem in problems(found, config.preprocess):
            if problem.refuse:
                raise ValueError(f"{frames.root}: {problem.message}")
            log.warning("%s: %s", frames.root, problem.message)
        inputs[str(frames.root)] = found
    return inputs


def validation_frames_that_train(
    config: TrainConfig, train: DataLoader[Item], val: Mapping[str, DataLoader[list[Item]]]
) -> str:
    """What `Prepared.learnt` says; a warning where the epoch would be picked on such frames."""
    both, frames = in_both(train.dataset, [loader.dataset for loader in val.values()])
    if not both:
        return ""
    words = f"{both} of {frames} validation frames also train"
    advice = (
        "their scores are no test of these weights"
        if config.trainer.keep == "last"
        else "picking the best epoch on them prefers what is learnt by heart. Give another --data.val_split, or "
        "--trainer.keep last to leave the last weights instead"
    )
    log.warning("%s: %s", words, advice)
    return words


def rank_and_world() -> tuple[int, int]:
    """This process's number and how many there are, as torchrun says."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def trainer_settings(config: TrainConfig) -> dict[str, Any]:
    """Lightning's arguments for how to train here; under torchrun with all its processes."""
    settings, (_, world) = config.trainer, rank_and_world()
    local = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return {
        "accelerator": settings.accelerator,
        "devices": local,
        "num_nodes": world // local,
        "strategy": "ddp" if world > 1 else "auto",
        "use_distributed_sampler": False,  # EpochBatches deals the frames out itself
        "precision": settings.precision,
        "accumulate_grad_batches": settings.accumulate,
        "gradient_clip_val": config.optim.clip_norm or None,
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
    }


def quieten() -> None:
    """Leave out what Lightning says to advertise, and its hints about worker counts."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")


def check_precision(config: TrainConfig) -> None:
    """Raise ValueError for fp16 without a GPU: Lightning would take bf16 without a word."""
    if config.trainer.precision == "16-mixed" and (
        config.trainer.accelerator == "cpu" or not torch.cuda.is_available()
    ):
        raise ValueError("TrainerConfig.precision: '16-mixed' needs a GPU; use bf16-mixed or 32-true on a CPU")


def check_compile(config: TrainConfig, world: int) -> None:
    """Raise ValueError for balanced losses, and for several processes: losses and batch statistics talk to the others
    in mid-forward."""
    if config.loss.balance and config.trainer.compile != "none":
        raise ValueError(
            f"LossConfig.balance with TrainerConfig.compile {config.trainer.compile!r}: gradients at F~n cannot be "
            "measured there, and L_cr and L_se would stay off. Give --trainer.compile none or --loss.balance false"
        )
    if world > 1 and config.trainer.compile != "none":
        raise ValueError(
            f"TrainerConfig.compile: {config.trainer.compile!r} with {world} processes; it is for one. Give "
            "--trainer.compile none, or train in one process"
        )


def check_output(config: TrainConfig, output: Path) -> list[str]:
    """Refuse to go on with a run of another configuration, naming the fields; see `MAY_CHANGE`. Those that did change,
    in words."""
    path = output / "config.yaml"
    if not (path.is_file() and (output / "checkpoints").is_dir()):
        return []
    try:
        before = from_dict(TrainConfig, load_yaml(path))
    except ValueError as error:
        raise ValueError(f"--output {output}: {path} is not a configuration ({error}); choose a new folder") from error
    changed = differences(to_dict(before), to_dict(config))
    odd = [d for d in changed if d[0] not in MAY_CHANGE]
    if odd:
        listed = "; ".join(f"{name} was {have!r}, is {want!r}" for name, have, want in odd)
        raise ValueError(f"--output {output}: holds a run of another configuration: {listed}. Choose a new folder")
    return [f"{name} {have!r} -> {want!r}" for name, have, want in changed]


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
