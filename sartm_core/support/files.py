"""Files read once, whole; files written so that a crash, a full disk or Ctrl-C leaves the old one; where caches are."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sartm_core.support.limits import limits, variable
from sartm_core.support.machine import named
from sartm_core.support.text import plain

MISSING = "there is no such file"
LONGEST_NAME = 300
"""Characters of a path in a message."""
FRESH_NS, PAUSE_S = 500_000_000, 0.05
"""A file written to within this time may not be whole yet: it is read again after a pause. Two writes may have the same
time stamp, and a busy machine may hold a writer up in the middle of one."""


def unreadable(path: str | Path) -> str:
    """Why no file can be read at a path, in words; "" when one can. No path makes it raise."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except OSError as error:  # a name too long, a folder that may not be entered, links in a circle
        return (error.strerror or str(error)).lower()
    except ValueError:  # a null character, half a character
        return "no file can be called so"
    if stat.S_ISDIR(mode):
        return "that is a folder"
    if not stat.S_ISREG(mode):
        return "that is a pipe or a device, no file"
    return "" if os.access(path, os.R_OK) else "permission denied"


def need_file(path: str | Path, what: str) -> None:
    """FileNotFoundError, naming `what` and why, unless a file can be read at the path."""
    if why := unreadable(path):
        raise FileNotFoundError(f"{what}: no file {plain(path, LONGEST_NAME)}{'' if why == MISSING else f' ({why})'}")


@contextlib.contextmanager
def opened(path: str | Path, what: str) -> Iterator[BinaryIO]:
    """A file to read from; FileNotFoundError as of `need_file`."""
    need_file(path, what)
    with open(path, "rb") as file:
        yield file


def whole(file: BinaryIO, what: str) -> bytes:
    """All of an open file. OSError when somebody wrote to it meanwhile: that would be half of one, half of another."""
    before = os.fstat(file.fileno())
    is_fresh = time.time_ns() - before.st_mtime_ns < FRESH_NS
    if before.st_size > (most := limits().file_bytes):
        raise OSError(
            f"{what}: {plain(file.name, LONGEST_NAME)} has {before.st_size} bytes, at most {most} are read; "
            f"{variable('file_bytes')} is another limit"
        )
    file.seek(0)
    data = file.read(before.st_size + 1)
    after = os.fstat(file.fileno())
    same = len(data) == after.st_size and (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if same and is_fresh:
        time.sleep(PAUSE_S)
        file.seek(0)
        same = file.read(before.st_size + 1) == data
    if not same:
        raise OSError(f"{what}: {plain(file.name, LONGEST_NAME)} changed while it was read; try again when it is whole")
    return data


def read_whole(path: str | Path, what: str) -> bytes:
    """All of a file, as `whole`; FileNotFoundError as of `need_file`."""
    with opened(path, what) as file:
        return whole(file, what)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved there when the block ends well and removed when it does not.

    The file follows the umask, whoever writes it (safetensors makes 0600). An OSError that names no file, as that of a
    full disk, names `path`. What killed processes left of the same file goes first.
    """
    remove_leftovers(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.touch()
        mode = stat.S_IMODE(temporary.stat().st_mode)
        yield temporary
        with open(temporary, "rb") as written:  # on the disk before it has its name, whatever becomes of the power
            os.fsync(written.fileno())
        temporary.chmod(mode)
        os.replace(temporary, path)
    except BaseException as error:
        told = named(error, path)  # before there is room again
        temporary.unlink(missing_ok=True)
        if told is error:
            raise
        raise told from error


@contextlib.contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path` for what is to become it, removed with all in it at the end of the block. Errors
    as of `replacing`."""
    remove_leftovers(path)
    folder = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    except BaseException as error:
        if (told := named(error, path)) is error:
            raise
        raise told from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(path: Path) -> None:
    """Remove `NAME.PID.tmp` and `.NAME.PID.tmp` beside `path`, files or folders, of processes that are gone."""
    mine = re.compile(rf"\.?{re.escape(path.name)}\.(\d+)\.tmp")
    with contextlib.suppress(OSError):  # no such folder yet, or one that may not be listed
        for name in os.listdir(path.parent):
            match = name.endswith(".tmp") and mine.fullmatch(name)
            if match and not runs(int(match[1])):
                found = path.with_name(name)
                shutil.rmtree(found, ignore_errors=True) if found.is_dir() else found.unlink(missing_ok=True)


def runs(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # of somebody else
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """All of the text, in UTF-8, or none of it."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Any) -> None:
    """Indented, for people too."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def cache_folder() -> Path:
    """For what can be made again: `$SARTM_CACHE`, else `$XDG_CACHE_HOME/sartm`, else `~/.cache/sartm`; where a user has
    no home (a number in a container), among the temporary files."""
    own, shared = os.environ.get("SARTM_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if own or shared:
        return Path(own) if own else Path(str(shared)) / "sartm"
    home = os.path.expanduser("~")
    return Path(tempfile.gettempdir()) / f"sartm-{os.getuid()}" if home == "~" else Path(home) / ".cache" / "sartm"
