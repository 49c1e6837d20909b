"""Which frames weights have seen, they themselves or what they started from; and which of those are to be scored.

Scores on frames that trained the weights, in whichever generation, are no test scores. So a checkpoint carries the
names of the frames, and evaluation looks them up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sartm_core.data.layouts import DISK_LAYOUTS, layouts_of
from sartm_core.data.pairs import Pairs, PartedPairs
from sartm_core.support.fields import one_of

TRAINED, CHOSE, UNKNOWN = "trained", "chose", "unknown"
FOLDER = "folder"
WRAPPERS = ("dataset", "datasets", "parts", "frames")
"""Attributes under which data sets hold others."""
MFNET_NAME = re.compile(r"(\d{5}[DN])(_flip)?")
"""Whatever a folder is called, such a name is a frame of MFNet: MSRS and others are made of it."""


@dataclass(frozen=True)
class SeenFrames:
    """Frames of one folder in one role."""

    role: str
    """`trained`: the weights were fitted to them. `chose`: they picked the epoch. `unknown`: there is no record."""
    dataset: str = ""
    """`folder`, `mfnet`, `pst900` or `fmb`."""
    root: str = ""
    """Name of the folder."""
    names: tuple[str, ...] = ()
    """Frame names, with the part in front where a data set has parts (`train/00001`)."""
    by: str = ""
    """File of the ancestor that saw them; empty for the weights themselves."""

    def __post_init__(self) -> None:
        one_of("SeenFrames", "role", self.role, (TRAINED, CHOSE, UNKNOWN))

    def identities(self) -> set[tuple[str, str]]:
        """What frames are the same by."""
        return {key(self.dataset, self.root, name) for name in self.names}


Seen = tuple[SeenFrames, ...]


def key(dataset: str, root: str, name: str) -> tuple[str, str]:
    """Equal for equal frames: by name alone for MFNet's; else within a published data set, or a folder of that name."""
    mfnet = MFNET_NAME.fullmatch(name)
    if mfnet:
        return "mfnet", mfnet[1]
    return f"{FOLDER} {root}" if dataset == FOLDER else dataset, name


def frames_behind(dataset: Any) -> Iterator[Pairs]:
    """The frames on disk that a loader's data set is made of. Synthetic scenes are no such frames."""
    if isinstance(dataset, Pairs):
        yield dataset
    elif isinstance(dataset, (list, tuple)):
        for part in dataset:
            yield from frames_behind(part)
    else:
        for name in WRAPPERS:
            yield from frames_behind(getattr(dataset, name, ()))


def described(frames: Pairs, role: str) -> SeenFrames:
    """Frames of one folder for the record."""
    dataset = next(name for name in DISK_LAYOUTS if isinstance(frames, layouts_of(name)))
    return SeenFrames(role, dataset, frames.root.resolve().name, tuple(map(naming(frames), frames.names)))


def naming(frames: Pairs) -> Any:
    """How to name a frame: in a data set in parts, numbers may begin anew in each."""

    def with_part(name: str) -> str:
        path = frames.files[name].rgb
        return f"{path.relative_to(frames.root).parts[0]}/{path.stem}"

    return with_part if isinstance(frames, PartedPairs) else str


def seen_in_run(train: Any, val: Iterable[Any]) -> Seen:
    """What a run with these data sets sees, each folder once."""
    found = [described(frames, TRAINED) for frames in frames_behind(train)]
    found += [described(frames, CHOSE) for part in val for frames in frames_behind(part)]
    return tuple(dict.fromkeys(found))


def in_both(train: Any, val: Iterable[Any]) -> tuple[int, int]:
    """How many frames on disk of the validation sets a run also trains on, by their files; and of how many."""
    learnt, chosen = (
        {frames.file_of(name).resolve() for part in sets for frames in frames_behind(part) for name in frames.names}
        for sets in ([train], val)
    )
    return len(learnt & chosen), len(chosen)


def inherited(seen: Seen, ancestor: str) -> Seen:
    """What weights take over from the file they start from, which they call `ancestor`."""
    return tuple(replace(entry, by=entry.by or ancestor) for entry in seen) or (SeenFrames(UNKNOWN, by=ancestor),)


def joined(own: Seen, ancestors: Seen) -> Seen:
    """Both, without what an ancestor saw in the same role: for many generations on the same data."""
    known = {role: {k for entry in own if entry.role == role for k in entry.identities()} for role in (TRAINED, CHOSE)}
    rest = []
    for entry in ancestors:
        names = [n for n in entry.names if key(entry.dataset, entry.root, n) not in known.get(entry.role, ())]
        if names or entry.role == UNKNOWN:
            rest.append(replace(entry, names=tuple(names)))
    return (*own, *rest)


def seen_again(seen: Seen, frames: Any) -> list[dict[str, Any]]:
    """Which of these frames the weights or their ancestors saw: by, role, folder and number, as plain values."""
    found = []
    for pairs in frames_behind(frames):
        here = described(pairs, TRAINED).identities()
        for entry in seen:
            count = len(here & entry.identities())
            if count:
                where = {"dataset": entry.dataset, "folder": entry.root}
                by = f"their ancestor {entry.by}" if entry.by else "these weights"
                found.append({"by": by, "role": entry.role, **where, "frames": count})
    return found


def in_words(found: list[dict[str, Any]], total: int) -> str:
    """What to warn of; "" for nothing."""
    if not found:
        return ""
    parts = [f"{e['frames']} {e['role']} {e['by']} (folder {e['folder']!r})" for e in found]
    trained = any(entry["role"] == TRAINED for entry in found)
    end = "this is no test score" if trained else "the numbers are optimistic"
    return f"of these {total} frames {', '.join(parts)}: {end}"
