"""Trunks by family: one file each, and one line here. A family turns a backbone's name into `EncoderParts`."""

from __future__ import annotations

from collections.abc import Callable

from sartm_core.model.config import TIMM, ModelConfig
from sartm_core.model.trunks import hiera, timm
from sartm_core.model.trunks.parts import EncoderParts

FAMILIES: dict[str, Callable[[ModelConfig], EncoderParts]] = {
    TIMM: timm.build,
    "": hiera.build,
}
"""What a backbone's name begins with -> its family; the first that fits counts."""


def build_encoder(config: ModelConfig) -> EncoderParts:
    """Trunk, neck and adapters of `config.backbone`, with fresh weights."""
    return next(build for start, build in FAMILIES.items() if config.backbone.startswith(start))(config)
