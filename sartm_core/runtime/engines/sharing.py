"""Networks of one base: tensors that several of them have in common are in memory once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sartm_core.support.late import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


M = TypeVar("M", bound="nn.Module")


class Shared:
    """The tensors of the modules it was given."""

    def __init__(self) -> None:
        self._known: dict[str, list[Tensor]] = {}

    def among(self, module: M) -> M:
        """The module, with every tensor replaced that an earlier module has under the same name, bit for bit."""
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            known = self._known.setdefault(name, [])
            same = next((other for other in known if identical(other, tensor)), None)
            if same is None:
                known.append(tensor.data)
            else:
                tensor.data = same
        return module


def identical(a: Tensor, b: Tensor) -> bool:
    """Whether one can stand for the other."""
    alike = a.shape == b.shape and a.dtype == b.dtype and a.device == b.device and a.stride() == b.stride()
    return alike and torch.equal(a, b)
