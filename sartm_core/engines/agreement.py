"""Does a network in fewer bits still say the same? Measured against plain fp32 on a few synthetic scenes."""

from __future__ import annotations

import torch
from torch import Tensor

from sartm_core.batching import input_size
from sartm_core.data.synthetic import SceneConfig, render_scene
from sartm_core.engines.base import Engine
from sartm_core.model.sartm import SARTM
from sartm_core.postprocess import class_ids
from sartm_core.preprocess import PreprocessConfig, prepare

SCENES = {1: "day", 2: "night"}
"""Seed -> condition."""
CAMERA = (480, 640)
SCORE_STRIDE = 4
ENOUGH = 0.995
"""Share of pixels that must get the same class."""


def agreement(
    engine: Engine, exact: Engine, preprocess: PreprocessConfig, device: torch.device, pixels: bool = True
) -> float:
    """Share of pixels (0..1), at camera size, that get the class they have by `exact`; `pixels` as of `prepare`."""
    same = total = 0
    for seed, condition in SCENES.items():
        scene = render_scene(seed, SceneConfig(*CAMERA), condition)
        masks = [
            class_ids(run(*prepare(scene.rgb, scene.kelvin, preprocess, device, pixels=as_pixels))[0], CAMERA)
            for run, as_pixels in ((engine, pixels), (exact, False))
        ]
        same += int((masks[0] == masks[1]).sum())
        total += masks[0].numel()
    return same / total


def plain(model: SARTM, device: torch.device) -> Engine:
    """The model itself, in fp32, for normalised inputs."""
    model = model.to(device)

    def run(rgb: Tensor | None, thermal: Tensor | None) -> Tensor:
        height, width = input_size(rgb, thermal)
        with torch.inference_mode():
            return model(rgb, thermal, size=(height // SCORE_STRIDE, width // SCORE_STRIDE)).logits

    return run
