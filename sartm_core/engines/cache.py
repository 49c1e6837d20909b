"""What is kept on disk between starts: compiled networks, and which precision was found to agree.

In `sartm_core.files.cache_folder()`; removing any of it costs one slow start. A name hashes all that the content
depends on.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from sartm_core.files import cache_folder, replacing, write_text

log = logging.getLogger(__name__)

VERSION = 1
"""Part of every name: raise it when the same weights would give another network."""
DIGITS = 20
"""Of the hash in a name."""


def path_of(kind: str, suffix: str, **key: Any) -> Path:
    """Where the thing described by `key` is kept. Values are JSON-able."""
    text = json.dumps({"version": VERSION, **key}, sort_keys=True)
    return cache_folder() / "engines" / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}{suffix}"


def keep(path: Path, data: bytes) -> None:
    """Write it; a full or read-only disk costs the next start some time, not this one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        log.warning("cannot keep %s for the next start: %s", path, error)


def read_json(path: Path) -> dict[str, Any] | None:
    """What was kept, None when there is nothing readable."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def keep_json(path: Path, value: dict[str, Any]) -> None:
    """As `keep`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(value, indent=1))
    except OSError as error:
        log.warning("cannot keep %s for the next start: %s", path, error)
