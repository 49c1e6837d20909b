"""Files that no `SARTM.save` wrote, and no program should fall over."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from test.core.conftest import make_model

Change = Callable[[dict[str, Any], dict[str, Tensor]], Any]
"""Changes metadata or tensors where they are; what it returns, if anything, is the metadata instead."""


def with_model(**fields: Any) -> Change:
    return lambda content, _: content["model"].update(fields)


def with_info(section: str, **fields: Any) -> Change:
    return lambda content, _: content["info"][section].update(fields)


def with_number(number: float, dtype: torch.dtype = torch.float32) -> Change:
    def change(_: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        name = largest(tensors)
        tensors[name] = tensors[name].to(dtype)
        tensors[name].view(-1)[3] = number

    return change


def with_first(change: Callable[[Tensor], Tensor]) -> Change:
    def changed(_: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        name = largest(tensors)
        tensors[name] = change(tensors[name])

    return changed


def largest(tensors: dict[str, Tensor]) -> str:
    """Its name."""
    return max(sorted(tensors), key=lambda name: tensors[name].numel())


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


COLORS = [[0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3]]
FOUR = ["unlabeled", "car", "person"]
CHANGES: dict[str, tuple[Change, str]] = {
    "NaN weights": (with_number(float("nan")), "1 of the .* numbers in .* are not finite"),
    "infinite weights": (with_number(float("inf")), "are not finite"),
    "infinite in fp32": (with_number(1e300, torch.float64), "are not finite"),
    "palette out of range": (with_model(palette=[[999, -1, 0], *COLORS[1:]]), "ModelConfig.palette: got .*999"),
    "palette too short": (with_model(palette=COLORS[:2]), "ModelConfig.palette: got 2 colours"),
    "palette of pairs": (with_model(palette=[[0, 0]] * 4), "model.palette"),
    "palette of texts": (with_model(palette=["red"] * 4), "model.palette"),
    "unknown kind": (lambda c, _: c.update(kind="magic"), "kind: got 'magic', expected one of"),
    "kind is a list": (lambda c, _: c.update(kind=[]), r"kind: got \[\], expected a str"),
    "no kind": (lambda c, _: c.pop("kind") and None, "kind: got None"),
    "metadata is a list": (lambda c, _: [c], "its metadata is a list"),
    "metadata is null": (lambda c, _: "null", "its metadata is a NoneType"),
    "metadata is deep": (lambda c, _: nested(100_000), "its metadata is no JSON"),
    "metadata is half": (lambda c, _: json.dumps(c)[:50], "its metadata is no JSON"),
    "model is null": (lambda c, _: c.update(model=None), "model: got None, expected a dict"),
    "info is a text": (lambda c, _: c.update(info="x" * 10_000), "info: got 'x.*, expected a dict"),
    "version of tomorrow": (lambda c, _: c.update(version=[2]), r"version \[2\]"),
    "rank of a billion": (with_model(lora_rank=10**9), "ModelConfig.lora_rank: got 1000000000"),
    "rank of 400 digits": (with_model(lora_rank=10**400), "ModelConfig.lora_rank"),
    "huge input": (with_info("preprocess", input_size=[2**20, 2**20]), "PreprocessConfig.input_size"),
    "input of 8192": (with_info("preprocess", input_size=[8192, 8192]), "PreprocessConfig.input_size"),
    "deviation NaN": (with_info("preprocess", rgb_std=[float("nan"), 1.0, 1.0]), "PreprocessConfig.rgb_std"),
    "mean too large": (with_info("preprocess", rgb_mean=[10**400, 0.0, 0.0]), "checkpoint"),
    "bias of two": (with_info("confidence", class_bias=[[1.0, 2.0], [], []]), "class_bias: got 2 numbers"),
    "bias NaN": (with_info("confidence", class_bias=[[float("nan")] * 4, [], []]), "Confidence.class_bias"),
    "a line in a class": (with_model(classes=[*FOUR, "bike\n[ERROR] all is lost"]), "ModelConfig.classes"),
    "a megabyte of class": (with_model(classes=[*FOUR, "b" * 2**20]), "ModelConfig.classes"),
    "unknown field": (with_model(exec="rm"), "unknown key of ModelConfig"),
    "unknown trunk": (with_model(backbone="timm:no_such_network"), "no network can be made"),
    "other rank": (with_model(lora_rank=7), "its own configuration needs"),
    "other shape": (with_first(lambda t: t[:1]), "its own configuration needs"),
    "whole numbers": (with_first(lambda t: t.to(torch.int8)), "its own configuration needs"),
}  # fmt: skip
"""What is wrong -> what makes it so of a good file, and what the error has to say."""
BYTES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-100],
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(1000),
    "head of exabytes": lambda data: struct.pack("<Q", 2**63) + data[8:],
    "head is deep": lambda data: of_head(nested(100_000).encode()),
    "head is a list": lambda data: of_head(b"[1, 2]"),
    "offsets are texts": lambda data: of_head(b'{"a": {"data_offsets": ["x", "y"]}}'),
}
"""The same for whole files: "is not a safetensors file"."""


def of_head(head: bytes) -> bytes:
    return struct.pack("<Q", len(head)) + head


def good() -> bytes:
    """A small file of `SARTM.save`."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        return make_model().save(Path(folder) / "a.safetensors").read_bytes()


def spoilt(data: bytes, change: Change) -> bytes:
    """A good file after a change."""
    length = struct.unpack("<Q", data[:8])[0]
    content = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["sartm"])
    tensors = load(data)
    changed = change(content, tensors)
    text = changed if isinstance(changed, str) else json.dumps(content if changed is None else changed)
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, {"sartm": text})


def write_all(folder: Path) -> dict[str, tuple[Path, str]]:
    """Every file in the folder: what is wrong -> the file, and what the error has to say."""
    data = good()
    contents = {name: (spoilt(data, change), words) for name, (change, words) in CHANGES.items()}
    contents |= {name: (change(data), "is not a safetensors file") for name, change in BYTES.items()}
    found = {}
    for name, (content, words) in contents.items():
        path = folder / f"{name.replace(' ', '_')}.safetensors"
        path.write_bytes(content)
        found[name] = path, words
    return found
