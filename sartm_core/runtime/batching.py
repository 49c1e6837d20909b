"""Pairs of frames that share a forward pass: what goes in, what comes out, and which of them fit together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sartm_core.preprocess.config import ThermalNorm
from sartm_core.preprocess.parallax import FrameRegistration
from sartm_core.support.classes import Color
from sartm_core.support.late import torch

if TYPE_CHECKING:
    from torch import Tensor

SCORE_STRIDE = 4
"""Pixels of the input per score, in either direction."""
Inputs = tuple["Tensor | None", "Tensor | None"]
"""Model inputs (N, 3, H, W) float32 or (N, H, W, 3) uint8, and (N, 1, H, W) float32, of one size; one may be None."""
Arrays = tuple[np.ndarray | None, np.ndarray | None]
"""The same without torch, rgb as pixels."""
AnyInputs = Inputs | Arrays


@dataclass(frozen=True)
class Drawing:
    """Pictures of a mask, as `support.visualize.overlay` and `scene.pictures.color_mask` make them. Hashable."""

    palette: tuple[Color, ...]
    """RGB by the ids that are shown."""
    ids: bytes | None = None
    """(256,) id to show by class id; None: the same."""
    overlay: bool = False
    """Class colours over the rgb frame; none without one."""
    alpha: float = 0.5
    """Weight of the colours in it, 0..1."""
    color_mask: bool = False
    """The exact colours."""


@dataclass(frozen=True, eq=False)
class FramePair:
    """One frame of each camera of a pair, and how to look at them."""

    rgb: np.ndarray | None
    """(H, W, 3) uint8, R G B, or None."""
    thermal: np.ndarray | None
    """(h, w) uint8, uint16 or float32 in the unit of the thermal normalisation, or None. Its size may differ."""
    registration: FrameRegistration | None = None
    """Where the thermal view lies in the rgb view, `DepthRegistration.at(depth)` where there is depth; None: both show
    the same view."""
    thermal_norm: ThermalNorm | None = None
    """Thermal normalisation; None: the segmenter's own."""
    confidence_threshold: float = 0.0
    """0..1; pixels whose winning class has a lower softmax become 255."""
    confidence: bool = True
    """Whether the confidence is wanted; without it and without a threshold the ids take a fraction of the time."""
    adapter: str | None = None
    """Which of `Segmenter.adapters` is to see it; None: the one in use."""
    scores: bool = False
    """Whether the probabilities of all classes are wanted too."""
    drawing: Drawing | None = None
    """Pictures that a GPU is to make of the mask; a CPU leaves them to who wants them (`support.visualize`)."""

    def __post_init__(self) -> None:
        if not 0 <= self.confidence_threshold <= 1:
            raise ValueError(f"confidence_threshold: got {self.confidence_threshold}, expected 0..1")

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the result: that of the rgb frame, without one that of the thermal frame."""
        frame = self.rgb if self.rgb is not None else self.thermal
        assert frame is not None, "prepare refuses a pair without frames"
        return frame.shape[0], frame.shape[1]


def input_size(rgb: Tensor | np.ndarray | None, thermal: Tensor | np.ndarray | None) -> tuple[int, int]:
    """(H, W) of model inputs."""
    if thermal is not None:
        return thermal.shape[2], thermal.shape[3]
    assert rgb is not None
    return (rgb.shape[1], rgb.shape[2]) if str(rgb.dtype).endswith("uint8") else (rgb.shape[2], rgb.shape[3])


def alike(inputs: Sequence[AnyInputs], networks: Sequence[Hashable]) -> list[list[int]]:
    """Places of the inputs that can be one batch: equal network, size and modalities. In order of their first."""
    groups: dict[tuple[Hashable, ...], list[int]] = {}
    for place, (frames, network) in enumerate(zip(inputs, networks, strict=True)):
        groups.setdefault((network, *(None if x is None else x.shape for x in frames)), []).append(place)
    return list(groups.values())


def stack(inputs: Sequence[AnyInputs]) -> AnyInputs:
    """Inputs of one frame each -> one batch."""
    if len(inputs) == 1:
        return inputs[0]
    rgb, thermal = ([x for x in frames if x is not None] for frames in zip(*inputs, strict=True))
    join: Any = np.concatenate if isinstance((rgb or thermal)[0], np.ndarray) else torch.cat
    return join(rgb) if rgb else None, join(thermal) if thermal else None
