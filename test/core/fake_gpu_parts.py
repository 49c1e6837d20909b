"""What `fake_gpu` is made of: its tensors, its streams, and questions about tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.weak import TensorWeakRef

CUDA = torch.device("cuda", 0)


class OnGpu(torch.Tensor):
    """A tensor of the device; `values` is where the CPU keeps it."""

    values: torch.Tensor
    stream: Stream
    queued: int

    @staticmethod
    def __new__(cls, values: torch.Tensor, stream: Stream) -> OnGpu:
        strides, offset = values.stride(), values.storage_offset()
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined,no-any-return]
            cls, values.size(), strides=strides, storage_offset=offset, dtype=values.dtype, device=CUDA
        )

    def __init__(self, values: torch.Tensor, stream: Stream) -> None:
        self.values, self.stream, self.queued = values, stream, stream.queued

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} of a tensor on the fake GPU, outside of it")


class Stream:
    """Work in order; `seen`: up to where it waited for others."""

    def __init__(self, device: Any = None) -> None:
        self.queued = 0
        self.seen: dict[Stream, int] = {}

    def wait_stream(self, other: Stream) -> None:
        self.seen[other] = other.queued
        for third, until in other.seen.items():
            self.seen[third] = max(until, self.seen.get(third, 0))


class Lent:
    """A tensor that a graph reads and does not keep."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.reference = TensorWeakRef(tensor)

    def there(self) -> torch.Tensor:
        found = self.reference()
        check(found is not None, "a graph reads memory that was freed")
        return found


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().view(-1).view(torch.uint8) if tensor.numel() else torch.empty(0, dtype=torch.uint8)


def is_view(func: Any) -> bool:
    returned = [one.alias_info for one in func._schema.returns]
    return (
        any(alias is not None and not alias.is_write for alias in returned)
        or func is torch.ops.aten._unsafe_view.default
    )


def is_mask(index: Any) -> bool:
    return isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8)


def shares_memory(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
