"""Folder layouts of RGB-thermal data sets. A layout is one class that says which folders hold what."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sartm_core.data.class_list import read_classes
from sartm_core.data.images import read_image
from sartm_core.data.pairs import CAMERAS, ListedPairs, PartedPairs, Sample
from sartm_core.support.classes import FMB, LABEL_SETS, PST900, LabelSet

CLASS_LIST = "classes.yaml"


class FolderPairs(ListedPairs):
    """Own data: `rgb/NAME.*`, `thermal/NAME.*`, `labels/NAME.*` (needed for training only), `classes.yaml`, lists.

    Of rgb/ and thermal/ one may be missing: the frames are those of one camera then.
    """

    expects = (
        f"rgb/ and thermal/ with images of the same names, or one of them (and labels/, {CLASS_LIST}, split lists)"
    )
    folders = {"rgb": ("rgb",), "thermal": ("thermal",), "label": ("labels",)}
    one_size = False
    lists_needed = False

    @classmethod
    def matches_one_camera(cls, root: Path) -> bool:
        """Whether `root` has at least one of the two cameras' folders."""
        return any((root / name).is_dir() for kind in CAMERAS for name in cls.folders[kind])

    def find_cameras(self) -> tuple[str, ...]:
        there = tuple(kind for kind in CAMERAS if (self.root / self.folders[kind][0]).is_dir())
        return there or CAMERAS

    def find_label_set(self, name: str | None) -> LabelSet:
        path = self.root / CLASS_LIST
        if not path.is_file():
            return super().find_label_set(name)
        own = read_classes(path)
        if name and LABEL_SETS[name].names != own.names:
            raise ValueError(
                f"label_set: {name!r} was given, but {path} lists other classes {own.names}; leave out one of the two"
            )
        return own


class MFNetImages(ListedPairs):
    """MFNet as published: `images/NAME.png` with thermal as the fourth channel, `labels/NAME.png`, lists."""

    expects = "images/ with 4-channel PNGs (MFNet as published), labels/ and train.txt, val.txt, test.txt"
    folders = {"rgb": ("images",), "thermal": ("images",), "label": ("labels",)}

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        name = self.names[index]
        image = self.four_channels(name)
        rgb, thermal = (np.ascontiguousarray(part) for part in (image[..., :3], image[..., 3]))
        return Sample(name, rgb, thermal, self.label_of(name))

    def rgb_of(self, name: str) -> np.ndarray:
        return np.ascontiguousarray(self.four_channels(name)[..., :3])

    def thermal_of(self, name: str) -> np.ndarray:
        return np.ascontiguousarray(self.four_channels(name)[..., 3])

    def four_channels(self, name: str) -> np.ndarray:
        """(H, W, 4) uint8: R, G, B, thermal."""
        image = read_image(self.files[name].rgb)
        if image.ndim != 3 or image.shape[2] != 4:
            raise ValueError(f"{self.files[name].rgb}: got shape {image.shape}, expected (H, W, 4): RGB and thermal")
        return image


class MFNetSeparated(ListedPairs):
    """MFNet split into `seperated_images/NAME_rgb.png` and `NAME_th.png`, `labels/NAME.png`, lists."""

    expects = "seperated_images/ with NAME_rgb.png and NAME_th.png, labels/ and lists"
    folders = dict.fromkeys(("rgb", "thermal"), ("seperated_images", "separated_images")) | {"label": ("labels",)}
    tails = {"rgb": "_rgb", "thermal": "_th", "label": ""}


class MFNetFolders(ListedPairs):
    """MFNet split into folders: `rgb|ther|labels`, `rgb|thermal|labels`, `RGB|Modal|Label` or `RGB|Thermal|Label`."""

    expects = "rgb/ and ther/ (or thermal/) and labels/, or RGB/ and Modal/ (or Thermal/) and Label/, and lists"
    folders = {
        "rgb": ("rgb", "RGB"),
        "thermal": ("ther", "thermal", "Modal", "Thermal"),
        "label": ("labels", "Label", "label", "Labels"),
    }


class PST900Pairs(PartedPairs):
    """PST900 as published. Where `thermal/` (8 bit) is missing, `thermal_raw/` (16 bit) is taken."""

    expects = "train/ and test/ with rgb/, thermal/ (or thermal_raw/) and labels/ each (PST900)"
    folders = {"rgb": ("rgb",), "thermal": ("thermal", "thermal_raw"), "label": ("labels",)}
    labels = PST900


class FMBPairs(PartedPairs):
    """FMB as published; where `Label/` (ids) is missing, `color/` (palette colours) is taken."""

    expects = "train/ and test/ with Visible/, Infrared/ and Label/ each (FMB)"
    folders = {"rgb": ("Visible",), "thermal": ("Infrared",), "label": ("Label", "color")}
    labels = FMB
