"""Other ids for the classes of a model: what `class_remap` means, for masks, class lists and overlay colours.

    ClassMap.parse("bike=person, car=10, curve=ignore", model.classes, model.palette)

On the left of "=" stands a class of the model. On the right: another class (its id in the model), an id of 0 to 254, or
`ignore` (255). Classes that are not named keep their id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sartm_core.support.classes import IGNORE, Color
from sartm_core.support.visualize import IGNORE_COLOR

NONE = "none"
"""The parameter's value that changes nothing."""
IGNORED = "ignore"
"""On the right of "=": the class becomes `IGNORE`, unlabelled."""
EXAMPLE = "bike=person, car=10, curve=ignore"


@dataclass(frozen=True)
class Entry:
    """One id of the published masks."""

    id: int
    """0..254."""
    name: str
    """The model's classes with this id, joined by "+"; the one whose own id it is comes first."""
    color: Color
    """RGB, of the first of these classes."""


@dataclass(frozen=True, eq=False)
class ClassMap:
    """From the ids of a model to those that are published."""

    entries: tuple[Entry, ...]
    """What the published ids mean, by id."""
    palette: tuple[Color, ...]
    """RGB by published id, from 0; ids without a class are grey."""
    lut: np.ndarray | None
    """(256,) uint8, published id by model id, 255 stays 255; None: nothing changes."""

    @classmethod
    def parse(cls, text: str, classes: Sequence[str], palette: Sequence[Color]) -> ClassMap:
        """From the value of `class_remap` and the model's names and RGB colours by id.

        Raises ValueError naming the entry and the known classes.
        """
        targets = list(range(len(classes)))
        if text.strip() not in ("", NONE):
            named: dict[int, str] = {}
            for entry in text.split(","):
                source, target = _read(entry.strip(), classes)
                if source in named:
                    raise ValueError(f"class_remap: '{entry.strip()}': {classes[source]} has '{named[source]}' already")
                named[source] = entry.strip()
                targets[source] = target
        entries = tuple(_entry(i, targets, classes, palette) for i in sorted(set(targets) - {IGNORE}))
        colors = {entry.id: entry.color for entry in entries}
        shown = tuple(colors.get(i, IGNORE_COLOR) for i in range(max(colors, default=-1) + 1))
        return cls(entries, shown, _table(targets))

    @property
    def names(self) -> tuple[str, ...]:
        """Names by published id, from 0; empty for ids without a class."""
        named = {entry.id: entry.name for entry in self.entries}
        return tuple(named.get(i, "") for i in range(len(self.palette)))

    def apply_to_scores(self, scores: np.ndarray) -> np.ndarray:
        """(h, w, C) float32 by model id -> (h, w, N), one for each of `entries`: the sum of its classes."""
        if self.lut is None:
            return scores
        ids = np.array([entry.id for entry in self.entries])  # (N,)
        goes_to = self.lut[: scores.shape[2], None] == ids  # (C, N)
        return scores @ goes_to.astype(np.float32)

    def apply(self, mask: np.ndarray) -> np.ndarray:
        """(H, W) uint8 of model ids -> the same of published ids; the same array when nothing changes."""
        return mask if self.lut is None else np.take(self.lut, mask)


def _read(entry: str, classes: Sequence[str]) -> tuple[int, int]:
    """One "class=target" -> model id, published id."""
    source, equals, target = (part.strip() for part in entry.rpartition("="))
    known = f"known classes: {', '.join(classes)}"
    if not (equals and source and target):
        raise ValueError(f"class_remap: '{entry}' is no CLASS=TARGET; expected 'none' or like '{EXAMPLE}'; {known}")
    if source not in classes:
        raise ValueError(f"class_remap: '{entry}': the model has no class '{source}'; {known}")
    index = list(classes).index(source)
    if target in classes:
        return index, list(classes).index(target)
    if target == IGNORED:
        return index, IGNORE
    if re.fullmatch("[0-9]{1,3}", target) and int(target) < IGNORE:
        return index, int(target)
    raise ValueError(
        f"class_remap: '{entry}': got '{target}'; expected a class, an id of 0 to {IGNORE - 1} or {IGNORED}; {known}"
    )


def _entry(target: int, targets: list[int], classes: Sequence[str], palette: Sequence[Color]) -> Entry:
    members = sorted((i for i, t in enumerate(targets) if t == target), key=lambda i: (i != target, i))
    red, green, blue = palette[members[0]]
    return Entry(target, "+".join(classes[i] for i in members), (int(red), int(green), int(blue)))


def _table(targets: list[int]) -> np.ndarray | None:
    if targets == list(range(len(targets))):
        return None
    lut = np.full(IGNORE + 1, IGNORE, np.uint8)  # (256,)
    lut[: len(targets)] = targets
    return lut
