"""RGB-thermal frames on disk. A new layout is one class plus one line in `LAYOUTS`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sartm_core.data.labels import LABEL_SETS, LabelSet

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
EIGHT_BIT_MODES = ("RGB", "RGBA", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr")
"""Pillow's 8-bit image modes."""


@dataclass(frozen=True)
class Sample:
    """One pair of frames as stored: no resizing, no normalisation."""

    name: str
    """File name without suffix."""
    rgb: np.ndarray
    """(H, W, 3) uint8."""
    thermal: np.ndarray
    """(h, w) uint8, uint16 or float32."""
    label: np.ndarray | None
    """(H, W) uint8 ids of the data set, None where there is no label file."""


class FolderPairs(Sequence[Sample]):
    """`rgb/NAME.*` and `thermal/NAME.*`, optionally `labels/NAME.png`; with `split`, the names in `split.txt`."""

    label_set: LabelSet

    def __init__(self, root: str | Path, split: str | None = None) -> None:
        self.root = Path(root)
        self.rgb = files_by_name(self.root / "rgb")
        self.thermal = files_by_name(self.root / "thermal")
        self.labels = files_by_name(self.root / "labels") if (self.root / "labels").is_dir() else {}
        self.names = read_split(self.root, split) if split else sorted(self.rgb)
        for kind, files in (("rgb", self.rgb), ("thermal", self.thermal)):
            missing = [name for name in self.names if name not in files]
            if missing:
                raise ValueError(
                    f"{self.root / kind}: no image for {len(missing)} of {len(self.names)} names, first {missing[0]!r}"
                )
        if not self.names:
            raise ValueError(f"{self.root}: no pairs found; expected images of the same names in rgb/ and thermal/")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        name = self.names[index]
        thermal = read_image(self.thermal[name])
        thermal = thermal[..., 0] if thermal.ndim == 3 else thermal  # grey stored as RGB
        label = read_label(self.labels[name]) if name in self.labels else None
        return Sample(name, read_rgb(self.rgb[name]), np.ascontiguousarray(thermal), label)


class MFNetImages(Sequence[Sample]):
    """MFNet as published: `images/NAME.png` with thermal as the fourth channel, `labels/NAME.png`."""

    label_set: LabelSet

    def __init__(self, root: str | Path, split: str | None = None) -> None:
        self.root = Path(root)
        self.images = files_by_name(self.root / "images")
        self.labels = files_by_name(self.root / "labels") if (self.root / "labels").is_dir() else {}
        self.names = read_split(self.root, split) if split else sorted(self.images)
        missing = [name for name in self.names if name not in self.images]
        if missing or not self.names:
            raise ValueError(
                f"{self.root / 'images'}: no image for {len(missing)} of {len(self.names)} names {missing[:1]}"
            )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        name = self.names[index]
        image = read_image(self.images[name])
        if image.ndim != 3 or image.shape[2] != 4:
            raise ValueError(f"{self.images[name]}: got shape {image.shape}, expected (H, W, 4): RGB and thermal")
        label = read_label(self.labels[name]) if name in self.labels else None
        return Sample(name, np.ascontiguousarray(image[..., :3]), np.ascontiguousarray(image[..., 3]), label)


LAYOUTS: dict[str, type[FolderPairs] | type[MFNetImages]] = {"rgb": FolderPairs, "images": MFNetImages}
"""Folder that tells a layout -> its class."""


DISK_LAYOUTS = {"folder": FolderPairs, "mfnet": MFNetImages}


def open_dataset(
    dataset: str, root: str | Path, split: str | None, label_set: str | None = None
) -> FolderPairs | MFNetImages:
    """The frames of a data set by its name in the config."""
    frames = DISK_LAYOUTS[dataset](root, split)
    frames.label_set = LABEL_SETS[label_set or "mfnet"]
    return frames


def open_pairs(root: str | Path, split: str | None = None) -> Sequence[Sample]:
    """The frames below `root`, in whichever known layout they are. ValueError names the folder and what is missing."""
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder; expected one with rgb/ and thermal/, or MFNet's images/")
    for folder, layout in LAYOUTS.items():
        if (root / folder).is_dir():
            return layout(root, split)
    raise ValueError(f"{root}: found neither rgb/ and thermal/ nor images/ (MFNet, 4 channels)")


def files_by_name(folder: Path) -> dict[str, Path]:
    """Image files of a folder by name without suffix."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES}


def read_split(root: Path, split: str) -> list[str]:
    """Names in `root/split.txt`, one a line."""
    path = root / f"{split}.txt"
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected one frame name a line")
    lines = (line.strip() for line in path.read_text().splitlines())
    return [
        line[: -len(Path(line).suffix)] if line.lower().endswith(IMAGE_SUFFIXES) else line for line in lines if line
    ]


def read_rgb(path: Path) -> np.ndarray:
    """A colour image file, (H, W, 3) uint8; grey and palette images become colour. ValueError for 16-bit files."""
    try:
        with Image.open(path) as image:
            if image.mode not in EIGHT_BIT_MODES:
                raise ValueError(f"{path}: mode {image.mode}, expected an 8-bit colour image")
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError on some broken PNGs
        raise ValueError(f"{path}: not a readable image ({error})") from error


def read_label(path: Path) -> np.ndarray:
    """A label file, (H, W) uint8 ids. ValueError for colours or 16 bit."""
    label = read_image(path)
    if label.ndim != 2 or label.dtype != np.uint8:
        raise ValueError(f"{path}: got shape {label.shape} {label.dtype}, expected one 8-bit channel of class ids")
    return label


def read_image(path: Path) -> np.ndarray:
    """An image file as stored: (H, W) or (H, W, C), uint8, uint16 or float32; index PNGs give ids, not colours."""
    try:
        with Image.open(path) as image:
            array = np.array(image)
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError on some broken PNGs
        raise ValueError(f"{path}: not a readable image ({error})") from error
    if array.dtype == np.int32:  # Pillow's mode I: 16-bit PNGs, on some versions
        array = array.astype(np.uint16)
    return array.astype(np.uint8) if array.dtype == bool else array
