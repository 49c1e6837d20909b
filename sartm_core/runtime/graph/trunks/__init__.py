"""Trunks for inference: what is faster than the trunk itself, one file each, and one line here."""

from __future__ import annotations

from typing import Any

from sam2.modeling.backbones.hieradet import Hiera
from torch import nn

from sartm_core.model.config import MODALITIES
from sartm_core.model.encoder import ModalityEncoder
from sartm_core.model.trunks.timm import TimmTrunk
from sartm_core.runtime.graph.trunks.hiera import FoldedHiera
from sartm_core.runtime.graph.trunks.plain import AsTrained
from sartm_core.runtime.graph.trunks.timm import FoldedTimm

FOLDED: dict[type[nn.Module], Any] = {Hiera: FoldedHiera, TimmTrunk: FoldedTimm}
"""Trunks of `sartm_core.model.trunks` -> the `FoldedTrunk` that does their work at inference."""


def fold_trunk(encoder: ModalityEncoder) -> Any:
    """The `FoldedTrunk` of a trained encoder's trunk."""
    folded = FOLDED.get(type(encoder.trunk))
    return folded(encoder.trunk, len(MODALITIES)) if folded else AsTrained(encoder)
