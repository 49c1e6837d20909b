"""What is kept on disk between starts: compiled networks, and which precision was found to agree.

In `sartm_core.support.files.cache_folder()`; removing any of it costs one slow start. A name hashes all that the
content depends on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import mmap
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sartm_core.support.files import cache_folder, opened, read_whole, replacing

log = logging.getLogger(__name__)

MAKERS = ("runtime/graph", "runtime/engines", "runtime/quantisation", "model")
"""Folders of `sartm_core` whose code is part of every name, as `timm` is: other code may give another network."""
FILES_KEPT = 32
"""Those used last; older ones are removed when something is added."""
DIGITS = 20
"""Of the hash in a name."""
SEAL_BYTES = 32
"""A hash of the rest ends each file but those of JSON: compilers crash on what is damaged."""
BLOCK = 1 << 20


def path_of(kind: str, suffix: str, **key: Any) -> Path:
    """Where the thing described by `key` is kept. Values are JSON-able."""
    text = json.dumps({"code": code_digest(), **key}, sort_keys=True)
    return folder() / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}{suffix}"


def folder() -> Path:
    """Where all of it is."""
    return cache_folder() / "engines"


@cache
def code_digest() -> str:
    """Of the files that make what is kept."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256(version("timm").encode())
    for file in sorted(file for folder in MAKERS for file in (root / folder).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def read(path: Path) -> bytes:
    """What was kept; marks it as used. OSError when it cannot be read, ValueError when it is damaged."""
    data = read_whole(path, "cache")
    mark_used(path)
    if seal(data[:-SEAL_BYTES]) != data[-SEAL_BYTES:]:
        raise ValueError("it was cut or overwritten")
    return data[:-SEAL_BYTES]


def seal(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=SEAL_BYTES).digest()


def mark_used(path: Path) -> None:
    with contextlib.suppress(OSError):  # a folder of somebody else
        path.touch()


def mapped(path: Path) -> mmap.mmap:
    """As `read`, in memory only as far as it is looked at.

    Of a copy without a name: what is mapped of a file that somebody cuts ends the process (SIGBUS).
    """
    digest = hashlib.blake2b(digest_size=SEAL_BYTES)
    with opened(path, "cache") as file, tempfile.TemporaryFile() as own:
        left = size = file.seek(0, 2) - SEAL_BYTES
        file.seek(0)
        while left > 0 and (block := file.read(min(BLOCK, left))):
            digest.update(block)
            own.write(block)
            left -= len(block)
        if left or digest.digest() != file.read():
            raise ValueError("it was cut or overwritten")
        own.flush()
        pages = mmap.mmap(own.fileno(), size, access=mmap.ACCESS_COPY)
    mark_used(path)
    return pages


def forget(pages: mmap.mmap) -> None:
    """Give the memory of `mapped` back; what is looked at once more comes from the file again."""
    if hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def prune(folder: Path) -> None:
    """Leave the files used last."""
    files = sorted((file for file in folder.iterdir() if file.is_file()), key=lambda file: -file.stat().st_mtime)
    for file in files[FILES_KEPT:]:
        file.unlink(missing_ok=True)


def keep(path: Path, data: bytes) -> None:
    """Write it; a full or read-only disk costs the next start some time, not this one."""
    write(path, data, seal(data))


def write(path: Path, *parts: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.writelines(parts)
        prune(path.parent)
    except OSError as error:
        log.warning("cannot keep %s for the next start: %s", path, error)


def read_json(path: Path) -> dict[str, Any] | None:
    """What was kept, None when there is nothing readable."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def keep_json(path: Path, value: dict[str, Any]) -> None:
    """As `keep`."""
    write(path, json.dumps(value, indent=1).encode())
