"""Does a network in fewer bits still say the same? Measured against plain fp32 on a few synthetic scenes."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.preprocess.prepare import Pixels, prepare
from sartm_core.runtime.batching import SCORE_STRIDE, input_size
from sartm_core.runtime.engines.base import Engine
from sartm_core.runtime.postprocess import class_ids
from sartm_core.support.device import Device
from sartm_core.support.late import torch
from sartm_core.synthetic import SceneConfig, render_scene

if TYPE_CHECKING:
    from torch import Tensor

    from sartm_core.model.sartm import SARTM

SCENES = {1: "day", 2: "night"}
"""Seed -> condition."""
CAMERA = (480, 640)
OF_SCENE = (1.0, 99.0)
"""Percentiles of a scene that become the ends of a camera's range."""
ENOUGH = 0.995
"""Share of pixels that must get the same class."""


def agreement(
    engine: Engine, exact: Engine, preprocess: PreprocessConfig, device: Device, pixels: Pixels,
    exact_pixels: Pixels = Pixels.NEVER,
) -> float:  # fmt: skip
    """Share of pixels (0..1), at camera size, that get the class they have by `exact`; `pixels` as of `prepare`, those
    of the engine and of the exact one."""
    same = total = 0
    for seed, condition in SCENES.items():
        scene = render_scene(seed, SceneConfig(*CAMERA), condition)
        thermal = as_camera(scene.kelvin, preprocess.thermal)
        masks = [
            class_ids(run(*prepare(scene.rgb, thermal, preprocess, device, pixels=kind))[0].cpu(), CAMERA)
            for run, kind in ((engine, pixels), (exact, exact_pixels))
        ]
        same += int((masks[0] == masks[1]).sum())
        total += masks[0].numel()
    return same / total


def as_camera(kelvin: np.ndarray, norm: ThermalNorm) -> np.ndarray:
    """A scene's temperatures as the camera gives them that the weights were trained for, by their normalisation."""
    if norm.mode in ("percentile", "standardise"):  # of any unit
        return kelvin
    low, high = (float(v) for v in np.percentile(kelvin, OF_SCENE))
    share = np.clip((kelvin - low) / (high - low), 0, 1)
    if norm.mode == "unit":
        return (share * np.iinfo(np.uint8).max).astype(np.uint8)
    return (norm.low + share * (norm.high - norm.low)).astype(np.float32)


def plain(model: SARTM, device: Device) -> Engine:
    """The model itself, in fp32, for normalised inputs; its scores as calibrated as an engine's."""
    model = model if device.type == "cpu" else deepcopy(model).to(device)

    def run(rgb: Tensor | None, thermal: Tensor | None) -> Tensor:
        height, width = input_size(rgb, thermal)
        with torch.inference_mode():
            scores = model(rgb, thermal, size=(height // SCORE_STRIDE, width // SCORE_STRIDE)).logits
            return model.info.confidence.applied(scores, rgb is not None, thermal is not None)

    return run
