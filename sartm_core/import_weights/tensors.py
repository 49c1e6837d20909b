"""Files of other projects -> tensors by name. Nothing here runs code of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

WRAPPERS = ("model", "state_dict", "model_state_dict")
"""Entries under which training programs keep the weights, beside optimizer and counters."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a `.safetensors` file or a PyTorch file; floats as float32.

    Raises:
        FileNotFoundError, ValueError: naming the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give the file of the weights")
    content = read_safetensors(path) if path.suffix == ".safetensors" else read_pytorch(path)
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in content.items()}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error


def read_pytorch(path: Path) -> dict[str, Tensor]:
    """A state dict, alone or under one of `WRAPPERS`, read with `weights_only=True`."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a file that is no checkpoint
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path}: PyTorch cannot read it as plain tensors ({reason}); a file that needs code to load is refused: "
            "in the project it comes from, write it again as torch.save(model.state_dict(), FILE)"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: holds a {type(content).__name__}, expected a state dict (names and tensors)")
    wrapper = next((name for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)
    content = content if wrapper is None else content[wrapper]
    if not content:
        raise ValueError(f"{path}: holds no tensors")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(
                f"{path}: entry {name!r} is a {type(value).__name__}, expected tensors alone, or a state dict under "
                f"one of {WRAPPERS}"
            )
    return dict(content)
