"""A training folder as a zip that CVAT takes: images, and the labels there are as masks to correct."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from sartm_core.data.layouts.folder import FolderPairs
from sartm_core.labels.archive import CLASS_MASKS, IMAGES, LABELMAP, LISTS, MASK_SUFFIX, OBJECT_MASKS
from sartm_core.labels.checks import check_ids, check_size, rgb_size
from sartm_core.labels.labelmap import Label, own_labels, write_labelmap
from sartm_core.labels.masks import class_png, object_png
from sartm_core.support.classes import IGNORE
from sartm_core.support.files import replacing, write_text
from sartm_core.support.visualize import png, thermal_to_gray

SHOWN = ("rgb", "thermal", "none")
"""Which images go along: of the colour camera, of the thermal camera in grey, none."""
LABELS_TAIL = ".labels.json"
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""Date of every member: equal folders give equal archives."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote."""

    frames: int
    masks: int
    """Frames that had a label."""
    labels: Path
    """The labels as CVAT's constructor takes them."""


def export(frames: FolderPairs, path: Path, shown: str, ignored: str) -> Exported:
    """Write the zip `path` and beside it `NAME.labels.json`, all of each or nothing.

    Raises:
        ValueError: a broken image or label, ids that no class has, classes that CVAT cannot hold; names them.
    """
    labels = own_labels(frames.label_set, ignored)
    masks, any_ignored = 0, False
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in tqdm(frames.names, unit="frame", disable=None):
            add_image(archive, frames, name, shown)
            label = checked_label(frames, name)
            if label is None:
                continue
            masks += 1
            any_ignored |= bool((label == IGNORE).any())
            colors = [entry.color for entry in labels]
            add(archive, f"{CLASS_MASKS}/{name}{MASK_SUFFIX}", class_png(label, colors[:-1], colors[-1]))
            add(archive, f"{OBJECT_MASKS}/{name}{MASK_SUFFIX}", object_png(label))
        add(archive, f"{LISTS}/default.txt", "".join(f"{name}\n" for name in frames.names).encode())
        used = labels if any_ignored else labels[:-1]
        add(archive, LABELMAP, write_labelmap(used).encode())
    constructor = path.with_name(path.stem + LABELS_TAIL)
    write_text(constructor, json.dumps(for_constructor(labels), indent=1) + "\n")
    return Exported(len(frames), masks, constructor)


def checked_label(frames: FolderPairs, name: str) -> np.ndarray | None:
    """(H, W) uint8 ids of a frame, None without a label. ValueError when size or ids do not fit."""
    label, files = frames.label_of(name), frames.files[name]
    if label is not None:
        check_size(str(files.label), label.shape, rgb_size(files.rgb))
        check_ids(str(files.label), label, frames.label_set.names)
    return label


def add_image(archive: zipfile.ZipFile, frames: FolderPairs, name: str, shown: str) -> None:
    """The picture to annotate: the colour image's own file, or thermal in grey at the size of the colour image."""
    if shown == "rgb":
        path = frames.files[name].rgb
        add(archive, f"{IMAGES}/{name}{path.suffix.lower()}", path.read_bytes())
    if shown == "thermal":
        height, width = rgb_size(frames.files[name].rgb)
        grey = Image.fromarray(thermal_to_gray(frames.thermal_of(name))[..., 0])
        add(archive, f"{IMAGES}/{name}.png", png(grey.resize((width, height), Image.Resampling.BILINEAR)))


def add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """One member; images are packed already."""
    packed = name.endswith(".txt")
    info = zipfile.ZipInfo(name, LONG_AGO)
    archive.writestr(info, data, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)


def for_constructor(labels: Sequence[Label]) -> list[dict[str, object]]:
    """The labels of a new CVAT task or project, for the 'Raw' tab: same names, same colours."""
    return [
        {"name": label.name, "color": "#{:02x}{:02x}{:02x}".format(*label.color), "attributes": []}
        for label in labels[1:]
    ]
