"""Every frame of every split, read once."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sartm_core.check_data.findings import Findings
from sartm_core.check_data.frame import check_frame
from sartm_core.check_data.shift import CONFIDENT, SMALLEST_OUTLIER, Shift, odd_shifts, usual_shift
from sartm_core.data.pairs import Pairs
from sartm_core.data.swapped import false_color, swapped_cameras


@dataclass
class SplitCounts:
    """What was counted in one split."""

    frames: int
    """Frames in its list or folder."""
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    """(256,) pixels of every label id."""
    frames_with: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    """(256,) frames that hold a label id."""
    sizes: Counter[str] = field(default_factory=Counter)
    """Frames by image sizes and types."""


@dataclass
class Counts:
    """What was counted over all splits."""

    splits: dict[str, SplitCounts]
    shifts: list[Shift] = field(default_factory=list)
    """Of every frame with both images."""

    def shift_summary(self) -> dict[str, float | int | None]:
        """Median shift in pixels of the usual image width, and how many frames it was measured on."""
        usual = usual_shift(self.shifts)
        width = float(np.median([shift.width for shift in self.shifts])) if self.shifts else 0.0
        return {
            "dx": None if usual is None else usual[0] * width,
            "dy": None if usual is None else usual[1] * width,
            "measured": sum(shift.confidence >= CONFIDENT for shift in self.shifts),
            "frames": len(self.shifts),
        }


def walk(splits: dict[str, Pairs], findings: Findings) -> Counts:
    """Check all frames and count; never stops at a fault."""
    counts = Counts({split: SplitCounts(len(frames)) for split, frames in splits.items()})
    check_cameras(splits, findings)
    owners: dict[Path, list[tuple[str, str]]] = {}  # rgb (or only) file -> (split, name) of each split that has it
    for split, frames in splits.items():
        for name in frames.files:
            owners.setdefault(frames.file_of(name), []).append((split, name))
    pictures: dict[bytes, Path] = {}
    shifted: list[Path] = []  # thermal files of `counts.shifts`
    for path, places in tqdm(owners.items(), unit="frame", disable=None):
        split, name = places[0]
        frames = splits[split]
        facts = check_frame(frames, name, findings)
        check_copy(path, pictures, findings)
        if facts.shift is not None:
            counts.shifts.append(facts.shift)
            shifted.append(frames.files[name].thermal)
        for place, _ in places:
            count = counts.splits[place]
            count.pixels += facts.ids
            count.frames_with += facts.ids > 0
            count.sizes[facts.sizes] += 1
    check_shifts(counts, shifted, findings)
    check_sizes(splits, counts, findings)
    check_classes(splits, counts, findings)
    return counts


def check_cameras(splits: dict[str, Pairs], findings: Findings) -> None:
    """One fault where they are swapped, or a warning where no thermal camera is."""
    for frames in splits.values():
        pairs = [(files.rgb, files.thermal) for files in frames.files.values()]
        if reason := swapped_cameras(pairs):
            findings.fault("cameras", frames.root, reason)
            return
        if doubt := false_color(pairs):
            findings.warn("cameras", frames.root, doubt)
            return


def check_copy(path: Path, pictures: dict[bytes, Path], findings: Findings) -> None:
    """The same picture under two names; `pictures` remembers those seen."""
    if path.is_file():
        other = pictures.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
        if other != path:
            findings.warn("split", path, f"the same file as {findings.relative(other)}")


def check_shifts(counts: Counts, paths: list[Path], findings: Findings) -> None:
    """Frames whose thermal image lies elsewhere than in the others, and a displacement of all."""
    summary = counts.shift_summary()
    for index in odd_shifts(counts.shifts):
        shift = counts.shifts[index]
        findings.warn(
            "shift", paths[index],
            f"about ({shift.dx:+.0f}, {shift.dy:+.0f}) pixels off the rgb image, the others "
            f"({summary['dx']:+.0f}, {summary['dy']:+.0f}) (x, y; confidence {shift.confidence:.0f})",
        )  # fmt: skip
    usual = usual_shift(counts.shifts)
    if usual is not None and np.hypot(*usual) > SMALLEST_OUTLIER:
        findings.warn(
            "shift", findings.root,
            f"thermal images lie ({summary['dx']:+.0f}, {summary['dy']:+.0f}) pixels (x, y) off the rgb images in the "
            "median; register them",
        )  # fmt: skip


def check_sizes(splits: dict[str, Pairs], counts: Counts, findings: Findings) -> None:
    """Several image sizes or types in one split."""
    for split, count in counts.splits.items():
        kinds = [text for text in count.sizes if all(camera in text for camera in splits[split].cameras)]
        if len(kinds) > 1:
            listed = "; ".join(f"{count.sizes[text]} with {text}" for text in kinds)
            findings.warn("size", splits[split].root, f"split {split!r} mixes sizes or types: {listed}")


def check_classes(splits: dict[str, Pairs], counts: Counts, findings: Findings) -> None:
    """Classes that cannot be learnt."""
    count = counts.splits.get("train")
    if count is None or not count.pixels.any():
        return
    names = splits["train"].label_set.names
    absent = [name for index, name in enumerate(names) if not count.pixels[index]]
    if absent:
        findings.warn("label", splits["train"].root, f"split 'train' has no pixel of {', '.join(absent)}")
