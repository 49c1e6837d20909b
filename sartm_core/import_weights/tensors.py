"""Files of other projects -> tensors by name. Nothing here runs code of a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from sartm_core.support.torch_file import TorchFile, read_torch, unwrapped_file


def read_tensors(path: Path) -> TorchFile:
    """Tensors by name of a `.safetensors` file or a PyTorch file, without wrappers around the names; floats as float32.

    Raises:
        FileNotFoundError, ValueError: naming the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give the file of the weights")
    file = read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in file.tensors.items()}
    return replace(file, tensors=floats)


def read_safetensors(path: Path) -> TorchFile:
    try:
        return unwrapped_file(load_file(path), [])
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error
