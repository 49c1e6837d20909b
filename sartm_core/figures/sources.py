"""Frames, weights and runs for the figures."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sartm_core.data.datasets import need_both
from sartm_core.data.pairs import Sample
from sartm_core.evaluate.config import WeightsAndFrames
from sartm_core.evaluate.sources import dataset_of, open_frames
from sartm_core.support.classes import LabelSet


def open_source(config: WeightsAndFrames) -> tuple[list[str], Sequence[Sample], LabelSet]:
    """Frame names, frames and whose ids their labels hold. ValueError names the folder, file or option."""
    frames, labels = open_frames(config, dataset_of(config))
    need_both(frames, config.data)
    names = getattr(frames, "names", None) or [f"synthetic_{index}" for index in range(len(frames))]
    return list(names), frames, labels


def find_frames(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Indices of the named frames. ValueError for an unknown one, with the nearest known."""
    places = {name: index for index, name in enumerate(names)}
    for name in wanted:
        if name not in places:
            near = difflib.get_close_matches(name, names, 1) or names[:1]
            raise ValueError(f"--names {name}: no such frame among {len(names)}; did you mean {near[0]!r}?")
    return [places[name] for name in wanted]


def spread(length: int, most: int) -> list[int]:
    """At most `most` indices, evenly spread over 0..length-1."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(int)).tolist()


def check_same_classes(first: tuple[str, ...], other: tuple[str, ...], names: tuple[str, str]) -> None:
    """Raise ValueError naming both checkpoints when their classes differ."""
    if first != other:
        odd = sorted(set(first) ^ set(other))
        what = f"{odd} are not in both" if odd else "the order differs"
        raise ValueError(
            f"checkpoints {names[0]} ({len(first)} classes) and {names[1]} ({len(other)}): {what}; "
            "only weights trained on the same classes can be compared: two runs of yours, or each by sartm evaluate"
        )


def read_history(run: Path) -> list[dict[str, Any]]:
    """The lines of `history.jsonl`. ValueError says what is missing and how to get it."""
    path = run / "history.jsonl"
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file; give the --output folder of a training run whose first epoch has ended"
        )
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a history of sartm_core.train ({error})") from error
