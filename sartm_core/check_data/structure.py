"""Lists, folders and counts of a data set, before any image is opened."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

from sartm_core.check_data.findings import Findings
from sartm_core.data.datasets import open_dataset
from sartm_core.data.images import composed, is_frame
from sartm_core.data.layouts import layouts_of
from sartm_core.data.pairs import CAMERAS, KINDS, ListedPairs, Pairs

EXPECTED = {
    "mfnet": {"train": 784, "val": 392, "test": 393},
    "pst900": {"train": 537, "val": 60, "test": 288},
    "fmb": {"train": 1098, "val": 122, "test": 280},
}
"""Frames by split of the complete data sets; train and val of PST900 and FMB share the published 597 and 1220."""


def open_splits(
    dataset: str, root: Path, split: str | None, label_set: str | None, findings: Findings
) -> dict[str, Pairs]:
    """The splits that can be opened: the one asked for, else all there are. What cannot is a fault.

    Where none of all can, all frames as the split "all".
    """
    layouts = layouts_of(dataset)
    layout = next((layout for layout in layouts if layout.matches(root)), layouts[0])
    names = (split,) if split else tuple(dict.fromkeys((*EXPECTED.get(dataset, {}), *layout.splits(root))))
    opened: dict[str, Pairs] = {}
    errors: dict[str, None] = {}
    for name in names:
        try:
            opened[name] = open_dataset(dataset, root, name, label_set, check=False)
        except ValueError as error:
            errors[str(error)] = None
    for text in errors:  # each once, though every split meets a broken classes.yaml
        path, _, message = text.partition(": ")
        findings.fault("open", Path(path), message.replace(f"{root}/", ""))
    if not opened and split is None and layout.matches(root):
        with suppress(ValueError):  # a broken classes.yaml was told already
            opened["all"] = open_dataset(dataset, root, None, label_set, check=False)
    return opened


def check_structure(dataset: str, splits: dict[str, Pairs], complete: bool, whole: bool, findings: Findings) -> None:
    """Counts, empty splits, frames in two splits; with `whole` also what no split uses."""
    for name, frames in splits.items():
        check_count(dataset, name, frames, complete, findings)
        check_repeats(name, frames, findings)
    check_overlap(splits, findings)
    some = next(iter(splits.values()), None)
    if some is not None:
        check_folders(some, findings)
    if some is not None and whole:
        check_leftovers(splits, some, findings)


def place_of(split: str, frames: Pairs) -> Path:
    """The list or folder that defines a split."""
    if isinstance(frames, ListedPairs):
        path = frames.root / f"{split}.txt"
        return path if path.is_file() else frames.root
    folder = frames.root / split
    return folder if folder.is_dir() else frames.root / "train"


def check_count(dataset: str, split: str, frames: Pairs, complete: bool, findings: Findings) -> None:
    expected = EXPECTED.get(dataset, {}).get(split)
    if not frames.names:
        findings.fault("count", place_of(split, frames), f"split {split!r} holds no frames{frames.unread()}")
    elif expected and len(frames) != expected:
        report = findings.fault if complete else findings.warn
        report("count", place_of(split, frames), f"split {split!r} has {len(frames)} frames, the data set {expected}")


def check_repeats(split: str, frames: Pairs, findings: Findings) -> None:
    for name, times in Counter(frames.names).items():
        if times > 1:
            findings.warn("split", place_of(split, frames), f"frame {name!r} is listed {times} times")


def check_overlap(splits: dict[str, Pairs], findings: Findings) -> None:
    """Frames (files) that two splits share."""
    first: dict[Path, str] = {}
    for split, frames in splits.items():
        for name in frames.files:
            other = first.setdefault(frames.file_of(name), split)
            if other != split:
                findings.fault("split", place_of(split, frames), f"frame {name!r} is in {other!r} too")


def check_folders(frames: Pairs, findings: Findings) -> None:
    """Folders that are missing, and files that hide another of the same name."""
    for tree in frames.trees():
        for kind, folder in frames.image_folders(tree).items():
            if not folder.path.is_dir() and kind in CAMERAS and kind not in frames.cameras:
                findings.warn("missing", folder.path, f"no such folder: the frames are of {frames.cameras[0]} alone")
                continue
            if not folder.path.is_dir():
                need = "; training and scores need labels" if kind == "label" else ""
                findings.fault("missing", folder.path, f"no such folder for the {kind} images{need}")
                continue
            names = Counter(composed(path.stem) for path in folder.path.iterdir() if is_frame(path))
            twice = sorted(name for name, times in names.items() if times > 1)
            if twice:
                findings.warn(
                    "unused", folder.path, f"several images of one name, only one is read: {shortened(twice)}"
                )


def check_leftovers(splits: dict[str, Pairs], some: Pairs, findings: Findings) -> None:
    """Images that belong to no split, and thermal or label images without a colour image."""
    used = {getattr(files, kind) for frames in splits.values() for files in frames.files.values() for kind in KINDS}
    for tree in some.trees():
        folders = some.image_folders(tree)
        for kind, folder in folders.items():
            main = some.cameras[0]
            named = folders[main].files
            unused = sorted(name for name, path in folder.files.items() if path not in used)
            lonely = [name for name in unused if name not in named]
            listed_nowhere = [name for name in unused if name in named] if kind == main else []
            if lonely:
                findings.warn("unused", folder.path, f"{len(lonely)} without {main} image: {shortened(lonely)}")
            if listed_nowhere:
                findings.warn("unused", folder.path, f"{len(listed_nowhere)} in no split: {shortened(listed_nowhere)}")


def shortened(names: list[str], most: int = 5) -> str:
    """The first names of a list."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
