"""Frames on disk: finding the files of a split and reading them.

`ListedPairs` are one folder tree with split lists beside it, `PartedPairs` one tree in each of train/ and test/.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from sartm_core.data.images import files_by_name, read_label, read_rgb, read_thermal, unread
from sartm_core.data.splits import SPLITS, hold_out, read_split
from sartm_core.preprocess.parallax import DepthRegistration
from sartm_core.preprocess.registration import Registration
from sartm_core.preprocess.registration_file import in_rgb_view
from sartm_core.support.classes import LABEL_SETS, MFNET, LabelSet
from sartm_core.support.pixels import read_head, read_stored

CAMERAS = ("rgb", "thermal")
DEPTH = "depth"
"""Folder beside that of the rgb images."""
LOOKED_AT = 16
"""Frames of a data set that stand for all where only a look is taken."""
KINDS = (*CAMERAS, "label")


@dataclass(frozen=True)
class Sample:
    """One pair of frames as stored: no resizing, no normalisation."""

    name: str
    """File name without suffix."""
    rgb: np.ndarray | None
    """(H, W, 3) uint8; None where the data set has no colour camera."""
    thermal: np.ndarray | None
    """(h, w) uint8, uint16 or float32; None where the data set has no thermal camera."""
    label: np.ndarray | None
    """(H, W) uint8 ids of the data set, None where there is no label file."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frame, which its label and its mask have: rgb's, or thermal's alone."""
        image = self.rgb if self.rgb is not None else self.thermal
        assert image is not None
        return image.shape[0], image.shape[1]


@dataclass(frozen=True)
class FrameFiles:
    """Where the images of one frame are; `NAME.*` for one that is missing."""

    rgb: Path
    thermal: Path
    label: Path


class ImageFolder:
    """The images of one kind by frame name."""

    def __init__(self, root: Path, candidates: tuple[str, ...], tail: str = "") -> None:
        """The first of the `candidates` below `root` that is there; `tail` is what file names end in (`_rgb`)."""
        self.path = next((root / name for name in candidates if (root / name).is_dir()), root / candidates[0])
        self.tail = tail
        self.files = files_by_name(self.path, tail)

    def __getitem__(self, name: str) -> Path:
        return self.files.get(name, self.path / f"{name}{self.tail}.*")


def spread_over(names: Sequence[str]) -> list[str]:
    """At most `LOOKED_AT` of the names, evenly from first to last."""
    places = np.linspace(0, len(names) - 1, min(LOOKED_AT, len(names))).round().astype(int)
    return [names[place] for place in places]


