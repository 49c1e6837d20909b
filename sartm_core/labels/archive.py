"""Reading a zip that came from elsewhere: nothing in it decides where a file is written."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from sartm_core.support.limits import limits, variable

LABELMAP = "labelmap.txt"
LISTS = "ImageSets/Segmentation"
IMAGES = "JPEGImages"
CLASS_MASKS = "SegmentationClass"
OBJECT_MASKS = "SegmentationObject"
MASK_SUFFIX = ".png"


class Archive:
    """An open zip in the layout of 'Segmentation mask 1.1'. It may lie in a folder of its own inside the zip."""

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self.path, self.file = path, file
        infos = [info for info in file.infolist() if not info.is_dir()]
        for info in infos:
            check_member(path, info.filename)
        self.infos = {
            info.filename.replace("\\", "/"): info for info in infos
        }  # some of Windows' own write backslashes
        self.names = list(self.infos)
        maps = [name for name in self.names if PurePosixPath(name).name == LABELMAP]
        if len(maps) != 1:
            there = ", ".join(self.names[:5]) or "nothing"
            raise ValueError(
                f"{path}: {len(maps)} files {LABELMAP}, expected one (it holds {there}); "
                "export from CVAT as 'Segmentation mask 1.1'"
            )
        self.root = maps[0][: -len(LABELMAP)]

    def inside(self, folder: str, suffix: str) -> Iterator[tuple[str, str]]:
        """(name in the zip, path below `folder`) of the files there that end in `suffix`."""
        start = f"{self.root}{folder}/"
        for name in self.names:
            if name.startswith(start) and name.lower().endswith(suffix):
                yield name, name[len(start) :]

    def read(self, name: str) -> bytes:
        """The bytes of a member. ValueError names it when it cannot be unpacked."""
        where = f"{self.path}: {name}"
        try:
            size = self.infos[name].file_size
            if size > (most := limits().member_bytes):
                raise ValueError(
                    f"{where}: {size} bytes unpacked, at most {most} are read; {variable('member_bytes')} is another "
                    "limit"
                )
            return self.file.read(self.infos[name])
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"{where}: cannot be unpacked ({error})") from error

    def read_text(self, name: str) -> str:
        """A member as text. ValueError names it when it is not UTF-8."""
        try:
            return self.read(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path}: {name}: not UTF-8 text ({error.reason})") from error


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """The archive, closed at the end. ValueError when it is no zip of this format, or unsafe."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path}: not a zip file ({error})") from error
    with file:
        yield Archive(path, file)


def check_member(path: Path, name: str) -> None:
    """ValueError for a member that points out of the archive: such a file was made to do harm."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or re.match("[A-Za-z]:", name) or "\0" in name:
        raise ValueError(f"{path}: member {name!r} points out of the archive; nothing of it was imported")
