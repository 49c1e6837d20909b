"""What a run starts from: the network with its weights, the teacher's embeddings, the folder it may write to."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import yaml

from sartm_core.checkpoint import comes_from_sam2, load
from sartm_core.config import ModelConfig, TrainConfig
from sartm_core.fields import to_dict
from sartm_core.model.sartm import SARTM, ModelInfo
from sartm_core.segmenter import DEFAULT, default_checkpoint

TRAINABLE_PARTS = ("train_encoder", "train_decoder_transformer")
"""Fields of `ModelConfig` that say what trains, not what the network is."""


def build_model(config: TrainConfig) -> SARTM:
    """The network of a run with its starting weights."""
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
    model.info = ModelInfo(config.preprocess, base_name=model.info.base_name, base_sha256=model.info.base_sha256)
    if config.trainer.activation_checkpointing:
        model.encoder.recompute_activations()
    return model.train()


def find_init(init: str) -> str | Path:
    """The file that `TrainConfig.init` names."""
    return default_checkpoint() if init == DEFAULT else init


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
    same = {part: getattr(config.model, part) for part in (*TRAINABLE_PARTS, "palette")}  # may differ
    if replace(other, **same) != config.model:
        mine, theirs = to_dict(config.model), to_dict(other)
        odd = {key: (theirs[key], mine[key]) for key in mine if key not in same and theirs[key] != mine[key]}
        raise ValueError(f"TrainConfig.init: {config.init} is another network, (file, run) differ in {odd}")


def check_output(config: TrainConfig, output: Path) -> None:
    """Refuse to resume a run of another network, whose weights would not fit."""
    path = output / "config.yaml"
    if path.is_file() and (output / "checkpoints").is_dir():
        before = yaml.safe_load(path.read_text()).get("model")
        if before != to_dict(config)["model"]:
            raise ValueError(f"--output {output}: holds a run with another model section ({path}); choose a new folder")