class Pairs(Sequence[Sample]):
    """Frames of one data set and split. Subclasses name the folders, the first that is there counts."""

    expects: ClassVar[str]
    """The layout in words, for error messages."""
    folders: ClassVar[dict[str, tuple[str, ...]]]
    """Folders that may hold each of `KINDS`."""
    tails: ClassVar[dict[str, str]] = dict.fromkeys(KINDS, "")
    """Ends of the file names of each of `KINDS`, before the suffix."""
    labels: ClassVar[LabelSet] = MFNET
    """The classes, unless the data set says or is told otherwise."""
    one_size: ClassVar[bool] = True
    """Whether both cameras of a pair have the same size."""
    registration: Registration | DepthRegistration | None = None
    """Brings thermal into the rgb view as it is read."""

    def __init__(
        self, root: str | Path, split: str | None = None, label_set: str | None = None, check: bool = True
    ) -> None:
        """Find the files. `split` None: all frames. `label_set`: `mfnet`, `pst900` or `fmb` instead of its own.

        Raises:
            ValueError: names the folder, list or frame that is missing; with `check` False only what stops the search.
        """
        self.root = Path(root)
        self.split = split
        self.label_set = self.find_label_set(label_set)
        self.cameras = self.find_cameras()
        self.names, self.files = self.find(split) if split is None else self.find_union(split)
        if check:
            self.check()

    @classmethod
    def matches(cls, root: Path) -> bool:
        """Whether `root` has this layout's rgb and thermal folders."""
        return all(any((root / name).is_dir() for name in cls.folders[kind]) for kind in CAMERAS)

    @classmethod
    @abstractmethod
    def splits(cls, root: Path) -> tuple[str, ...]:
        """Those of train, val and test that can be opened."""

    def trees(self) -> list[Path]:
        """The folders that hold this layout's `folders`."""
        return [self.root]

    def find_cameras(self) -> tuple[str, ...]:
        """Those of rgb and thermal that frames have an image of; the first names the frames."""
        return CAMERAS

    def find_label_set(self, name: str | None) -> LabelSet:
        return LABEL_SETS[name] if name else self.labels

    @abstractmethod
    def find(self, split: str | None) -> tuple[list[str], dict[str, FrameFiles]]:
        """Frame names in order and the files of each."""

    def find_union(self, split: str) -> tuple[list[str], dict[str, FrameFiles]]:
        """The same for `train`, or for several splits, `train+val`, each frame once; see `merged`."""
        first, *others = split.split("+")
        names, files = self.find(first)
        for part in others:
            added = self.find(part)[1]
            names = names + merged(files, part, added)
        return names, files

    def check(self) -> None:
        """ValueError unless there are frames and each has the image of every camera."""
        if not self.names:
            what = f"no frames of split {self.split!r}" if self.split else "no frames"
            raise ValueError(f"{self.root}: {what} found; expected {self.expects}{self.unread()}")
        for kind in self.cameras:
            paths = {name: getattr(self.files[name], kind) for name in self.names}
            missing = [name for name, path in paths.items() if not path.is_file()]
            if missing:
                folder = paths[missing[0]].parent
                if not folder.is_dir():
                    raise ValueError(f"{folder}: no such folder; expected {self.expects}")
                raise ValueError(
                    f"{folder}: no image for {len(missing)} of {len(paths)} names, first {missing[0]!r}; "
                    "`sartm check-data` lists all"
                )

    def unread(self) -> str:
        """Why a folder of a camera may hold no frames, for a message."""
        return "".join(unread(self.root / name) for kind in self.cameras for name in self.folders[kind])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        name = self.names[index]
        return Sample(name, self.rgb_of(name), self.thermal_of(name), self.label_of(name))

    def some_images(self) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
        """rgb and thermal of some frames from all over the data set."""
        return ((self.rgb_of(name), self.thermal_of(name)) for name in spread_over(self.names))

    def file_of(self, name: str) -> Path:
        """The file that stands for a frame: its rgb image, or its thermal one alone."""
        path: Path = getattr(self.files[name], self.cameras[0])
        return path

    def rgb_of(self, name: str) -> np.ndarray | None:
        """(H, W, 3) uint8, None without that camera. ValueError names the file, as in the next two."""
        return read_rgb(self.files[name].rgb) if "rgb" in self.cameras else None

    def thermal_of(self, name: str) -> np.ndarray | None:
        """(h, w) uint8, uint16 or float32, None without that camera."""
        if "thermal" not in self.cameras:
            return None
        thermal = read_thermal(self.files[name].thermal)
        return thermal if self.registration is None else self.registered(name, thermal)

    def register(self, registration: Registration | DepthRegistration) -> None:
        """Bring thermal frames into the rgb view from now on. ValueError for frames of one camera."""
        if self.cameras != CAMERAS:
            raise ValueError(f"{self.root}: has images of {self.cameras[0]} alone; a registration needs both cameras")
        self.registration = registration
        folders = {files.rgb.parent.parent / DEPTH for files in self.files.values()}
        if isinstance(registration, DepthRegistration):
            self.depths = {folder: files_by_name(folder) for folder in folders}

    def registered(self, name: str, thermal: np.ndarray) -> np.ndarray:
        """A thermal frame in the rgb view, (H, W). ValueError names the file that does not fit."""
        file = self.files[name].rgb
        registration, size = self.registration, read_head(file).size
        try:
            if isinstance(registration, DepthRegistration):
                folder = file.parent.parent / DEPTH
                file = self.depths[folder].get(name, folder / f"{name}.*")
                return in_rgb_view(thermal, size, registration.at(read_stored(file)))
            assert registration is not None
            return in_rgb_view(thermal, size, registration)
        except ValueError as error:
            raise ValueError(str(error) if str(file) in str(error) else f"{file}: {error}") from error

    def label_of(self, name: str) -> np.ndarray | None:
        """(H, W) uint8 ids, None without a label file."""
        path = self.files[name].label
        return read_label(path, self.label_set) if path.is_file() else None

    def image_folders(self, root: Path) -> dict[str, ImageFolder]:
        """The folder of each of `KINDS` below `root`."""
        return {kind: ImageFolder(root, self.folders[kind], self.tails[kind]) for kind in KINDS}


