"""What a run starts from: the network with its weights, the teacher's embeddings, the folder it may write to."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

from sartm_core.checkpoint import comes_from_sam2, load, read_metadata
from sartm_core.config import TrainConfig
from sartm_core.data.seen import Seen, inherited
from sartm_core.data.sources import open_source, sources_of
from sartm_core.fields import differences, from_dict, load_yaml, to_dict
from sartm_core.model.config import ModelConfig
from sartm_core.model.sartm import SARTM, ModelInfo
from sartm_core.model.trunks.pretrained import load_pretrained
from sartm_core.opening import DEFAULT, default_checkpoint

log = logging.getLogger(__name__)

TRAINABLE_PARTS = ("train_encoder", "train_decoder_transformer")
"""Fields of `ModelConfig` that say what trains, not what the network is."""
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


def build_model(config: TrainConfig) -> SARTM:
    """The network of a run with its starting weights."""
    if config.preprocess.pad != "none":
        raise ValueError(
            f"PreprocessConfig.pad: {config.preprocess.pad!r} is for imported weights only; train with none, frames "
            "are stretched then"
        )
    model = SARTM(config.model)
    if config.init and config.init_as_base:
        take_base(model, config)
    elif config.init:
        start = load(find_init(config.init), config.sam2)
        check_same_network(config, start.config)
        model.load_state_dict(start.state_dict())
        # What was trained before and is frozen now does not come back from Meta's file: the result is a full one.
        frozen_now = any(getattr(start.config, part) and not getattr(config.model, part) for part in TRAINABLE_PARTS)
        model.info = ModelInfo() if frozen_now else start.info
    elif config.sam2:
        print(model.load_sam2(config.sam2), file=sys.stderr)
    elif config.model.pretrained:
        load_pretrained(model.encoder.trunk, config.model.backbone, config.model.pretrained)
    base = {"base_name": model.info.base_name, "base_sha256": model.info.base_sha256}
    model.info = ModelInfo(config.preprocess, **base, seen=seen_before(config))
    if config.trainer.activation_checkpointing:
        model.encoder.recompute_activations()
    return model.train()


def find_init(init: str) -> str | Path:
    """The file that `TrainConfig.init` names."""
    return default_checkpoint() if init == DEFAULT else init


def seen_before(config: TrainConfig) -> Seen:
    """The frames that `init` and its ancestors have seen."""
    if not config.init:
        return ()
    info = from_dict(ModelInfo, read_metadata(find_init(config.init))["info"], "checkpoint.info.")
    path = Path(config.init)  # `weights.safetensors` alone says nothing: with its run, without this machine's path
    return inherited(info.seen, "/".join(path.parts[-2:]) if path.stem == "weights" else path.name)


def take_base(model: SARTM, config: TrainConfig) -> None:
    """Load what `init` has of the tensors that an official SAM2 file would give."""
    assert config.init is not None
    start = load(find_init(config.init), config.sam2)
    if start.config.backbone != config.model.backbone:
        raise ValueError(
            f"TrainConfig.init: {config.init} is a {start.config.backbone!r}, the run a {config.model.backbone!r}"
        )
    model.load_state_dict({n: t for n, t in start.state_dict().items() if comes_from_sam2(n)}, strict=False)


def check_same_network(config: TrainConfig, other: ModelConfig) -> None:
    """Raise ValueError naming the fields in which the weights of `init` do not fit the run."""
    mine, theirs = to_dict(config.model), to_dict(other)
    may_differ = (*TRAINABLE_PARTS, "palette", "pretrained", "heads")
    odd = {key: (theirs[key], mine[key]) for key in mine if key not in may_differ and theirs[key] != mine[key]}
    if odd:
        raise ValueError(
            f"TrainConfig.init: {config.init} is another network, (file, run) differ in {odd}. "
            "--init_as_base true takes its encoder alone"
        )


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
