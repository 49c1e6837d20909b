"""MFNet, as published and as people split it."""

from __future__ import annotations

import numpy as np

from sartm_core.data.images import read_image
from sartm_core.data.pairs import ListedPairs, Sample


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
