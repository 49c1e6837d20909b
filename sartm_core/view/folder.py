"""Frames on disk with the masks of a model: one pair, two folders of images, a data set."""

from __future__ import annotations

from pathlib import Path

from sartm_core.predict.config import PredictConfig
from sartm_core.predict.sources import ImageFiles, open_source
from sartm_core.view.config import ViewConfig
from sartm_core.view.model import Masks
from sartm_core.view.source import Listed, Shown


class Folder(Listed):
    """Image files by name."""

    def __init__(self, files: ImageFiles, title: str, masks: Masks) -> None:
        self.files, self.title, self.names, self._masks = files, title, files.names, masks

    def read(self, index: int) -> Shown:
        return self._masks(self.names[index], *self.files.read(self.names[index]))


def open_folder(config: ViewConfig, data: Path | None, masks: Masks) -> Folder:
    """The frames of a folder, or of `config.rgb` and `config.thermal`. ValueError names what is wrong with them."""
    if not (data or config.rgb or config.thermal):
        raise ValueError("nothing to show; give a folder of frames, or --rgb and --thermal")
    given = {"rgb": config.rgb, "thermal": config.thermal, "dataset": config.dataset, "split": config.split}
    source = open_source(PredictConfig(data=None if data is None else str(data), **given))
    if not isinstance(source, ImageFiles):
        raise ValueError("videos cannot be stepped through; `sartm predict` makes a video of their masks")
    title = " and ".join(str(path) for path in (data, config.rgb, config.thermal) if path)
    return Folder(source, title, masks)
