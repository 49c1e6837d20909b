"""Writing files so that a crash, a full disk or Ctrl-C leaves the old one; the folder of what can be made again."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved there when the block ends well and removed when it does not."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as written:  # on the disk before it has its name, whatever becomes of the power
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
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
