"""Which frames belong to train, val and test: by a list of names, or by a fixed hold-out where there is none."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from sartm_core.data.images import IMAGE_SUFFIXES, composed

SPLITS = ("train", "val", "test")
HOLD_OUT = 10
"""One frame in this many is held out of the training set for validation."""


def read_split(root: Path, split: str) -> list[str]:
    """Frame names in `root/split.txt`, in its order. Blank lines are skipped; folders, image suffixes and further
    columns (`rgb/0001.png labels/0001.png`) are cut off."""
    path = root / f"{split}.txt"
    if not path.is_file():
        there = ", ".join(found.name for found in sorted(root.glob("*.txt"))[:8]) or "no list at all"
        raise ValueError(f"{path}: no such file; expected one frame name a line ({root} has {there})")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # a name may hold what splitlines also splits at
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason})") from error
    return [frame_name(line.strip()) for line in lines if line.strip()]


def frame_name(line: str) -> str:
    """The frame's name in a line of a split list."""
    columns = line.split()
    if len(columns) > 1 and columns[0].lower().endswith(IMAGE_SUFFIXES):
        line = columns[0]
    name = line.replace("\\", "/").rsplit("/", 1)[-1]
    return composed(name[: -len(Path(name).suffix)] if name.lower().endswith(IMAGE_SUFFIXES) else name)


def hold_out(names: Collection[str]) -> tuple[list[str], list[str]]:
    """(train, val): val is the tenth of the names with the smallest SHA-256, at least one; both in sorted order.

    The same on every machine, and whatever the order of the names; a missing frame changes little.
    """
    ranked = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    count = min(max(1, round(len(ranked) / HOLD_OUT)), max(0, len(ranked) - 1))
    return sorted(ranked[count:]), sorted(ranked[:count])
