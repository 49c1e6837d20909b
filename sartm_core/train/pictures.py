"""Pictures of a batch: the inputs of the network turned back into what people look at."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.support.classes import Color
from sartm_core.support.visualize import contact_sheet, legend_of, overlay, thermal_to_gray
from sartm_core.train.frames import Item

SHOWN_FRAMES = 4
"""Most frames of a batch that are drawn."""
COLUMNS = ("rgb", "thermal", "label")


def colors(rgb: Tensor, norm: PreprocessConfig) -> np.ndarray:
    """A normalised colour input (3, H, W) -> (H, W, 3) uint8."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (norm.rgb_mean, norm.rgb_std))
    return ((rgb.cpu() * std + mean).clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0).numpy()


def batch_sheet(
    batch: Item, norm: PreprocessConfig, classes: tuple[str, ...], palette: tuple[Color, ...]
) -> Image.Image:
    """A training batch as the network gets it: a row for each frame with colour, thermal, and the label over one of
    them. What modality dropout left out is black."""
    rows = []
    for rgb, thermal, label, keep in zip(*(batch[name] for name in ("rgb", "thermal", "label", "keep")), strict=True):
        seen = [colors(rgb, norm), thermal_to_gray(thermal[0].cpu().numpy())]  # (H, W, 3) each
        cameras = [image if kept else np.zeros_like(image) for image, kept in zip(seen, keep.tolist(), strict=True)]
        below = cameras[0] if keep[0] else cameras[1]
        rows.append([*cameras, overlay(below, label.cpu().to(torch.uint8).numpy(), palette)])
    return contact_sheet(rows[:SHOWN_FRAMES], COLUMNS, batch["name"][:SHOWN_FRAMES], legend_of(classes, palette))
