"""Writing files so that a crash, a full disk or Ctrl-C leaves the old one; the folder of what can be made again."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved there when the block ends well and removed when it does not.

    The file follows the umask, whoever writes it (safetensors makes 0600). An OSError that names no file, as that of a
    full disk, names `path`.
    """
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
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """All of the text, in UTF-8, or none of it."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Any) -> None:
    """Indented, for people too."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def cache_folder() -> Path:
    """For what can be made again: `$SARTM_CACHE`, else `$XDG_CACHE_HOME/sartm`, else `~/.cache/sartm`."""
    own, shared = os.environ.get("SARTM_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(own) if own else Path(shared or os.path.expanduser("~/.cache")) / "sartm"
