"""A file of `SARTM.save`, read once and looked through: what is hashed and checked is what will run.

Nothing of the file is in use after that, so it may be overwritten, cut or removed while its weights run. Whatever it
holds, reading it ends in a `Stored`, or in a ValueError or OSError that names the file and what is wrong with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from sartm_core.model.config import ModelConfig
from sartm_core.model.info import ModelInfo
from sartm_core.support.fields import from_dict
from sartm_core.support.files import LONGEST_NAME, opened, whole
from sartm_core.support.late import torch
from sartm_core.support.text import plain

if TYPE_CHECKING:
    from torch import Tensor

FOREIGN = (".pt", ".pth", ".ckpt", ".bin")
"""Suffixes of weights that are not ours."""
FORMAT = "sartm"
"""Name of our text among the metadata of a safetensors file."""
VERSION = 1
KINDS = ("adapter", "full")
ENTRIES = {"kind": str, "model": dict, "info": dict}
"""Of that text, beside its version."""
LENGTH_BYTES = 8
"""A safetensors file begins with the length of its head, little endian; the head, JSON, ends before the tensors."""
LONGEST_HEAD = 100_000_000
"""Bytes; the format's own limit."""
IMPORT = "other projects' weights: sartm import"


@dataclass(frozen=True, eq=False)
class Stored:
    """What is in a file."""

    path: Path
    kind: str
    """One of `KINDS`."""
    model: ModelConfig
    info: ModelInfo
    sha256: str
    """Of the bytes that all this was read from."""
    data: bytes
    """These."""

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """By name; the bytes are let go. ValueError names the file and what is wrong."""
        from safetensors.torch import load  # imports torch

        try:
            tensors = load(self.data)
        except Exception as error:  # the library has more than one class for a file that is none
            raise ValueError(f"checkpoint: {named(self.path)} is not a safetensors file ({plain(error)})") from error
        check_finite(tensors, f"checkpoint: {named(self.path)}")
        object.__setattr__(self, "data", b"")  # the tensors are copies
        return tensors


def read_stored(path: str | Path, proven: Callable[[Stored], bool] = lambda _: False) -> Stored:
    """Read and check a file. FileNotFoundError, OSError and ValueError name it and what is wrong.

    proven: whether its tensors were checked before; then they are left as bytes until somebody wants them.
    """
    path = Path(path)
    with opened(path, "checkpoint") as file:
        read_head(file)  # before gigabytes of something else are in memory
        data = whole(file, "checkpoint")
    try:
        head = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + head_length(data)])
    except Exception as error:  # overwritten meanwhile, by whatever
        raise ValueError(f"checkpoint: {named(path)} is not a safetensors file ({plain(error)})") from error
    kind, model, info = described(content_of(head, path), path)
    stored = Stored(path, kind, model, info, hashlib.sha256(data).hexdigest(), data)
    del data
    if not proven(stored):
        stored.tensors  # noqa: B018 - checks them
    return stored


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata of a SARTM file, without its tensors; errors as of `read_stored`."""
    path = Path(path)
    with opened(path, "checkpoint") as file:
        content = content_of(read_head(file), path)
    described(content, path)
    return content


def read_head(file: BinaryIO) -> dict[str, Any]:
    """The head of an open safetensors file. ValueError when it is none, or lacks a part."""
    path = Path(file.name)
    start = file.read(LENGTH_BYTES)
    size = file.seek(0, 2)
    try:
        length = head_length(start)
        if not 0 < length <= min(LONGEST_HEAD, size - LENGTH_BYTES):
            raise ValueError(f"{size} bytes do not begin with the length of a head")
        file.seek(LENGTH_BYTES)
        head = json.loads(file.read(length))
        entries = [entry["data_offsets"][1] for name, entry in head.items() if name != "__metadata__"]
        if (expected := LENGTH_BYTES + length + max(entries, default=0)) != size:
            raise ValueError(f"{size} bytes, but it describes {expected}: it was cut, or is not written yet")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        hint = f"; {IMPORT}" if path.suffix in FOREIGN else ""
        raise ValueError(f"checkpoint: {named(path)} is not a safetensors file ({plain(error)}){hint}") from error
    return dict(head)


def head_length(data: bytes) -> int:
    """In bytes."""
    return int.from_bytes(data[:LENGTH_BYTES], "little")


def content_of(head: dict[str, Any], path: Path) -> dict[str, Any]:
    """Our own text in a head, decoded. ValueError when there is none, or it is not what `SARTM.save` writes."""
    metadata = head.get("__metadata__")
    text = metadata.get(FORMAT) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"checkpoint: {named(path)} has no SARTM metadata, so SARTM.save did not write it; {IMPORT}")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"checkpoint: {named(path)}: its metadata is no JSON ({plain(error)})") from error
    if not isinstance(content, dict):
        raise ValueError(f"checkpoint: {named(path)}: its metadata is a {type(content).__name__}, expected a mapping")
    if (version := content.get("version")) != VERSION or isinstance(version, bool):
        raise ValueError(f"checkpoint: {named(path)} has version {plain(version)}, this release reads {VERSION}")
    return content


def described(content: dict[str, Any], path: Path) -> tuple[str, ModelConfig, ModelInfo]:
    """What the metadata says, checked. ValueError names the file and the field."""
    for name, kind in ENTRIES.items():
        if not isinstance(content.get(name), kind):
            found = plain(repr(content.get(name)), LONGEST_NAME)
            raise ValueError(f"checkpoint: {named(path)}: {name}: got {found}, expected a {kind.__name__}")
    if content["kind"] not in KINDS:
        found = plain(repr(content["kind"]), LONGEST_NAME)
        raise ValueError(f"checkpoint: {named(path)}: kind: got {found}, expected one of {KINDS}")
    try:
        model = from_dict(ModelConfig, content["model"], "checkpoint.model.")
        info = from_dict(ModelInfo, content["info"], "checkpoint.info.")
    except (ValueError, TypeError, OverflowError, RecursionError, AttributeError) as error:
        raise ValueError(f"checkpoint: {named(path)}: {plain(error)}") from error
    lengths = {len(bias) for bias in info.confidence.class_bias if bias}
    if lengths - {model.num_classes}:
        raise ValueError(
            f"checkpoint: {named(path)}: checkpoint.info.confidence.class_bias: got {lengths.pop()} numbers, expected "
            f"one for each of {model.num_classes} classes"
        )
    return content["kind"], model, info


def check_finite(tensors: dict[str, Tensor], where: str) -> None:
    """ValueError when a number of a tensor is NaN, or infinite in fp32.

    The sum is: one pass without a copy, for what is nearly never wrong.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor.sum(dtype=torch.float32)):
            bad = int((~torch.isfinite(tensor.float())).sum())
            if bad:
                raise ValueError(
                    f"{where}: {bad} of the {tensor.numel()} numbers in {plain(name, LONGEST_NAME)} are not finite; "
                    "the training diverged, or the file is damaged"
                )


def named(path: Path) -> str:
    """A path in a message."""
    return plain(path, LONGEST_NAME)
