"""Any trunk as it is, a copy for each modality."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from torch import Tensor, nn

from sartm_core.model.config import MODALITIES
from sartm_core.model.encoder import ModalityEncoder, rgb_like
from sartm_core.runtime.graph.trunks.parts import Modalities


class RowLayout(nn.Module):
    """Tokens lie row by row."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def from_below(self, x: Tensor, stage: int) -> Tensor:
        """(B, T / 4, C) -> (B, T, C)."""
        stride = 8 << stage  # of the stage below
        height, width = (n // stride for n in self.size)
        cells = x.view(-1, height, 1, width, 1, x.shape[-1]).expand(-1, -1, 2, -1, 2, -1)
        return cells.reshape(len(x), 4 * height * width, x.shape[-1])

    def rows(self, x: Tensor, stage: int) -> Tensor:
        return x


class AsTrained(nn.Module):
    """A trunk whose family has nothing of its own for inference."""

    joins = False

    def __init__(self, encoder: ModalityEncoder) -> None:
        super().__init__()
        self.trunks = nn.ModuleList()
        for modality in range(len(MODALITIES)):  # a copy each: what is compiled cannot switch between adapters
            trunk, active = deepcopy((encoder.trunk, encoder.active))  # together: the adapters look at `active`
            active.indices = (modality,)
            self.trunks.append(trunk)

    def layout(self, size: tuple[int, int]) -> RowLayout:
        return RowLayout(size)

    def forward(self, images: Sequence[Tensor], modalities: Modalities, layout: RowLayout) -> list[Tensor]:
        """(N, 3 or 1, H, W) of one modality -> strides 4, 8, 16, 32, (N, T_s, C_s) each."""
        (image,), (modality,) = images, modalities
        return [x.flatten(2).transpose(1, 2) for x in self.trunks[modality](rgb_like(image))]
