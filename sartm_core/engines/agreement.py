"""Does a network in fewer bits still say the same? Measured against plain fp32 on a few synthetic scenes."""

from __future__ import annotations

import torch

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


def agreement(engine: Engine, model: SARTM, preprocess: PreprocessConfig, device: torch.device) -> float:
    """Share of pixels (0..1), at camera size, that get the class which the plain model in fp32 gives them."""
    model = model.to(device).eval()
    same = total = 0
    for seed, condition in SCENES.items():
        scene = render_scene(seed, SceneConfig(*CAMERA), condition)
        rgb, thermal = prepare(scene.rgb, scene.kelvin, preprocess, device)
        assert rgb is not None
        with torch.inference_mode():
            size = (rgb.shape[-2] // SCORE_STRIDE, rgb.shape[-1] // SCORE_STRIDE)
            expected = class_ids(model(rgb, thermal, size=size).logits[0], CAMERA)
            found = class_ids(engine(rgb, thermal)[0], CAMERA)
        same += int((found == expected).sum())
        total += expected.numel()
    return same / total
