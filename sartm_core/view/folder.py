"""Frames with the masks of a model: of one pair, two folders of images, a data set; or of synthetic scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sartm_core.predict.config import PredictConfig
from sartm_core.predict.sources import ImageFiles, open_source
from sartm_core.synthetic import SyntheticScenes
from sartm_core.view.config import ViewConfig
from sartm_core.view.model import Masks
from sartm_core.view.source import Listed, Shown

SCENES, SEED = 60, 10
KELVIN_STEP, ZERO_CELSIUS = 0.01, -273.15
"""Synthetic thermal frames are in hundredths of a kelvin, as radiometric cameras send them."""


class Folder(Listed):
    """Image files by name."""

    def __init__(self, files: ImageFiles, title: str, masks: Masks) -> None:
        self.files, self.title, self.names, self._masks = files, title, files.names, masks

    def read(self, index: int) -> Shown:
        return self._masks(self.names[index], *self.files.read(self.names[index]))


class Scenes(Listed):
    """Synthetic scenes, each made when it is asked for."""

    def __init__(self, masks: Masks) -> None:
        self._scenes, self._masks = SyntheticScenes(SCENES, SEED), masks
        self.title, self.names = "synthetic scenes", [f"scene {i}" for i in range(SCENES)]

    def read(self, index: int) -> Shown:
        scene = self._scenes[index]
        thermal = np.rint(scene.kelvin / KELVIN_STEP).astype(np.uint16)  # (H, W)
        return self._masks(self.names[index], scene.rgb, thermal, {"condition": scene.condition})


def open_frames(config: ViewConfig, data: Path | None, masks: Masks) -> Listed:
    """The frames of a folder, of `config.rgb` and `config.thermal`, or synthetic ones. ValueError names what is wrong,
    with the checkpoint too."""
    if config.synthetic:
        source: Listed = Scenes(masks)
    else:
        root = None if data is None else str(data)
        files = open_source(PredictConfig(config.rgb, config.thermal, root, config.dataset, config.split))
        if not isinstance(files, ImageFiles):
            raise ValueError("videos cannot be stepped through; `sartm predict` makes a video of their masks")
        source = Folder(files, " and ".join(str(path) for path in (data, config.rgb, config.thermal) if path), masks)
    _ = masks.segmenter  # a wrong checkpoint is told here, not on the page
    return source
