"""Who segments the frames of a figure: our checkpoints, and other methods that left their masks in folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sartm_core.data.images import files_by_name, read_label
from sartm_core.data.pairs import Sample
from sartm_core.evaluate.run import label_table
from sartm_core.figures.config import QualitativeConfig, named_folder
from sartm_core.figures.sources import check_same_classes
from sartm_core.model.checkpoint import sha256
from sartm_core.runtime.opening import checkpoint_path
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.classes import IGNORE, Color, LabelSet
from sartm_core.support.visualize import display_colors


@dataclass(frozen=True)
class Method:
    """One column of masks."""

    title: str
    mask: Callable[[Sample], np.ndarray]
    """A frame -> (H, W) uint8 ids of the checkpoints' classes, 255 unknown."""
    facts: dict[str, Any]
    """Where its masks come from, for the report."""


@dataclass(frozen=True)
class Methods:
    """All columns, ours last, and what they have in common."""

    columns: tuple[Method, ...]
    table: np.ndarray
    """(256,) uint8: ids of the labels -> ids of the classes."""
    classes: tuple[str, ...]
    palette: tuple[Color, ...]


@dataclass(frozen=True)
class MaskFolder:
    """Masks of another method: an image a frame, called like it, with ids or colours as the data set's labels."""

    title: str
    path: Path
    files: dict[str, Path]
    """By frame name."""
    labels: LabelSet

    def need(self, names: Sequence[str]) -> None:
        """Raise ValueError unless there is a mask for each of the frames."""
        missing = [name for name in names if name not in self.files]
        if missing:
            raise ValueError(
                f"--others {self.title}={self.path}: no mask for {len(missing)} of {len(names)} frames, the first "
                f"{missing[0]!r}; expected {missing[0]}.png there (it has {len(self.files)} images), or name the "
                "frames to show: --names FRAME ..."
            )

    def read(self, sample: Sample) -> np.ndarray:
        """The mask of a frame, (H, W) uint8 ids of the labels. ValueError names the file and what is wrong with it."""
        path = self.files[sample.name]
        mask = read_label(path, self.labels)  # (H, W)
        if mask.shape != sample.size:
            raise ValueError(
                f"--others {self.title}: {path} is {mask.shape[0]}x{mask.shape[1]}, its frame "
                f"{sample.size[0]}x{sample.size[1]} (height x width); save the masks at the frames' size"
            )
        count = len(self.labels.names)
        odd = np.unique(mask[(mask >= count) & (mask != IGNORE)])
        if odd.size:
            raise ValueError(
                f"--others {self.title}: {path} holds ids {odd[:5].tolist()}; the data set has {count} classes, "
                f"0..{count - 1}, and {IGNORE} = unknown"
            )
        return mask


def mask_folders(config: QualitativeConfig, names: Sequence[str], labels: LabelSet) -> list[MaskFolder]:
    """The folders of `others`, which must have all these frames. ValueError names the folder."""
    folders = []
    for text in config.others:
        title, place = named_folder(text)
        files = files_by_name(Path(place))
        if not files:
            raise ValueError(f"--others {text}: no folder with images at {place}")
        folders.append(MaskFolder(title, Path(place), files, labels))
        folders[-1].need(names)
    return folders


def open_methods(config: QualitativeConfig, names: Sequence[str], labels: LabelSet) -> Methods:
    """Others in the order given, the baseline, ours; `names`: the frames to show or to choose from.

    ValueError and OSError name the file or folder that is wrong.
    """
    folders = mask_folders(config, names, labels)
    files = {title: file for title, file in checkpoints(config) if file}
    paths = [checkpoint_path(file) for file in files.values()]
    segmenters = [Segmenter.load(path, config.device, "fp32", "torch", sam2=config.sam2) for path in paths]
    ours = segmenters[-1]
    check_same_classes(ours.classes, segmenters[0].classes, (str(paths[-1]), str(paths[0])))
    table = label_table(labels.names, ours.classes)
    others = (of_folder(folder, table) for folder in folders)
    own = (of_checkpoint(*each) for each in zip(files, paths, segmenters, strict=True))
    return Methods((*others, *own), table, ours.classes, display_colors(ours.palette))


def of_folder(folder: MaskFolder, table: np.ndarray) -> Method:
    """Masks as they were left."""
    return Method(folder.title, lambda sample: table[folder.read(sample)], {"folder": folder.path.name})


def of_checkpoint(title: str, path: Path, segmenter: Segmenter) -> Method:
    """Masks that are made now."""
    facts = {"file": path.name, "sha256": sha256(path)}
    return Method(title, lambda sample: segmenter(sample.rgb, sample.thermal).mask, facts)


def checkpoints(config: QualitativeConfig) -> tuple[tuple[str, str | None], ...]:
    """(title, file or None) of the baseline and of ours."""
    return (config.baseline_title, config.baseline), (config.title, config.checkpoint)
