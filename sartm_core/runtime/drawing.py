"""Overlay and colour mask on a GPU, beside the mask that they show: one copy brings all three to the CPU.

The same pictures as `support.visualize.overlay` and `scene.pictures.color_mask` make on a CPU, to the last bit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sartm_core.runtime.batching import Drawing, FramePair
from sartm_core.support import visualize
from sartm_core.support.classes import IGNORE
from sartm_core.support.gpu import on_gpu, upload
from sartm_core.support.late import torch

if TYPE_CHECKING:
    from torch import Tensor

DRAWINGS_KEPT = 16
"""Colours that stay on the GPU."""


def draw(pair: FramePair, rgb: Tensor | None, mask: Tensor) -> dict[str, Tensor]:
    """The pictures that `pair.drawing` asks for, by name, (H, W, 3) uint8; on a CPU none.

    rgb: the model's input; mask: (H, W) class ids.
    """
    drawing = pair.drawing
    if drawing is None or not on_gpu(mask.device):
        return {}
    found = {}
    with torch.inference_mode():
        ids, bright, exact = tables(drawing, mask.device)
        shown = mask if ids is None else ids[mask.int()]  # (H, W)
        if drawing.color_mask:
            found["color_mask"] = exact[shown.int()]  # (H, W, 3)
        if drawing.overlay and pair.rgb is not None:
            there = rgb is not None and rgb.shape[1:] == pair.rgb.shape  # as pixels, of the camera's size
            image = rgb[0] if rgb is not None and there else upload(pair.rgb, mask.device)  # (H, W, 3)
            gamma = visualize.gamma_of(pair.rgb)
            found["overlay"] = overlay(image, shown, bright, round(drawing.alpha * visualize.WHOLE), gamma)
    return found


@lru_cache(DRAWINGS_KEPT)
def tables(drawing: Drawing, device: torch.device) -> tuple[Tensor | None, Tensor, Tensor]:
    """Ids to show (256,), colours of the overlay and of the colour mask (256, 3)."""
    exact = visualize.color_table(drawing.palette)
    bright = visualize.color_table(visualize.display_colors(drawing.palette))
    exact[IGNORE] = exact[0]
    ids = None if drawing.ids is None else upload(np.array(list(drawing.ids), np.uint8), device)
    return ids, upload(bright, device), upload(exact, device)


def overlay(rgb: Tensor, mask: Tensor, colors: Tensor, weight: int, gamma: float) -> Tensor:
    """(H, W, 3), (H, W), (256, 3) uint8 -> (H, W, 3) uint8."""
    shown = (mask != 0) & (mask != IGNORE)  # (H, W)
    painted = colors[mask.int()]  # (H, W, 3)
    clear = rgb if gamma == 1.0 else lightened(rgb, gamma)
    blended = (painted.int() * weight + clear.int() * (visualize.WHOLE - weight)) // visualize.WHOLE
    out = torch.where(shown[..., None], blended.to(torch.uint8), clear)
    edge = shown & visualize.outline(mask)  # (H, W)
    return torch.where(edge[..., None], painted, out) if weight else out


def lightened(rgb: Tensor, gamma: float) -> Tensor:
    """(H, W, 3) uint8, by the curve of `visualize.lightened`."""
    grey = torch.arange(IGNORE + 1, dtype=torch.float64, device=rgb.device) / IGNORE  # (256,)
    return (grey**gamma * IGNORE).round().to(torch.uint8)[rgb.int()]
