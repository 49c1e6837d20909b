"""A data set folder of pairs: `rgb/`, `thermal/`, `labels/` (the model's masks: pre-labels) and `classes.yaml`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from sartm_core.data.layouts.folder import CLASS_LIST, FolderPairs
from sartm_core.preprocess.registration import Registration, sampling_grid
from sartm_core.preprocess.registration_file import in_rgb_view
from sartm_core.support.classes import LabelSet
from sartm_core.support.visualize import color_table
from sartm_ros.bags.pairs import BagPair
from sartm_ros.frames.compressed import JPEG_MAGIC

RGB, THERMAL, LABELS = (FolderPairs.folders[kind][0] for kind in ("rgb", "thermal", "label"))


class FrameFolder:
    """Writes pairs into a new folder."""

    def __init__(self, root: Path, label_set: LabelSet, registration: Registration | None) -> None:
        """registration: thermal frames are brought into the rgb view by it, as data sets need them."""
        self.root, self._palette, self._registration = root, color_table(label_set.palette), registration
        self._grid = lru_cache(1)(sampling_grid)
        for name in (RGB, THERMAL, LABELS):
            (root / name).mkdir(parents=True)
        lists = {"names": list(label_set.names), "palette": [list(color) for color in label_set.palette]}
        (root / CLASS_LIST).write_text(yaml.safe_dump(lists, default_flow_style=None, sort_keys=False), "utf-8")

    def write(self, name: str, pair: BagPair, rgb: np.ndarray, thermal: np.ndarray, mask: np.ndarray) -> None:
        """One pair. rgb (H, W, 3) uint8, thermal (h, w) of any type, mask (H, W) uint8 ids."""
        jpeg = bytes(pair.rgb.message.data) if pair.rgb.view is None else b""
        if jpeg.startswith(JPEG_MAGIC):
            (self.root / RGB / f"{name}.jpg").write_bytes(jpeg)  # as the camera made it: no second loss
        else:
            Image.fromarray(np.ascontiguousarray(rgb)).save(self.root / RGB / f"{name}.png")
        if self._registration is not None:
            thermal = in_rgb_view(thermal, (rgb.shape[0], rgb.shape[1]), self._registration, self._grid)
        suffix = "tiff" if thermal.dtype == np.float32 else "png"
        Image.fromarray(np.ascontiguousarray(thermal)).save(self.root / THERMAL / f"{name}.{suffix}")
        label = Image.fromarray(mask)
        label.putpalette(self._palette.tobytes())  # all 256 colours, else Pillow saves 4 bits and 255 becomes 15
        label.save(self.root / LABELS / f"{name}.png")
