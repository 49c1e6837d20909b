"""Does an exported file do what the plain model in fp32 does? Compared on synthetic scenes, with one camera too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sartm_core.model.sartm import SARTM
from sartm_core.preprocess.prepare import prepare
from sartm_core.preprocess.resize import resize
from sartm_core.runtime.batching import SCORE_STRIDE
from sartm_core.runtime.engines.agreement import ENOUGH, SCENES
from sartm_core.runtime.exported.description import Description
from sartm_core.runtime.exported.stages import Size
from sartm_core.runtime.postprocess import ids_and_confidence
from sartm_core.synthetic import Scene, SceneConfig, render_scene

Run = Callable[[np.ndarray, np.ndarray, np.ndarray], list[np.ndarray]]
"""rgb, thermal, present -> mask, confidence, scores."""
CAMERAS = ((True, True), (True, False), (False, True))
"""Which of rgb and thermal are there."""
CENTIKELVIN = 100
"""Counts per kelvin of a 16-bit thermal camera."""
COLDEST, HOTTEST = 250.0, 330.0
"""Kelvin that an 8-bit thermal camera shows as 0 and 255."""


@dataclass(frozen=True)
class Difference:
    """A file against plain fp32, over all frames."""

    frames: int
    same: float
    """Share of pixels with the same class, 0..1."""
    scores: float
    """Largest difference of a score."""
    confidence: int
    """Largest difference of a confidence, of 255."""

    def __str__(self) -> str:
        return (
            f"{self.same:.3%} of pixels as the model in torch fp32, scores differ by at most {self.scores:.2g}, "
            f"confidence by at most {self.confidence} of 255 ({self.frames} frames)"
        )

    def is_good(self, enough: float = ENOUGH) -> bool:
        """Whether that share of pixels is the same; False too for scores that are no numbers."""
        return self.same >= enough and np.isfinite(self.scores)


FRAMES = len(SCENES) * len(CAMERAS)


def compare(run: Run, model: SARTM, about: Description, done: Callable[[], object] = lambda: None) -> Difference:
    """Run both on the same frames; `done` is called after each of `FRAMES`."""
    same, scores, confidence = [], [], []
    for seed, condition in SCENES.items():
        scene = render_scene(seed, SceneConfig(*about.camera), condition)
        rgb, thermal = scene.rgb, thermal_frame(scene, about.thermal_camera, about.thermal)
        for present in CAMERAS:
            expected = plain(model, about, rgb if present[0] else None, thermal if present[1] else None)
            found = run(rgb * np.uint8(present[0]), thermal * thermal.dtype.type(present[1]), np.array(present))
            same.append((found[0] == expected[0]).mean())
            confidence.append(np.abs(found[1].astype(int) - expected[1]).max())
            scores.append(np.abs(found[2] - expected[2]).max())
            done()
    return Difference(FRAMES, float(np.mean(same)), float(np.max(scores)), int(np.max(confidence)))


def plain(model: SARTM, about: Description, rgb: np.ndarray | None, thermal: np.ndarray | None) -> list[np.ndarray]:
    """Mask, confidence and scores of the model as it is, calibrated."""
    size = (about.size[0] // SCORE_STRIDE, about.size[1] // SCORE_STRIDE)
    with torch.inference_mode():
        scores = model(*prepare(rgb, thermal, about.preprocess), size=size).logits  # (1, C, H / 4, W / 4)
        scores = model.info.confidence.applied(scores, rgb is not None, thermal is not None)
        ids, confidence = ids_and_confidence(scores[0], about.camera)
    return [x.numpy() for x in (ids, confidence, scores)]


def thermal_frame(scene: Scene, size: Size, dtype: str) -> np.ndarray:
    """(h, w) of `dtype`, as a camera of that pixel type shows the scene."""
    kelvin = resize(torch.from_numpy(scene.kelvin)[None, None], size)[0, 0].numpy()
    if dtype == "float32":
        return kelvin
    if dtype == "uint16":
        return (kelvin * CENTIKELVIN).astype(np.uint16)
    return np.clip((kelvin - COLDEST) / (HOTTEST - COLDEST) * 255, 0, 255).astype(np.uint8)