def files_of(folders: dict[str, ImageFolder], name: str) -> FrameFiles:
    return FrameFiles(*(folders[kind][name] for kind in KINDS))


def merged(files: dict[str, FrameFiles], part: str, added: dict[str, FrameFiles]) -> list[str]:
    """Put the frames of another part to `files`; returns their names. Another frame of the same name gets its part in
    front; a frame that is there already is left out."""
    others = {name: found for name, found in added.items() if files.get(name) != found}
    new = {f"{part}_{name}" if name in files else name: found for name, found in others.items()}
    files |= new
    return list(new)


class ListedPairs(Pairs):
    """One folder tree; `SPLIT.txt` beside it lists the frames of a split."""

    lists_needed: ClassVar[bool] = True
    """Without any list: an error, or a fixed hold-out as val and the rest as train."""

    @classmethod
    def splits(cls, root: Path) -> tuple[str, ...]:
        listed = tuple(split for split in SPLITS if (root / f"{split}.txt").is_file())
        return listed or (() if cls.lists_needed else ("train", "val"))

    def find(self, split: str | None) -> tuple[list[str], dict[str, FrameFiles]]:
        folders = self.image_folders(self.root)
        every = sorted(folders[self.cameras[0]].files)
        if split is None:
            names = every
        elif split in self.splits(self.root) and not (self.root / f"{split}.txt").is_file():
            names = hold_out(every)[split == "val"]
        else:
            names = read_split(self.root, split)
        return names, {name: files_of(folders, name) for name in names}


class PartedPairs(Pairs):
    """`train/` and `test/` with a folder tree each. "val" is a `val/` of the user's own where there is one, else a
    fixed hold-out of train/, with "train" the rest of it and "trainval" the whole of train/."""

    @classmethod
    def matches(cls, root: Path) -> bool:
        return any(super(PartedPairs, cls).matches(root / part) for part in SPLITS)

    @classmethod
    def splits(cls, root: Path) -> tuple[str, ...]:
        parts = {part for part in SPLITS if (root / part).is_dir()}
        return tuple(split for split in SPLITS if split in parts or (split == "val" and "train" in parts))

    def trees(self) -> list[Path]:
        return [self.root / part for part in SPLITS if (self.root / part).is_dir()]

    def find(self, split: str | None) -> tuple[list[str], dict[str, FrameFiles]]:
        if split is None:
            return self.find_all()
        held_out = not (self.root / "val").is_dir()
        part = "train" if split == "trainval" or (held_out and split == "val") else split
        if not (self.root / part).is_dir():
            raise ValueError(f"{self.root / part}: no such folder; expected {self.expects}")
        folders = self.image_folders(self.root / part)
        names = sorted(folders["rgb"].files)
        if held_out and split in ("train", "val"):
            names = hold_out(names)[split == "val"]
        return names, {name: files_of(folders, name) for name in names}

    def find_all(self) -> tuple[list[str], dict[str, FrameFiles]]:
        """Frames of all parts; a name that an earlier part has too gets its part in front."""
        files: dict[str, FrameFiles] = {}
        for part in SPLITS:
            folders = self.image_folders(self.root / part)
            merged(files, part, {name: files_of(folders, name) for name in sorted(folders["rgb"].files)})
        return list(files), files
