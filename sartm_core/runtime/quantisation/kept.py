"""Quantised networks on disk: a file for each set of weights and size, and one that tells which sizes there are.

In the cache of the engines: written whole, sealed, refused when damaged. By CPU, as another one may multiply otherwise.
"""

from __future__ import annotations

import hashlib
import json
import logging
import struct
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from sartm_core.runtime.engines import cache
from sartm_core.runtime.engines.hardware import cpu_flags
from sartm_core.runtime.quantisation.quantise import Report
from sartm_core.support.fields import from_dict, to_dict

log = logging.getLogger(__name__)

Size = tuple[int, int]
LENGTHS = struct.Struct("<QQ")
"""Of the two parts that come first."""


@dataclass(frozen=True)
class About:
    """What is known of a quantised network."""

    report: Report
    """How it does."""
    calibration: str
    """Identity of the frames that it was quantised by."""
    frames: str
    """The same in words."""


@dataclass(frozen=True)
class Kept:
    """A quantised network."""

    about: About
    xml: bytes
    weights: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.xml + self.weights).hexdigest()


def file_of(weights: str, size: Size) -> Path:
    return cache.path_of("int8", ".network", size=size, **key_of(weights))


def list_of(weights: str) -> Path:
    return cache.path_of("int8", ".json", **key_of(weights))


def key_of(weights: str) -> dict[str, Any]:
    """Not NNCF's version: what it made runs without it."""
    return {"weights": weights, "version": metadata.version("openvino"), "cpu": sorted(cpu_flags())}


def read(weights: str, size: Size) -> Kept | None:
    """What an earlier start made for weights of this SHA-256, if that is of use."""
    path = file_of(weights, size)
    if not weights or not path.is_file():
        return None
    try:
        data = cache.read(path)
        first, second = (LENGTHS.size + n for n in cumulated(LENGTHS.unpack_from(data)))
        about = from_dict(About, json.loads(data[LENGTHS.size : first]))
        return Kept(about, data[first:second], data[second:])
    except (OSError, ValueError, struct.error) as error:
        log.warning("%s is of no use (%s)", path, str(error).splitlines()[0])
        return None


def cumulated(lengths: tuple[int, ...]) -> tuple[int, int]:
    return lengths[0], lengths[0] + lengths[1]


def abouts(weights: str) -> dict[Size, About]:
    """Of all kept networks of these weights, by size."""
    path = list_of(weights)
    found: dict[Size, About] = {}
    for name, values in (cache.read_json(path) or {}).items() if weights else ():
        try:
            height, width = map(int, name.split("x"))
            found[height, width] = from_dict(About, values)
        except ValueError as error:
            log.warning("%s: %s is of no use (%s)", path, name, error)
    if found:
        cache.mark_used(path)
    return {size: about for size, about in found.items() if file_of(weights, size).is_file()}


def keep(weights: str, size: Size, network: Any, about: About) -> Kept:
    """The network as it would be read; on disk only for weights of a file."""
    new = Kept(about, *serialised(network))
    if weights:
        text = json.dumps(to_dict(about)).encode()
        lengths = LENGTHS.pack(len(text), len(new.xml))
        cache.keep(file_of(weights, size), b"".join((lengths, text, new.xml, new.weights)))
        every = {f"{h}x{w}": to_dict(other) for (h, w), other in {**abouts(weights), size: about}.items()}
        cache.keep_json(list_of(weights), every)
    return new


def serialised(network: Any) -> tuple[bytes, bytes]:
    """An `openvino.Model` as the contents of its .xml and .bin."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder) / "network.xml"
        openvino.save_model(network, xml, compress_to_fp16=False)
        return xml.read_bytes(), xml.with_suffix(".bin").read_bytes()
