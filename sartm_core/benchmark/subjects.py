"""What is measured, as files that every measuring process reads: weights and frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sartm_core.benchmark.config import Size
from sartm_core.data.datasets import open_pairs
from sartm_core.model.checkpoint import load, read_metadata, sha256
from sartm_core.model.config import ModelConfig
from sartm_core.model.sartm import SARTM
from sartm_core.runtime.opening import DEFAULT, checkpoint_path, shipped_backbone
from sartm_core.synthetic import SceneConfig, SyntheticScenes

SEED = 0
FRAMES_SEED = 30_000_000
"""Scenes hash (FRAMES_SEED, index): others than those of training, validation and evaluation."""
RANDOM_STD = 0.02
"""Of what a fresh model has as zeros: adapters and position embeddings."""
GREY_LEVELS = 255


@dataclass(frozen=True)
class Weights:
    """Where a model comes from."""

    backbone: str
    source: str
    """In words, for the report."""
    checkpoint: str
    """File, or "default"."""
    sam2: str | None = None


def weights_of(backbone: str, folder: Path) -> Weights:
    """Those in the package where there are some; else a model of fixed random weights, written to `folder`."""
    if backbone == shipped_backbone():
        return Weights(backbone, "shipped", DEFAULT)
    path = random_model(backbone).save(folder / f"{file_name(backbone)}.safetensors", kind="full")
    return Weights(backbone, f"random, seed {SEED}", str(path))


def file_name(backbone: str) -> str:
    """For its random weights."""
    return backbone.replace(":", "_").replace("/", "_")


def weights_from(checkpoint: str, sam2: str | None) -> Weights:
    """Weights of the user's. FileNotFoundError and ValueError name the file."""
    path = checkpoint_path(checkpoint)
    backbone = read_metadata(path)["model"]["backbone"]
    return Weights(backbone, f"{path.name}, sha256 {sha256(path)[:12]}", checkpoint, sam2)


def load_plain(weights: Weights) -> SARTM:
    """The model as written, in eval mode."""
    return load(checkpoint_path(weights.checkpoint), weights.sam2)


def random_model(backbone: str) -> SARTM:
    """No part of it is zero, so none can be left out unnoticed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = SARTM(ModelConfig(backbone=backbone))
        for name, parameter in model.named_parameters():
            if name.endswith(("lora_b", "pos_embed", "pos_embed_window")):
                torch.nn.init.trunc_normal_(parameter, std=RANDOM_STD)
    return model.eval()


@dataclass(frozen=True)
class Frames:
    """Pairs of frames of one size."""

    rgb: np.ndarray
    """(N, H, W, 3) uint8."""
    thermal: np.ndarray
    """(N, H, W) uint8."""

    def __len__(self) -> int:
        return len(self.rgb)

    def save(self, path: Path) -> str:
        np.savez(path, rgb=self.rgb, thermal=self.thermal)
        return str(path)

    @classmethod
    def load(cls, path: str) -> Frames:
        with np.load(path) as arrays:
            return cls(arrays["rgb"], arrays["thermal"])


def make_frames(count: int, size: Size, folder: str | None = None) -> Frames:
    """`count` frames, evenly spaced among those of `folder`, or synthetic scenes; brought to (H, W) = `size`.

    ValueError names the folder that has no frames.
    """
    if folder:
        pairs = open_pairs(folder)
        count = min(count, len(pairs))
        chosen = [pairs[i * len(pairs) // count] for i in range(count)]
        images = [(sample.rgb, sample.thermal) for sample in chosen]
    else:
        scenes = SyntheticScenes(count, FRAMES_SEED, SceneConfig(height=size[0], width=size[1]))
        images = [(scene.rgb, scene.kelvin) for scene in scenes]
    rgb = np.stack([fit(image, size) for image, _ in images])  # (N, H, W, 3)
    return Frames(rgb, np.stack([fit(grey(thermal), size) for _, thermal in images]))


def fit(image: np.ndarray, size: Size) -> np.ndarray:
    """(h, w) or (h, w, 3) uint8 -> the same of height and width `size`."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def grey(thermal: np.ndarray) -> np.ndarray:
    """(h, w) of any type -> uint8 as a camera with automatic gain gives it."""
    if thermal.dtype == np.uint8:
        return thermal
    low, high = np.nanmin(thermal), np.nanmax(thermal)
    scaled = (thermal.astype(np.float32) - low) / max(float(high - low), 1e-6)  # (h, w), 0..1
    return (np.nan_to_num(scaled) * GREY_LEVELS).round().astype(np.uint8)
