"""Files of weights for the reload faults: good ones under another name, and four kinds of bad ones."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sartm_core import SARTM, ModelConfig
from sartm_core.runtime.opening import default_checkpoint
from test.core.conftest import stepped

FLIPPED_SHARE = 0.01
OTHER_CLASSES = ("background", "cat", "dog")
HEADER_LENGTH = struct.Struct("<Q")
"""A safetensors file begins with the length of its JSON header."""


@dataclass(frozen=True)
class Weights:
    """One try of a reload: its name, the file, and whether the node should take it."""

    name: str
    path: str
    good: bool

    @property
    def sha256(self) -> str:
        """Of the file; of the shipped weights for "default"."""
        path = default_checkpoint() if self.path == "default" else Path(self.path)
        return hashlib.sha256(path.read_bytes()).hexdigest()


def flipped(data: bytes, first: int, last: int) -> bytes:
    """One byte in a hundred between `first` and `last` inverted."""
    values = np.frombuffer(data, np.uint8).copy()
    count = max(1, int((last - first) * FLIPPED_SHARE))
    values[np.random.default_rng(0).integers(first, last, count)] ^= 0xFF
    return values.tobytes()


def write(folder: Path) -> list[Weights]:
    """Write all files into `folder`; the order is that of the tries, and ends at the shipped weights."""
    folder.mkdir(parents=True, exist_ok=True)
    source = default_checkpoint()
    whole = source.read_bytes()
    body = HEADER_LENGTH.size + HEADER_LENGTH.unpack_from(whole)[0]

    second = SARTM.load(source)
    second.info = replace(second.info, metrics={})  # the same network in another file: another sha256
    second.save(folder / "second.safetensors")
    stepped(SARTM(ModelConfig(backbone="hiera_nano", classes=OTHER_CLASSES))).save(folder / "other_classes.safetensors")
    bad = {
        "corrupt header": flipped(whole, HEADER_LENGTH.size, body),
        "corrupt numbers": flipped(whole, body, len(whole)),
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
    }
    paths = {name: folder / f"{name.replace(' ', '_')}.safetensors" for name in bad}
    for name, data in bad.items():
        paths[name].write_bytes(data)
    return [
        Weights("good", str(folder / "second.safetensors"), True),
        *(Weights(name, str(path), False) for name, path in paths.items()),
        Weights("other classes", str(folder / "other_classes.safetensors"), False),
        Weights("missing", str(folder / "nowhere.safetensors"), False),
        Weights("good again", "default", True),
    ]
