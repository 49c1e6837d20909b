"""RGB-thermal data sets on disk, by name or by their folders. The layouts are `sartm_core.data.layouts`."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from sartm_core.data.layouts import DISK_LAYOUTS, layouts_of
from sartm_core.data.layouts.folder import FolderPairs
from sartm_core.data.pairs import CAMERAS, Pairs
from sartm_core.support.classes import LABEL_SETS
from sartm_core.support.fields import one_of

F = TypeVar("F")


def open_dataset(
    dataset: str, root: str | Path, split: str | None, label_set: str | None = None, check: bool = True
) -> Pairs:
    """The frames of a data set by its name in the config.

    `label_set` None: the data set's own classes; for `folder` those of its classes.yaml, without one MFNet's. A
    `label_set` that differs from a classes.yaml is an error. `check` False leaves missing images to be found later.

    Raises:
        ValueError: names the folder or file, what was found and what is expected.
    """
    one_of("open_dataset", "dataset", dataset, tuple(DISK_LAYOUTS))
    if label_set is not None:
        one_of("open_dataset", "label_set", label_set, tuple(LABEL_SETS))
    root = Path(root)
    layouts = layouts_of(dataset)
    fitting = [layout for layout in layouts if layout.matches(root)]
    if not fitting and not (len(layouts) == 1 and root.is_dir()):  # a single layout knows best what it misses
        raise no_layout(root, layouts)
    return (fitting or layouts)[0](root, split, label_set, check)


def detect_dataset(root: str | Path) -> str:
    """The name of the data set whose layout the folder has: a key of `DISK_LAYOUTS`. ValueError when it has none."""
    for dataset in DISK_LAYOUTS:
        if any(layout.matches(Path(root)) for layout in layouts_of(dataset)):
            return dataset
    if FolderPairs.matches_one_camera(Path(root)):  # last: rgb/ is also a part of other layouts
        return "folder"
    raise no_layout(Path(root), layouts_of(*DISK_LAYOUTS))


def open_pairs(root: str | Path, split: str | None = None, label_set: str | None = None) -> Pairs:
    """The frames of both cameras below `root`, in whichever known layout they are; otherwise as `open_dataset`."""
    pairs = open_dataset(detect_dataset(root), root, split, label_set)
    return need_both(pairs, root)


def need_both(frames: F, root: object) -> F:
    """The same frames, or ValueError where they are those of one camera alone."""
    if isinstance(frames, Pairs) and frames.cameras != CAMERAS:
        raise ValueError(f"{root}: has images of {frames.cameras[0]} alone; this needs both cameras")
    return frames


def no_layout(root: Path, layouts: tuple[type[Pairs], ...]) -> ValueError:
    """What to raise where none of the layouts fits."""
    expected = "".join(f"\n  {layout.expects}" for layout in layouts)
    if not root.is_dir():
        return ValueError(f"{root}: no such folder; expected one with{expected}")
    there = sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
    found = ", ".join(there[:8]) + (f" and {len(there) - 8} more" if len(there) > 8 else "") or "nothing"
    return ValueError(f"{root}: holds {found}; expected{expected}")
