"""Masks that came back from CVAT, into the `labels/` of the training folder. All of them, or none."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from sartm_core.data.images import files_by_name
from sartm_core.data.layouts.folder import FolderPairs
from sartm_core.data.splits import frame_name
from sartm_core.labels.archive import CLASS_MASKS, LABELMAP, LISTS, MASK_SUFFIX, Archive, opened
from sartm_core.labels.checks import rgb_size
from sartm_core.labels.labelmap import ids_of, read_labelmap
from sartm_core.labels.masks import read_mask
from sartm_core.support.files import scratch_folder
from sartm_core.support.visualize import png

LABELS = FolderPairs.folders["label"][0]
EMPTY = ("error", "background", "skip")
"""What a frame is that the archive lists but has no mask of: a mistake, all class 0, or left as it was."""
NAMED = 5
"""Most names in an error."""


@dataclass(frozen=True)
class Imported:
    """What an import wrote."""

    masks: int
    changed: int
    """Of these, the ones that differ from the label that was there, or had none."""
    background: int
    """Of these, the ones without a mask in the archive, written as class 0 everywhere."""
    skipped: int
    """Frames of the archive's lists that were left as they were."""
    untouched: int
    """Frames of the folder that the archive does not mention."""


def bring(path: Path, frames: FolderPairs, ignored: str, empty: str, partial: bool) -> Imported:
    """Check every mask of the zip `path`, then write them as the labels of `frames`, grey PNGs of class ids.

    Raises:
        ValueError: what is wrong with the archive or does not fit the folder; names the file. Nothing was written.
    """
    with opened(path) as archive:
        where = f"{path}: {archive.root}{LABELMAP}"
        labels = read_labelmap(archive.read_text(archive.root + LABELMAP), where)
        ids = ids_of(labels, frames.label_set.names, ignored, where, partial)
        members = masks_by_frame(archive)
        without = [name for name in listed(archive) if name not in members]
        check_frames(path, frames, [*members, *without], without if empty == "error" else [])
        blank = without if empty == "background" else []
        with scratch_folder(frames.root / LABELS) as staging:
            changed = 0
            for name in tqdm([*members, *blank], unit="mask", disable=None):
                size = rgb_size(frames.files[name].rgb)
                if name in members:
                    member = members[name]
                    label = read_mask(archive.read(member), labels, ids, f"{path}: {member}", size)
                else:
                    label = np.zeros(size, np.uint8)
                changed += not same_as_before(frames, name, label)
                (staging / f"{name}{MASK_SUFFIX}").write_bytes(png(Image.fromarray(label)))
            put_in_place(staging, frames.root / LABELS)
    skipped, untouched = len(without) - len(blank), len(frames) - len(members) - len(without)
    return Imported(len(members) + len(blank), changed, len(blank), skipped, untouched)


def masks_by_frame(archive: Archive) -> dict[str, str]:
    """Frame name -> the mask's name in the zip. Folders that CVAT keeps of the upload do not count."""
    members: dict[str, str] = {}
    for member, inside in archive.inside(CLASS_MASKS, MASK_SUFFIX):
        name = inside.rsplit("/", 1)[-1][: -len(MASK_SUFFIX)]
        if name in members:
            raise ValueError(f"{archive.path}: {member}: frame {name!r} has another mask, {members[name]}")
        members[name] = member
    if not members:
        raise ValueError(
            f"{archive.path}: no {archive.root}{CLASS_MASKS}/*{MASK_SUFFIX}; export from CVAT as "
            "'Segmentation mask 1.1' after annotating"
        )
    return members


def listed(archive: Archive) -> list[str]:
    """The frames of all lists of the archive, each once."""
    lines = (line for member, _ in archive.inside(LISTS, ".txt") for line in archive.read_text(member).splitlines())
    return list(dict.fromkeys(frame_name(line.strip()) for line in lines if line.strip()))


def check_frames(path: Path, frames: FolderPairs, names: list[str], without: list[str]) -> None:
    """ValueError when the folder lacks frames of the archive, or the archive masks of frames it lists."""
    strange = [name for name in names if name not in frames.files]
    if strange:
        raise ValueError(
            f"{path}: {shortened(strange)}: no colour image of that name in {frames.root / 'rgb'}; "
            "import into the folder that was exported"
        )
    if without:
        raise ValueError(
            f"{path}: {shortened(without)}: listed, but without a mask in {CLASS_MASKS}/ (not annotated, or nothing "
            "there?); import with --empty background to label them class 0, or --empty skip to leave them"
        )


def shortened(names: list[str]) -> str:
    """`frame 'a'`, or `3 frames ('a', 'b', 'c')`."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    shown = ", ".join(map(repr, names[:NAMED])) + more
    return f"frame {shown}" if len(names) == 1 else f"{len(names)} frames ({shown})"


def same_as_before(frames: FolderPairs, name: str, label: np.ndarray) -> bool:
    """Whether the folder has this very label. A broken one is another."""
    try:
        before = frames.label_of(name)
    except ValueError:
        return False
    return before is not None and np.array_equal(before, label)


def put_in_place(staging: Path, folder: Path) -> None:
    """Move the new labels over the old, whatever image type those had."""
    folder.mkdir(exist_ok=True)
    before = files_by_name(folder)
    for path in sorted(staging.iterdir()):
        os.replace(path, folder / path.name)
        old = before.get(path.stem)
        if old is not None and not old.samefile(folder / path.name):
            old.unlink()
