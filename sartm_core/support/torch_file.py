"""Files of `torch.save` by anybody -> tensors by name. No code of a file is run.

Training programs keep the weights in an entry of a larger file, and wrap the network: DataParallel and DDP name every
tensor `module.X`, torch.compile `_orig_mod.X`, Lightning and others `model.X`, in any order. Both are taken off.
"""

from __future__ import annotations

import argparse
import io
import pathlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

CONTAINERS = (
    "model", "state_dict", "model_state_dict", "module", "network", "net",
    "ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict",
)  # fmt: skip
"""Entries that hold the weights, or another such entry; of several the first here is taken."""
WRAPPERS = {
    "module": "DataParallel or DDP",
    "_orig_mod": "torch.compile",
    "model": "Lightning, or a module around the model",
    "ema": "an average of the weights",
    "ema_model": "an average of the weights",
    "network": "a module around the model",
    "net": "a module around the model",
}
"""First words of names that are taken off where all tensors have them -> whose they are."""
INNER = ("_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module.")
"""What torch puts into names where a part of the network is compiled, checkpointed or sharded."""
AVERAGES = "n_averaged"
"""The counter of torch's AveragedModel, beside its weights."""
NEEDED = re.compile(r"GLOBAL ([\w.]+)")
"""What torch's message says of an object that it will not make."""
REASON = "WeightsUnpickler error:"
"""Before what is wrong, after general advice."""
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def harmless() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Beside tensors: classes that hold values and do nothing else. Paths stay text whatever system wrote them."""
    scalar, array = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
    paths = {"PosixPath": pathlib.PurePosixPath, "WindowsPath": pathlib.PureWindowsPath}
    numbers = [kind for name, kind in vars(np.dtypes).items() if name.endswith("DType") and name != "ObjectDType"]
    return [
        argparse.Namespace,
        *((kind, f"{module}.{name}") for name, kind in paths.items() for module in ("pathlib", "pathlib._local")),
        *((kind, f"pathlib.{kind.__name__}") for kind in paths.values()),
        *((scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
        *((array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
        np.ndarray,
        np.dtype,
        *numbers,
    ]  # fmt: skip


@dataclass(frozen=True)
class TorchFile:
    """The weights of a file."""

    tensors: dict[str, Tensor]
    """By name, without what was around them."""
    names: dict[str, str]
    """Name here -> name in the file."""
    notes: tuple[str, ...] = ()
    """What was taken off, in words."""


def read_torch(path: Path, data: bytes | None = None) -> TorchFile:
    """The weights in a file of `torch.save`. ValueError names the file and what is in the way. data: what was read
    from it, where that is known."""
    content, entries, beside = inside(load_plainly(path, data), path)
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(
                f"{path}: entry {'.'.join([*entries, str(name)])!r} is a {type(value).__name__}, expected tensors "
                f"alone, or a state dict under one of {', '.join(CONTAINERS)}"
            )
    if not content:
        raise ValueError(f"{path}: holds no tensors")
    is_plain = not beside and entries in ([], [CONTAINERS[0]])  # as Meta writes its files
    unread = f"; not read: {', '.join(beside)}" if beside else ""
    notes = [] if is_plain else [f"the weights are those in the entry {'.'.join(entries)!r}{unread}"]
    return unwrapped_file(content, notes)


def unwrapped_file(tensors: Mapping[str, Tensor], notes: list[str]) -> TorchFile:
    """These tensors without what is around their names."""
    names, taken_off = unwrapped(list(tensors))
    notes = notes + [f"all names begin with {word + '.'!r} ({WRAPPERS[word]}): taken off" for word in taken_off]
    return TorchFile({own: tensors[name] for own, name in names.items()}, names, tuple(notes))


def load_plainly(path: Path, data: bytes | None = None) -> Any:
    """`torch.load` of tensors, containers, text, numbers and what is `harmless`."""
    try:
        with torch.serialization.safe_globals(harmless()):
            return torch.load(path if data is None else io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a file that is no checkpoint
        text = ESCAPES.sub("", str(error)).strip()
        if needed := NEEDED.search(text):
            raise ValueError(
                f"{path}: beside plain tensors it holds a {needed[1]}, which only code can make, and code of a file is "
                "never run. If you trust the file, write its weights again where that class is installed: content = "
                f"torch.load({path.name!r}, weights_only=False); torch.save(content['model'], 'plain.pt'), with the "
                "entry that holds the weights; of a whole network content.state_dict()"
            ) from error
        reason = text.rpartition(REASON)[2].strip().split("\n")[0] or type(error).__name__
        raise ValueError(f"{path}: not a PyTorch weights file ({reason})") from error


def inside(content: Any, path: Path) -> tuple[Mapping[Any, Any], list[str], list[str]]:
    """The innermost of the known entries, the way there, and what stands beside it, in words."""
    entries: list[str] = []
    beside: list[str] = []
    while isinstance(content, Mapping):
        there = [name for name in CONTAINERS if isinstance(content.get(name), Mapping)]
        if not there:
            return content, entries, beside
        beside += [f"{name!r} ({type(value).__name__})" for name, value in content.items() if name != there[0]]
        content, entries = content[there[0]], [*entries, there[0]]
    raise ValueError(f"{path}: holds a {type(content).__name__}, expected a state dict (names and tensors)")


def unwrapped(names: list[str]) -> tuple[dict[str, str], list[str]]:
    """(name without wrappers -> name, the words taken off all of them)."""
    plain, words = {name: name for name in names if name != AVERAGES}, []
    while len(firsts := {name.partition(".")[0] for name in plain}) == 1 and (word := firsts.pop()) in WRAPPERS:
        if word in plain:
            break
        words.append(word)
        plain = {name.removeprefix(f"{word}."): original for name, original in plain.items()}
    cleaned = {without_inner(name): original for name, original in plain.items()}
    return cleaned if len(cleaned) == len(plain) else plain, words


def without_inner(name: str) -> str:
    for part in INNER:
        name = name.replace(part, "")
    return name


def shared_prefix(names: Mapping[str, Any]) -> str:
    """What all names begin with, in whole words with their dot; "" for nothing."""
    words = [name.split(".")[:-1] for name in names]
    count = 0
    while words and all(len(one) > count and one[count] == words[0][count] for one in words):
        count += 1
    return "".join(f"{word}." for word in words[0][:count]) if words else ""
