"""Inputs of a network to quantise it by: on some its ranges are measured, on the others the result is judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.prepare import Pixels, prepare
from sartm_core.runtime.engines.agreement import as_camera
from sartm_core.runtime.exported.description import fixed
from sartm_core.runtime.quantisation.calibration import JUDGED, MEASURED, Calibration
from sartm_core.synthetic import CONDITIONS, SceneConfig, render_scene

Input = tuple[np.ndarray, np.ndarray, np.ndarray]
"""rgb, thermal and present, as a `Session` takes them."""
SCENES_SEED = 40_000_000
"""Seed of the first scene: others than those of training, evaluation and benchmark."""
ALONE = 8
"""Every this many frames one camera is missing, in turn."""


@dataclass(frozen=True)
class Frames:
    """Inputs of a network."""

    measured: list[Input]
    judged: list[Input]


def frames_of(calibration: Calibration, preprocess: PreprocessConfig, size: tuple[int, int], pixels: Pixels) -> Frames:
    """size: (H, W) of the network's input; frames of another aspect are stretched. ValueError as of `Calibration`."""
    stretched = fixed(replace(preprocess, pad="none"), size)
    pairs = calibration.pairs() if calibration.folder else scenes(preprocess, size)
    inputs = [as_input(*pair, i, stretched, pixels) for i, pair in enumerate(pairs)]
    share = (MEASURED + JUDGED) // JUDGED
    return Frames([one for i, one in enumerate(inputs) if i % share], inputs[::share])


def scenes(preprocess: PreprocessConfig, size: tuple[int, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """rgb and thermal of synthetic scenes, of every condition alike."""
    for i in range(MEASURED + JUDGED):
        scene = render_scene(SCENES_SEED + i, SceneConfig(*size), CONDITIONS[i % len(CONDITIONS)])
        yield scene.rgb, as_camera(scene.kelvin, preprocess.thermal)


def as_input(rgb: np.ndarray, thermal: np.ndarray, i: int, preprocess: PreprocessConfig, pixels: Pixels) -> Input:
    """The i-th pair as the network takes it."""
    color, heat = prepare(rgb, thermal, preprocess, pixels=pixels)
    assert color is not None and heat is not None
    turn = i % (2 * ALONE)
    return color.numpy(), heat.numpy(), np.array([turn != ALONE - 1, turn != 2 * ALONE - 1])
