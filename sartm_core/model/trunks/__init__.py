"""Trunks by family: one file each, and one line here. A family turns a backbone's name into `EncoderParts`.

At inference a trunk runs as it is, a copy for each modality, unless `runtime/graph/trunks` has something faster for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartm_core.support.tables import entry

if TYPE_CHECKING:
    from sartm_core.model.config import ModelConfig
    from sartm_core.model.trunks.parts import EncoderParts

FAMILIES = {
    "timm:": "timm.build",
    "": "hiera.build",
}
"""What a backbone's name begins with -> file in this folder and function; the first that fits counts."""
PREFIXES = tuple(filter(None, FAMILIES))


def build_encoder(config: ModelConfig) -> EncoderParts:
    """Trunk, neck and adapters of `config.backbone`, with fresh weights."""
    family = next(start for start in FAMILIES if config.backbone.startswith(start))
    return entry(__name__, FAMILIES[family])(config)
