"""Small models and frames shared by the core tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from sartm_core.model.config import ModelConfig
from sartm_core.model.sartm import SARTM

PLAIN = {"device": "cpu", "engine": "torch", "precision": "fp32"}
"""Arguments of a `Segmenter` that computes as the model does."""

LITE0, CONVNEXT = "timm:tf_efficientnet_lite0", "timm:convnext_atto"
BACKBONES = ("hiera_nano", "sam2.1_hiera_t", LITE0, CONVNEXT)
"""One of each kind: our own, an official one, of batch norms and of layer norms."""


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def _threads() -> Iterator[None]:
    """A training sets the number of threads for its whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def make_model(**changes) -> SARTM:
    """A `hiera_nano` with four classes, seeded; counts as trained."""
    torch.manual_seed(1)
    settings = {"backbone": "hiera_nano", "classes": ("unlabeled", "car", "person", "bike"), "lora_rank": 4}
    return stepped(SARTM(ModelConfig(**{**settings, **changes})))


def stepped(model: SARTM) -> SARTM:
    """The classes a little beside where they were drawn, as after a step of training."""
    with torch.no_grad():
        model.mask_decoder.sam.mask_tokens.weight.mul_(0.999)
    return model


@pytest.fixture
def nano() -> SARTM:
    return make_model().eval()


def make_batch(batch: int = 2, height: int = 64, width: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    """Model inputs (B, 3, H, W) and (B, 1, H, W)."""
    generator = torch.Generator().manual_seed(2)
    return torch.randn(batch, 3, height, width, generator=generator), torch.rand(
        batch, 1, height, width, generator=generator
    )


def make_frames(height: int = 48, width: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Camera frames rgb (H, W, 3) uint8 and thermal (H, W) uint8."""
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (height, width, 3), np.uint8), rng.integers(0, 256, (height, width), np.uint8)


def train_lora(model: SARTM) -> SARTM:
    """Give the adapters' B random values, as training would: a fresh B is zero and changes nothing."""
    torch.manual_seed(4)
    for name, parameter in model.named_parameters():
        if name.endswith("lora_b"):
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def scramble(model: SARTM) -> SARTM:
    """Weights as after a long training: no bias, gain or statistic is what it was at the start."""
    torch.manual_seed(5)
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        if "running_var" in name:
            torch.nn.init.uniform_(tensor, 0.5, 2.0)
        elif tensor.ndim == 1 or "lora_b" in name or "pos_embed" in name or "no_m" in name or "not_a_point" in name:
            tensor.add_(torch.randn_like(tensor) * 0.2)
    return model.eval()
