"""The weights a run starts from: fresh, pretrained, Meta's, or those of another SARTM file."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import torch

from sartm_core.data.seen import Seen, inherited
from sartm_core.model.checkpoint import comes_from_sam2, load, read_metadata
from sartm_core.model.config import ModelConfig
from sartm_core.model.mask_decoder import FIRST_CLASS_TOKEN
from sartm_core.model.sartm import SARTM, ModelInfo
from sartm_core.model.trunks.pretrained import load_pretrained
from sartm_core.runtime.opening import checkpoint_path
from sartm_core.support.fields import from_dict, to_dict
from sartm_core.train.config import TrainConfig

log = logging.getLogger(__name__)

TRAINABLE_PARTS = ("train_encoder", "train_decoder_transformer")
"""Fields of `ModelConfig` that say what trains, not what the network is."""
MASK_TOKENS = "mask_decoder.sam.mask_tokens.weight"
HYPERNETWORKS = "mask_decoder.sam.output_hypernetworks_mlps."
AUX_CLASSES = "aux_head.classify."


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
    elif config.init and config.init_other_classes:
        take_classes(model, config)
    elif config.init:
        start = load(checkpoint_path(config.init), config.sam2)
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


def seen_before(config: TrainConfig) -> Seen:
    """The frames that `init` and its ancestors have seen."""
    if not config.init:
        return ()
    info = from_dict(ModelInfo, read_metadata(checkpoint_path(config.init))["info"], "checkpoint.info.")
    path = Path(config.init)  # `weights.safetensors` alone says nothing: with its run, without this machine's path
    return inherited(info.seen, "/".join(path.parts[-2:]) if path.stem == "weights" else path.name)


def take_base(model: SARTM, config: TrainConfig) -> None:
    """Load what `init` has of the tensors that an official SAM2 file would give."""
    assert config.init is not None
    start = load(checkpoint_path(config.init), config.sam2)
    if start.config.backbone != config.model.backbone:
        raise ValueError(
            f"TrainConfig.init: {config.init} is a {start.config.backbone!r}, the run a {config.model.backbone!r}"
        )
    model.load_state_dict({n: t for n, t in start.state_dict().items() if comes_from_sam2(n)}, strict=False)


@torch.no_grad()
def take_classes(model: SARTM, config: TrainConfig) -> None:
    """Load all of `init`; of what belongs to a class, that of the classes of the same name. Others stay fresh."""
    assert config.init is not None
    start = load(checkpoint_path(config.init), config.sam2)
    check_same_network(config, start.config, "classes")
    theirs = start.state_dict()
    own = model.state_dict()
    for name, tensor in theirs.items():
        if not belongs_to_classes(name):
            own[name].copy_(tensor)
    shared = [name for name in model.config.classes if name in start.config.classes]
    for name in shared:
        mine, other = model.config.classes.index(name), start.config.classes.index(name)
        for part in own:
            if part.startswith(AUX_CLASSES):
                own[part][mine].copy_(theirs[part][other])
            elif part.startswith(f"{HYPERNETWORKS}{mine + 1}."):  # number 0 belongs to the token that is dropped
                layer = part.removeprefix(f"{HYPERNETWORKS}{mine + 1}.")
                own[part].copy_(theirs[f"{HYPERNETWORKS}{other + 1}.{layer}"])
        own[MASK_TOKENS][mine + FIRST_CLASS_TOKEN].copy_(theirs[MASK_TOKENS][other + FIRST_CLASS_TOKEN])
    fresh = [name for name in model.config.classes if name not in shared]
    log.info("classes known to %s: %s; new: %s", config.init, ", ".join(shared) or "none", ", ".join(fresh) or "none")


def belongs_to_classes(name: str) -> bool:
    """Whether the tensor has a part for each class."""
    return name == MASK_TOKENS or name.startswith((HYPERNETWORKS, AUX_CLASSES))


def check_same_network(config: TrainConfig, other: ModelConfig, *also: str) -> None:
    """Raise ValueError naming the fields in which the weights of `init` do not fit the run; those in `also` may."""
    mine, theirs = to_dict(config.model), to_dict(other)
    may_differ = (*TRAINABLE_PARTS, "palette", "pretrained", "heads", *also)
    odd = {key: (theirs[key], mine[key]) for key in mine if key not in may_differ and theirs[key] != mine[key]}
    if odd:
        raise ValueError(
            f"TrainConfig.init: {config.init} is another network, (file, run) differ in {odd}. "
            "--init_other_classes true takes all but its classes, --init_as_base true its encoder alone"
        )
