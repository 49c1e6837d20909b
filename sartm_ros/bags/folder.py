"""Which files make up a recording: those that metadata.yaml lists; where a killed recorder left none, those there."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from sartm_core.support.yaml_text import read_yaml
from sartm_ros.bags.storage import BagError, Fault, zstd

SUFFIXES = {".db3": "sqlite3", ".mcap": "mcap"}
METADATA = "metadata.yaml"
PACKED = ".zstd"
"""What compression of whole files appends to their names."""
GIVE = "give a rosbag2 folder, or a .mcap or .db3 file"
ROS1 = (".bag", ".active")
"""How names of ROS 1 recordings end; the second one while they are written."""


@dataclass
class Files:
    """The files of a recording, in the order they were recorded as far as that is known."""

    paths: list[Path] = field(default_factory=list)
    listed: bool = False
    """Whether the order is that of metadata.yaml."""
    faults: list[Fault] = field(default_factory=list)
    count: int = 0
    """Messages that metadata.yaml tells of."""
    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    """Type hashes that metadata.yaml tells of, by topic and type."""


def storage_of(path: Path) -> str | None:
    """By the file's name; None when it is none of a recording, or hidden."""
    name = path.name.removesuffix(PACKED)
    return None if name.startswith(".") else SUFFIXES.get(PurePath(name).suffix)


def is_recording(path: Path) -> bool:
    """Whether a path is one, or a folder with the files of one."""
    if not path.is_dir():
        return storage_of(path) is not None
    return (path / METADATA).is_file() or any(storage_of(inside) for inside in path.iterdir())


def find(path: Path) -> Files:
    """BagError naming the path when there is no such recording."""
    if not path.exists():
        raise BagError(f"{path}: no such bag; {GIVE}")
    if path.is_dir() or path.name == METADATA:
        return in_folder(path if path.is_dir() else path.parent)
    if storage_of(path) is None or not path.is_file():
        hint = "; `rosbags-convert` turns a ROS 1 bag into one" if path.suffix in ROS1 else ""
        reindex = " (after `rosbag reindex`)" if path.suffix == ".active" else ""
        raise BagError(f"{path}: not a recording; expected a rosbag2 folder, or a .mcap or .db3 file{hint}{reindex}")
    return Files([path])


def in_folder(path: Path) -> Files:
    """The recording in a folder."""
    there = sorted((p for p in path.iterdir() if storage_of(p) and p.is_file()), key=natural)
    there = [p for p in there if p.suffix != PACKED or p.with_suffix("") not in there]  # packed, not yet removed
    why = f"has no {METADATA}"
    if (path / METADATA).is_file():
        try:
            return listed(path, there)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, BagError):
                raise
            why = f"has a broken {METADATA} ({type(error).__name__})"
    if not there:
        hint = "ROS 1 bags need `rosbags-convert`" if any(path.glob("*.bag")) else "is this a rosbag2 folder?"
        raise BagError(f"{path}: {why} (a recording that was cut off?) and no .mcap or .db3 file; {hint}")
    if len({storage_of(p) for p in there}) > 1:
        raise BagError(
            f"{path}: {why}, and has both .mcap and .db3 files, perhaps the same messages twice; give one of them: "
            f"{names(there)}"
        )
    each = "its file is" if len(there) == 1 else f"its {len(there)} files are"
    text = f"{path}: {why} (a recording that was cut off?); {each} read: {names(there)}; `ros2 bag reindex {path}` "
    return Files(there, faults=[Fault(text + f"writes {METADATA} anew", lost=False)])


def listed(path: Path, there: list[Path]) -> Files:
    """What metadata.yaml lists. Any error for a file that makes no sense."""
    content = read_yaml(path / METADATA)["rosbag2_bagfile_information"]
    storage = content["storage_identifier"]
    if storage not in SUFFIXES.values():
        raise BagError(f"{path}: storage {storage!r}, expected {' or '.join(SUFFIXES.values())}")
    found, missing = Files(listed=True, count=int(content["message_count"])), []
    for name in content["relative_file_paths"]:
        named = path / PurePath(name).name
        packed = named.with_name(named.name + PACKED)
        same = [p for p in (named, packed, named.with_name(named.name.removesuffix(PACKED))) if p.is_file()]
        found.paths += same[:1]
        missing += [] if same else [named]
    counts = {PurePath(each["path"]).name: int(each["message_count"]) for each in content.get("files") or []}
    if missing:
        lost = [counts[p.name] for p in missing if p.name in counts]
        of_them = f" ({sum(lost)} messages)" if len(lost) == len(missing) else ""
        found.faults.append(Fault(f"{path}: {names(missing)}{of_them} not there, though {METADATA} lists it"))
    add_unlisted(path, found, [p for p in there if p not in found.paths and storage_of(p) == storage])
    if not found.paths:
        raise BagError(f"{path}: none of the files that {METADATA} lists is there: {names(missing) or 'it lists none'}")
    for each in content["topics_with_message_count"]:
        topic = each["topic_metadata"]
        found.digests[topic["name"], topic["type"]] = topic.get("type_description_hash") or ""
    return found


def add_unlisted(path: Path, found: Files, others: list[Path]) -> None:
    """Files that go on with the numbers of the listed ones belong to the recording; others are told of."""
    stems = {series(p) for p in found.paths}
    more = [p for p in others if series(p) in stems or not found.paths]
    rest = [p for p in others if p not in more]
    found.paths += more
    if more:
        text = f"{path}: {METADATA} does not list {names(more)} (recorder killed?), which is read; `ros2 bag reindex`"
        found.faults.append(Fault(text, lost=False))
    if rest:
        text = f"{path}: {names(rest)} not read, {METADATA} does not list it; `ros2 bag reindex {path}`"
        found.faults.append(Fault(text, lost=False))


def series(path: Path) -> str:
    """The name without the number of the split."""
    return re.sub(r"_\d+$", "", path.name.split(".")[0])


def natural(path: Path) -> list[Any]:
    """Sorts rec_10 after rec_9."""
    return [(int(t), "") if t.isdigit() else (0, t) for t in re.split(r"(\d+)", path.name)]


def names(paths: list[Path]) -> str:
    return ", ".join(p.name for p in paths)


def unpacked(path: Path, folder: Path) -> tuple[Path, Fault | None]:
    """A file that was compressed whole, unpacked into a folder, as far as it goes."""
    target = folder / path.stem
    with path.open("rb") as packed, target.open("wb") as out:
        try:
            with zstd().open(packed, "rb") as content:
                shutil.copyfileobj(content, out)
        except (EOFError, zstd().ZstdError) as error:
            return target, Fault(f"{path}: not whole ({error}); what could be unpacked of it is read")
    return target, None
