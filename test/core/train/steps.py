"""A training step by hand, shared by the tests that look into it."""

from __future__ import annotations

import torch
from torch import Tensor

from sartm_core.losses.config import LossConfig
from sartm_core.losses.objective import Objective
from sartm_core.model.config import ModelConfig
from sartm_core.model.sartm import SARTM, SARTMOutput
from sartm_core.train.config import TrainConfig

SIZE = (64, 96)
FROZEN = ModelConfig(backbone="hiera_nano", classes=("a", "b", "c"), lora_rank=4)
TEXT_WIDTH = 512


def train_config(**changes) -> TrainConfig:
    """`hiera_nano` with a frozen encoder and all terms of the objective."""
    values = {"model": FROZEN, "init": "random", "loss": LossConfig(preset="sartm_paper", teacher="clip"), **changes}
    return TrainConfig(**values)


def build(config: TrainConfig) -> tuple[SARTM, Objective]:
    """Model and objective in training mode with random weights and text embeddings."""
    model, text = SARTM(config.model), torch.randn(config.model.num_classes, TEXT_WIDTH)
    return model.train(), Objective(config.loss, config.model.num_classes, model.encoder.width, text).train()


def training_batch(config: TrainConfig, batch: int) -> dict[str, Tensor]:
    """Random frames and labels as the loader gives them."""
    return {
        "rgb": torch.randn(batch, 3, *SIZE),
        "thermal": torch.rand(batch, 1, *SIZE),
        "keep": torch.ones(batch, 2, dtype=torch.bool),
        "label": torch.randint(0, config.model.num_classes, (batch, *SIZE)),
    }


def forward(model: SARTM, batch: dict[str, Tensor], bf16: bool = False) -> SARTMOutput:
    """As Lightning does it."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return model(batch["rgb"], batch["thermal"], keep=batch["keep"])


def gradients(model: SARTM) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
