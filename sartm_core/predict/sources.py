"""Where the frames of a prediction come from: single images, two folders, a data set. Videos are in `video.py`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from sartm_core.data.datasets import detect_dataset, open_dataset
from sartm_core.data.images import IMAGE_SUFFIXES, files_by_name, read_rgb, read_thermal, unread
from sartm_core.data.pairs import Pairs
from sartm_core.data.swapped import false_color, swapped_cameras
from sartm_core.predict.config import PredictConfig
from sartm_core.predict.frames import Arrays, Frame, Source, modified
from sartm_core.predict.video import VideoFrames


class ImageFiles(Source):
    """Images by name; either camera may be missing as a whole."""

    def __init__(self, files: dict[str, tuple[Path | None, Path | None]]) -> None:
        self.files, self.names, self.notes = files, list(files), []

    def walk(self, wanted: Collection[str]) -> Iterator[Frame]:
        for name in self.names:
            if name in wanted:
                try:
                    yield Frame(name, *self.read(name))
                except (ValueError, OSError) as error:
                    yield Frame(name, error=str(error))

    def read(self, name: str) -> Arrays:
        """ValueError or OSError names the file."""
        rgb, thermal = self.files[name]
        return read_rgb(rgb) if rgb else None, read_thermal(thermal) if thermal else None

    def changed(self, name: str) -> int:
        return max((modified(path) for path in self.files[name] if path), default=0)


class DatasetFiles(ImageFiles):
    """The frames of a data set in one of the layouts of `sartm_core.data`."""

    def __init__(self, pairs: Pairs) -> None:
        super().__init__({name: (pairs.files[name].rgb, pairs.files[name].thermal) for name in pairs.names})
        self.pairs = pairs

    def read(self, name: str) -> Arrays:
        return self.pairs.rgb_of(name), self.pairs.thermal_of(name)


def open_source(config: PredictConfig) -> Source:
    """The frames that the options describe. ValueError names the option, file or folder that is wrong, and cameras that
    are swapped."""
    source = opened_source(config)
    reason = swapped_cameras(source.files.values()) if isinstance(source, ImageFiles) else ""
    if reason:
        raise ValueError(f"{reason} Give --rgb the colour camera, --thermal the other")
    if isinstance(source, ImageFiles) and (doubt := false_color(source.files.values())):
        source.notes.append(doubt)
    return source


def opened_source(config: PredictConfig) -> Source:
    """The same, not yet looked at."""
    if config.data:
        pairs = open_dataset(config.dataset or detect_dataset(config.data), config.data, config.split, check=False)
        if not pairs.names:
            pairs.check()  # says what is missing
        return DatasetFiles(pairs)
    paths = {kind: Path(text) for kind, text in (("rgb", config.rgb), ("thermal", config.thermal)) if text}
    kinds = {kind: what_is(kind, path) for kind, path in paths.items()}
    if len(set(kinds.values())) > 1:
        named = (f"--{kind} {paths[kind]} is, by its name, {what}" for kind, what in kinds.items())
        raise ValueError(f"{'; '.join(named)}; give two of a kind")
    rgb, thermal = paths.get("rgb"), paths.get("thermal")
    match next(iter(kinds.values())):
        case "a folder":
            return ImageFiles(by_name(rgb, thermal))
        case "an image":
            return ImageFiles({(rgb or thermal or Path()).stem: (rgb, thermal)})
        case _:
            return VideoFrames(rgb, thermal)


def what_is(kind: str, path: Path) -> str:
    """The kind of thing at a path, in words."""
    if path.is_dir():
        return "a folder"
    if not path.is_file():
        raise ValueError(f"--{kind} {path}: no such file or folder")
    return "an image" if path.suffix.lower() in IMAGE_SUFFIXES else "a video"


def by_name(rgb: Path | None, thermal: Path | None) -> dict[str, tuple[Path | None, Path | None]]:
    """The images of one or two folders, paired by file name without suffix; `NAME.*` for one that is missing."""
    found = {folder: files_by_name(folder) for folder in (rgb, thermal) if folder}
    for folder, files in found.items():
        if not files:
            raise ValueError(
                f"{folder}: no images in this folder; expected files {', '.join(IMAGE_SUFFIXES)}{unread(folder)}"
            )
    if len(found) == 2 and not set.intersection(*(set(files) for files in found.values())):
        first = " and ".join(repr(min(files)) for files in found.values())
        raise ValueError(
            f"--rgb {rgb}, --thermal {thermal}: no file name is in both (first: {first}); pairs need equal names"
        )
    names = sorted(set().union(*found.values()))

    def of(folder: Path | None, name: str) -> Path | None:
        return found[folder].get(name, folder / f"{name}.*") if folder else None

    return {name: (of(rgb, name), of(thermal, name)) for name in names}
