"""Tiny data sets in the layouts that people have on disk, for tests.

Every image is a fixed function of the frame's name, so that a test knows what it must read: `rgb_of`, `thermal_of`,
`label_of`. Every writer takes the images' size and returns the root.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from sartm_core.support.classes import FMB, MFNET, PST900, LabelSet

Size = tuple[int, int]
SIZE: Size = (48, 64)
MFNET_NAMES = {
    "train": ("00001D", "00002N", "00003D", "00004N"),
    "val": ("00005D", "00006N"),
    "test": ("00007D", "00008N"),
}
PST900_NAMES = {
    "train": tuple(f"31_bag21_rect_rgb_frame00000001{i:02d}" for i in range(5)),
    "test": tuple(f"37_bag11_rect_rgb_frame00000002{i:02d}" for i in range(2)),
}
FMB_NAMES = {"train": ("00001", "00003", "00004", "00006"), "test": ("00002", "00005")}
OWN = LabelSet(("ground", "robot", "stairs"), ((0, 0, 0), (250, 30, 40), (10, 200, 90)))
"""Classes of `write_folder_with_classes`."""
MFNET_SPLIT_FOLDERS = {
    "ther": ("rgb", "ther", "labels"),
    "thermal": ("rgb", "thermal", "labels"),
    "modal": ("RGB", "Modal", "Label"),
    "separated": ("seperated_images", "seperated_images", "labels"),
}


def random_of(name: str, kind: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(f"{name} {kind}".encode()))


def rgb_of(name: str, size: Size = SIZE) -> np.ndarray:
    """(H, W, 3) uint8."""
    return random_of(name, "rgb").integers(0, 256, (*size, 3), np.uint8)


def thermal_of(name: str, size: Size = SIZE, bits: int = 8) -> np.ndarray:
    """(H, W) uint8, or uint16 like a camera's counts."""
    rng = random_of(name, "thermal")
    return rng.integers(0, 256, size, np.uint8) if bits == 8 else rng.integers(28000, 31000, size, np.uint16)


def label_of(name: str, classes: int, size: Size = SIZE) -> np.ndarray:
    """(H, W) uint8 in blocks of 8x8; every class occurs, the first block is ignored (255)."""
    rows, columns = (-(-n // 8) for n in size)
    blocks = random_of(name, "label").permutation(np.arange(rows * columns) % classes).astype(np.uint8)
    blocks[0] = 255
    return np.kron(blocks.reshape(rows, columns), np.ones((8, 8), np.uint8))[: size[0], : size[1]]


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def save_index(path: Path, ids: np.ndarray, label_set: LabelSet) -> None:
    """An index PNG with the label set's colours (and black up to 255, else Pillow stores 4 bits an id)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids)
    colors = [channel for color in label_set.palette for channel in color]
    image.putpalette(colors + [0] * (768 - len(colors)))
    image.save(path)


def write_lists(root: Path, names: dict[str, tuple[str, ...]]) -> None:
    for split, members in names.items():
        (root / f"{split}.txt").write_text("".join(f"{name}\n" for name in members))


def all_names(names: dict[str, tuple[str, ...]]) -> list[str]:
    return [name for members in names.values() for name in members]


def write_mfnet(root: Path, size: Size = SIZE) -> Path:
    """The original: 4-channel PNGs, index labels, three lists."""
    for name in all_names(MFNET_NAMES):
        save(root / "images" / f"{name}.png", np.dstack((rgb_of(name, size), thermal_of(name, size))))
        save_index(root / "labels" / f"{name}.png", label_of(name, len(MFNET.names), size), MFNET)
    write_lists(root, MFNET_NAMES)
    return root


def write_mfnet_split(root: Path, size: Size = SIZE, style: str = "ther", bits: int = 8) -> Path:
    """A derived layout, a key of `MFNET_SPLIT_FOLDERS`: thermal in files of its own."""
    rgb, thermal, labels = (root / folder for folder in MFNET_SPLIT_FOLDERS[style])
    tails = ("_rgb", "_th") if style == "separated" else ("", "")
    for name in all_names(MFNET_NAMES):
        save(rgb / f"{name}{tails[0]}.png", rgb_of(name, size))
        save(thermal / f"{name}{tails[1]}.png", thermal_of(name, size, bits))
        save(labels / f"{name}.png", label_of(name, len(MFNET.names), size))
    write_lists(root, MFNET_NAMES)
    return root


def write_pst900(root: Path, size: Size = SIZE, bits: int = 8) -> Path:
    """train/ and test/ with rgb, thermal (16 bit: thermal_raw) and labels of grey ids."""
    for part, names in PST900_NAMES.items():
        for name in names:
            save(root / part / "rgb" / f"{name}.png", rgb_of(name, size))
            folder = "thermal" if bits == 8 else "thermal_raw"
            save(root / part / folder / f"{name}.png", thermal_of(name, size, bits))
            save(root / part / "labels" / f"{name}.png", label_of(name, len(PST900.names), size))
    return root


def write_fmb(root: Path, size: Size = SIZE, bits: int = 8) -> Path:
    """train/ and test/ with Visible, Infrared and Label of grey ids."""
    for part, names in FMB_NAMES.items():
        for name in names:
            save(root / part / "Visible" / f"{name}.png", rgb_of(name, size))
            save(root / part / "Infrared" / f"{name}.png", thermal_of(name, size, bits))
            save(root / part / "Label" / f"{name}.png", label_of(name, len(FMB.names), size))
    return root


def write_folder_with_classes(root: Path, size: Size = SIZE, bits: int = 8, colors: bool = False) -> Path:
    """Own data: rgb, thermal, labels (of ids, or of `colors` without an ignored pixel), classes.yaml, three lists."""
    for name in all_names(MFNET_NAMES):
        save(root / "rgb" / f"{name}.png", rgb_of(name, size))
        save(root / "thermal" / f"{name}.png", thermal_of(name, size, bits))
        ids = label_of(name, len(OWN.names), size)
        save(root / "labels" / f"{name}.png", np.array(OWN.palette, np.uint8)[ids % 255] if colors else ids)
    classes = {"names": list(OWN.names), "palette": [list(color) for color in OWN.palette]}
    (root / "classes.yaml").write_text(yaml.safe_dump(classes))
    write_lists(root, MFNET_NAMES)
    return root


WRITERS = {
    "mfnet": write_mfnet,
    "pst900": write_pst900,
    "fmb": write_fmb,
    "folder": write_folder_with_classes,
}
"""Data set -> writer of its layout as published."""
