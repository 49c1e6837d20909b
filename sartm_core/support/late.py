"""torch, imported when it is first used: 470 MiB and some seconds that a robot does without, where another library runs
the network and its cameras show the same view.

    from sartm_core.support.late import F, torch

`test_late.py` sees to it that a pair of frames goes from a warm start to its mask without.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    import torch
    from torch.nn import functional as F
else:

    class Late:
        """Stands for a module that is imported by its first use."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            return getattr(import_module(self._name), name)

    torch = Late("torch")
    F = Late("torch.nn.functional")

__all__ = ["F", "has_torch", "is_tensor", "torch"]


def has_torch() -> bool:
    """Whether somebody has imported it."""
    return "torch" in sys.modules


def is_tensor(value: object) -> TypeGuard[torch.Tensor]:
    """Without torch nothing is."""
    return has_torch() and isinstance(value, torch.Tensor)
