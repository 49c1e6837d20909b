"""The labelled frames of a data set as a list for the page: labels over pictures, and what to filter them by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sartm_core.data.datasets import open_dataset
from sartm_core.data.pairs import KINDS, Pairs
from sartm_core.data.splits import SPLITS
from sartm_core.support.classes import IGNORE, frame_condition
from sartm_core.view.source import Listed, Shown

CLASS, SPLIT, CONDITION, FAULT = "class", "split", "day or night", "finding"
"""The filters."""
UNREADABLE, NO_LABEL, ANY = "no readable label", "no label", "any"
"""Values of the filters that are no names of the data set."""
Findings = dict[Path, list[tuple[str, str]]]
"""By file: (check, message)."""


class Labels(Listed):
    """A data set with what `sartm check-data` found in it."""

    def __init__(
        self, dataset: str, root: Path, split: str | None, findings: Findings, label_set: str | None = None
    ) -> None:
        self.pairs = open_dataset(dataset, root, split, label_set, check=False)
        if not self.pairs.names:
            self.pairs.check()  # says what is missing
        self.title, self.names = str(root), self.pairs.names
        self._found = [list(found_in(self.pairs, name, findings)) for name in self.names]
        progress = tqdm(self.names, "labels", unit="frame", disable=None, leave=False)
        self.tags = {
            CLASS: [classes_in(self.pairs, name) for name in progress],
            SPLIT: splits_of(dataset, root, self.pairs),
            CONDITION: [[c] if (c := frame_condition(name)) else [] for name in self.names],
            FAULT: [sorted({check for check, _ in found} | ({ANY} if found else set())) for found in self._found],
        }

    def read(self, index: int) -> Shown:
        name, pairs = self.names[index], self.pairs
        state = {"split": ", ".join(self.tags[SPLIT][index])} if self.tags[SPLIT][index] else {}
        state |= {f"{check} {i + 1}": message for i, (check, message) in enumerate(self._found[index])}
        classes, palette = pairs.label_set.names, pairs.label_set.palette
        shown: dict[str, Any] = {}
        wrong = []
        for kind, read in (("rgb", pairs.rgb_of), ("thermal", pairs.thermal_of), ("mask", pairs.label_of)):
            try:
                shown[kind] = read(name)
            except (ValueError, OSError) as error:  # the rest of the frame can be looked at
                wrong.append(str(error))
        return Shown(name, **shown, classes=classes, palette=palette, state=state, error="; ".join(wrong))


def classes_in(pairs: Pairs, name: str) -> list[str]:
    """Names of the classes in a frame's label; class 0, which nearly all have, is left out."""
    try:
        label = pairs.label_of(name)
    except (ValueError, OSError):
        return [UNREADABLE]
    if label is None:
        return [NO_LABEL]
    names = pairs.label_set.names
    ids = np.flatnonzero(np.bincount(label.ravel(), minlength=IGNORE + 1)).tolist()
    return [names[i] if i < len(names) else "ignored" if i == IGNORE else f"id {i}" for i in ids if i]


def splits_of(dataset: str, root: Path, pairs: Pairs) -> list[list[str]]:
    """The splits that every frame is in, by its file."""
    members: dict[Path, list[str]] = {}
    for split in (pairs.split,) if pairs.split else SPLITS:
        try:
            part = open_dataset(dataset, root, split, check=False)
        except ValueError:  # there is no such split
            continue
        for name in part.names:
            members.setdefault(part.file_of(name), []).append(split)
    return [members.get(pairs.file_of(name), []) for name in pairs.names]


def found_in(pairs: Pairs, name: str, findings: Findings) -> Iterator[tuple[str, str]]:
    """What was found in the files of a frame."""
    for kind in KINDS:
        yield from findings.get(getattr(pairs.files[name], kind), [])


def read_findings(path: Path, root: Path) -> Findings:
    """The findings of a check_data.json. ValueError names the file and what is wrong with it."""
    try:
        items = json.loads(path.read_text(encoding="utf-8"))["findings"]
        found: Findings = {}
        for item in items:
            found.setdefault(root / item["file"], []).append((f"{item['level']}: {item['check']}", item["message"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"--findings {path}: not the check_data.json of `sartm check-data --output DIR` ({error})"
        ) from error
    return found
