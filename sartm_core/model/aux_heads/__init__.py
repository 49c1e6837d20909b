"""Path two: auxiliary segmentation heads on the fused features (paper III-D, Eq. 10, Table VIII).

They guide training; inference runs them where `ModelConfig.heads` is `both`. One file each, and one line here. Every
head is made with the channels of strides 4, 8, 16 and the class count, and turns F~0 (B, c0, H/4, W/4), F~1 (B, c1,
H/8, W/8) and F~n (B, width, H/16, W/16) into logits (B, C, H/4, W/4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartm_core.support.tables import entry

if TYPE_CHECKING:
    from torch import nn

AUX_HEADS: dict[str, str | None] = {
    "fpn": "fpn.FpnHead",
    "deeplab": "deeplab.DeepLabHead",
    "segformer": "segformer.SegformerHead",
    "none": None,
}
"""`ModelConfig.aux_head` -> its file in this folder and class."""


def build_aux_head(kind: str, channels: tuple[int, int, int], num_classes: int) -> nn.Module | None:
    """The head named in the config, or None; channels are those of strides 4, 8, 16."""
    place = AUX_HEADS[kind]
    return None if place is None else entry(__name__, place)(channels, num_classes)
