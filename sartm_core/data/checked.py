"""Training frames with checked labels, kept in memory as far as they fit, and which of them hold which class."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from tqdm import tqdm

from sartm_core.data.pairs import Pairs, Sample
from sartm_core.data.scenes import RandomScenes, ScenePool
from sartm_core.support.classes import IGNORE, remap_table

log = logging.getLogger(__name__)

MB = 1_000_000
PATIENCE = 2.0
"""Seconds before a progress bar shows up."""


class CheckedFrames(Sequence[Sample]):
    """Frames of one source; labels are checked and hold the ids of the model's classes."""

    def __init__(self, frames: Sequence[Sample], label_names: tuple[str, ...], classes: tuple[str, ...]) -> None:
        self.frames, self.label_names = frames, label_names
        self.table = remap_table(label_names, classes)  # (256,)
        self.kept: dict[int, Sample] = {}
        self.frames_with: dict[int, np.ndarray] = {}
        """Class id -> numbers of the frames that hold it; classes 0 and 255 are left out."""

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        return self.kept.get(index) or self.checked(self.frames[index])

    def checked(self, sample: Sample) -> Sample:
        label = self.table[need_label(sample, self.label_names)]  # (H, W)
        return Sample(sample.name, sample.rgb, sample.thermal, label)

    def load(self, room: int, by_class: bool) -> int:
        """Keep the first frames that fit into `room` bytes, and note the classes of all; returns the bytes kept.

        Scenes that are new at every access have nothing to keep; those of a pool are in memory anyway.
        """
        if isinstance(self.frames, RandomScenes) or not (room or by_class):
            return 0
        room = 0 if isinstance(self.frames, ScenePool) else room
        kept = 0
        holds: dict[int, list[int]] = {}
        bar = tqdm(range(len(self)), "reading frames", delay=PATIENCE, disable=None)
        for index in bar:
            sample = self.checked(self.frames[index]) if room else self.label_alone(index)
            size = sum(image.nbytes for image in (sample.rgb, sample.thermal, sample.label) if image is not None)
            if kept + size <= room:
                self.kept[index] = sample
                kept += size
            elif not by_class:
                break
            else:
                room = 0  # labels alone from here on
            assert sample.label is not None
            for class_id in np.flatnonzero(np.bincount(sample.label.ravel(), minlength=IGNORE + 1)[:IGNORE]).tolist():
                holds.setdefault(class_id, []).append(index)
        holds.pop(0, None)
        self.frames_with = {class_id: np.array(holds[class_id]) for class_id in sorted(holds)} if by_class else {}
        return kept

    def label_alone(self, index: int) -> Sample:
        """A frame with its label only, to look at the classes; its other images are not read."""
        if not isinstance(self.frames, Pairs):
            return self.checked(self.frames[index])
        name = self.frames.names[index]
        return self.checked(Sample(name, None, None, self.frames.label_of(name)))

    def of_some_class(self, index: int) -> tuple[int, int | None]:
        """(frame, class) to crop around, from torch's generator: one of the classes of all frames, then one of the
        frames that hold it. Frame `index` and a class of it where the classes are not known beforehand."""
        if self.frames_with:
            classes = list(self.frames_with)
            class_id = classes[draw(len(classes))]
            frames = self.frames_with[class_id]
            return int(frames[draw(len(frames))]), class_id
        return index, ANY


ANY = -1
"""Stands for a class that the label itself decides on."""


def draw(count: int) -> int:
    """A number below `count`, from torch's generator."""
    return int(torch.randint(0, count, ()))


def some_pixel(label: np.ndarray, class_id: int) -> tuple[int, int] | None:
    """Row and column of a random pixel of a class in (H, W); `ANY`: of a random class other than 0. None where there
    is none."""
    if class_id == ANY:
        ids = np.flatnonzero(np.bincount(label.ravel(), minlength=IGNORE + 1)[:IGNORE])
        classes = ids[ids > 0]
        if not classes.size:
            return None
        class_id = int(classes[draw(len(classes))])
    places = np.flatnonzero(label == class_id)
    if not places.size:
        return None
    row, column = divmod(int(places[draw(len(places))]), label.shape[1])
    return row, column


def need_label(sample: Sample, names: tuple[str, ...] | None = None) -> np.ndarray:
    """The sample's label (H, W), or ValueError naming the frame; with `names`, ids beyond them are refused too."""
    if sample.label is None:
        raise ValueError(f"labels: frame {sample.name!r} has none; training and validation need one for every frame")
    camera, image = ("rgb", sample.rgb) if sample.rgb is not None else ("thermal", sample.thermal)
    if image is not None and sample.label.shape != image.shape[:2]:
        raise ValueError(
            f"labels: frame {sample.name!r} is {sample.label.shape}, its {camera} image {image.shape[:2]}; "
            "sizes must be equal"
        )
    if names is not None:
        odd = np.unique(sample.label[(sample.label >= len(names)) & (sample.label != IGNORE)])
        if odd.size:
            raise ValueError(
                f"labels: frame {sample.name!r} holds ids {odd[:5].tolist()}; its label set has {len(names)} classes, "
                f"0..{len(names) - 1} and {IGNORE} = ignore. Is it another one (--data.label_set, classes.yaml)?"
            )
    return sample.label
