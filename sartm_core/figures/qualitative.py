"""Figures 4 to 6: rgb, thermal, truth, the masks of others and ours, with boxes where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sartm_core.data.checked import need_label
from sartm_core.data.pairs import Sample
from sartm_core.evaluate.metrics import ConfusionMatrix
from sartm_core.figures.boxes import Box, region_boxes
from sartm_core.figures.config import QualitativeConfig
from sartm_core.figures.methods import Methods, open_methods
from sartm_core.figures.sheet import Mark, Panel, Row, write_sheet
from sartm_core.figures.sources import find_frames, open_source, spread
from sartm_core.support.classes import IGNORE, LabelSet
from sartm_core.support.files import write_json
from sartm_core.support.visualize import IGNORE_COLOR, colorize, thermal_to_gray

RED, ORANGE = "#e00020", "#ff8c00"


@dataclass(frozen=True)
class Shot:
    """One frame with everything to show of it."""

    sample: Sample
    truth: np.ndarray
    """(H, W) uint8 ids of the checkpoints' classes, 255 unknown."""
    guesses: tuple[np.ndarray, ...]
    """(H, W) uint8 of each method, ours last."""
    miou: tuple[float, ...]
    """Of each guess on this frame alone, over the classes that occur; 0..1."""


def qualitative(config: QualitativeConfig, output: Path) -> list[Path]:
    """Write `qualitative.png` and `qualitative.json`. ValueError and OSError name what is wrong."""
    names, frames, labels = open_source(config)
    named = [names[index] for index in find_frames(names, config.names)]
    methods = open_methods(config, named or names, labels)

    def shoot(index: int) -> Shot:
        return take(frames[index], labels, methods)

    chosen, about = choose(config, names, shoot)
    shots = [shoot(index) for index in tqdm(chosen, unit="frame", disable=None)]
    titles = [method.title for method in methods.columns]
    marks = kinds_of_marks(titles)
    boxes = [find_boxes(shot, marks)[: config.boxes] for shot in shots]
    output.mkdir(parents=True, exist_ok=True)
    rows = [row(shot, found, methods) for shot, found in zip(shots, boxes, strict=True)]
    used = [mark for mark in marks if any(kind == mark for found in boxes for kind, _ in found)]
    write_sheet(output / "qualitative.png", rows, ("rgb", "thermal", "truth", *titles), legend(shots, methods), used)
    facts = {
        "masks": {method.title: method.facts for method in methods.columns},
        **about,
        "frames": [facts_of(shot, found, titles) for shot, found in zip(shots, boxes, strict=True)],
    }
    write_json(output / "qualitative.json", facts)
    return [output / "qualitative.png", output / "qualitative.json"]


def take(sample: Sample, labels: LabelSet, methods: Methods) -> Shot:
    """The masks of a frame and their scores."""
    truth = methods.table[need_label(sample, labels.names)]  # (H, W)
    guesses = tuple(method.mask(sample) for method in methods.columns)
    return Shot(sample, truth, guesses, tuple(frame_miou(g, truth, len(methods.classes)) for g in guesses))


def frame_miou(guess: np.ndarray, truth: np.ndarray, num_classes: int) -> float:
    """mIoU of one frame over the classes that occur in it; NaN without a labelled pixel."""
    matrix = ConfusionMatrix(num_classes)
    matrix.update(guess, truth)
    return matrix.miou()


def choose(config: QualitativeConfig, names: Sequence[str], shoot: Any) -> tuple[list[int], dict[str, Any]]:
    """Indices of the frames to show, and how they were chosen, for the report."""
    if config.names:
        return find_frames(names, config.names), {"pick": "by name"}
    pick = config.pick if config.pick != "auto" else "most-improved" if config.compares else "random"
    count = min(config.count, len(names))
    if pick == "first":
        return list(range(count)), {"pick": pick}
    if pick == "random":
        chosen = np.random.default_rng(config.seed).choice(len(names), count, replace=False)
        return sorted(chosen.tolist()), {"pick": pick, "seed": config.seed}
    gains = {}
    for index in tqdm(spread(len(names), config.candidates), unit="frame", disable=None):
        *others, ours = shoot(index).miou
        if not np.isnan(ours):  # one frame's are all numbers or none
            gains[index] = ours - max(others)
    if not gains:
        raise ValueError("--pick most-improved: no frame has a labelled pixel; use --pick first")
    values = np.array(list(gains.values()))
    about = {
        "pick": "the frames with the largest gain in mIoU over the best of the others, not typical ones",
        "frames looked at": len(gains),
        "mean gain of all of them, points": round(100 * float(values.mean()), 2),
        "share of them with a gain": round(float((values > 0).mean()), 3),
    }
    return sorted(gains, key=lambda index: -gains[index])[:count], about


def kinds_of_marks(titles: Sequence[str]) -> tuple[Mark, ...]:
    """The kinds of boxes of a figure with these columns of masks, ours last."""
    *others, ours = titles
    if not others:
        return (Mark(RED, "-", f"{ours} differs from the truth"),)
    if len(others) == 1:
        return Mark(RED, "-", f"right in {ours} only"), Mark(ORANGE, "--", f"right in {others[0]} only")
    return (
        Mark(RED, "-", f"right in {ours}, wrong in most others"),
        Mark(ORANGE, "--", f"wrong in {ours}, right in most others"),
    )


def find_boxes(shot: Shot, marks: Sequence[Mark]) -> list[tuple[Mark, Box]]:
    """Boxes of each kind, the largest region first; pixels without a label are in none."""
    known = shot.truth != IGNORE
    *others, ours = (guess == shot.truth for guess in shot.guesses)
    right = sum(others, np.zeros(known.shape, int))  # (H, W) how many of the others are
    regions = [known & ours & (2 * right < len(others)), known & ~ours & (2 * right > len(others))]
    if not others:
        regions = [known & ~ours]
    found = [(mark, box) for mark, region in zip(marks, regions, strict=True) for box in region_boxes(region)]
    return sorted(found, key=lambda pair: -pair[1].pixels)


def row(shot: Shot, boxes: Sequence[tuple[Mark, Box]], methods: Methods) -> Row:
    """The panels of a frame."""
    masks = [colorize(mask, methods.palette) for mask in (shot.truth, *shot.guesses)]
    captions = ["", *("no labelled pixel" if np.isnan(v) else f"mIoU {100 * v:.1f}" for v in shot.miou)]
    plain = (Panel(shot.sample.rgb), Panel(thermal_to_gray(shot.sample.thermal)))
    marked = (Panel(mask, caption, tuple(boxes)) for mask, caption in zip(masks, captions, strict=True))
    return Row(shot.sample.name, (*plain, *marked))


def legend(shots: Sequence[Shot], methods: Methods) -> list[tuple[str, tuple[int, int, int]]]:
    """Names and colours of what occurs in any mask, in id order."""
    ids = sorted({int(i) for shot in shots for mask in (shot.truth, *shot.guesses) for i in np.unique(mask)})
    return [(methods.classes[i], methods.palette[i]) if i != IGNORE else ("not labelled", IGNORE_COLOR) for i in ids]


def facts_of(shot: Shot, boxes: Sequence[tuple[Mark, Box]], titles: Sequence[str]) -> dict[str, Any]:
    """A frame in the report."""
    return {
        "name": shot.sample.name,
        "miou": {t: None if np.isnan(v) else round(v, 4) for t, v in zip(titles, shot.miou, strict=True)},
        "boxes": [{"kind": mark.meaning, **asdict(box)} for mark, box in boxes],
    }
