"""The objective and its terms. Segmentation losses are one file each, and one line here.

Each takes logits (B, C, H, W), target (B, H, W) int64 with 255 ignored and class_weights (C,) or None, and is a mean
over valid pixels of the whole batch. With W processes it returns W * (its sum) / (count of all): the mean of that over
processes is the loss of the whole batch, and so are the averaged gradients.
"""

from __future__ import annotations

from typing import Any

from sartm_core.support.tables import entry

LOSSES = {
    "ohem": "ohem.ohem_loss",
    "ce": "ce.ce_loss",
}
"""`LossConfig.kind` -> its file in this folder and function."""


def segmentation_loss(kind: str) -> Any:
    """The function of a kind."""
    return entry(__name__, LOSSES[kind])
