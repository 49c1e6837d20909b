"""What this machine can do: devices and fast number formats."""

from __future__ import annotations

import ctypes
import gc
import sys
from functools import cache
from pathlib import Path

import torch

CPU_INFO = Path("/proc/cpuinfo")
BF16_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}
"""Names of bfloat16 arithmetic in the kernel's list of a CPU's abilities, x86 and ARM."""


def pick_device(device: str) -> torch.device:
    """ "auto" is CUDA where torch finds it, else CPU. ValueError when the named device is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device: got {device!r}, expected auto, cpu, cuda or cuda:N") from error
    if picked.type == "cuda" and (not torch.cuda.is_available() or (picked.index or 0) >= torch.cuda.device_count()):
        raise ValueError(
            f"device: {device!r} asked for, torch sees {torch.cuda.device_count()} CUDA devices; use auto or cpu"
        )
    return picked


def give_back_memory() -> None:
    """What was freed goes back to the system; glibc would keep hundreds of megabytes after a compilation."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


@cache
def cpu_flags() -> frozenset[str]:
    """Abilities of the CPU by the kernel's names, none where it does not tell."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    listed = (line.partition(":")[2] for line in lines if line.lower().startswith(("flags", "features")))
    return frozenset(next(listed, "").split())


def cpu_has_bf16() -> bool:
    """Whether bf16 is arithmetic here; without, every product goes through fp32 and is slower than it."""
    return bool(BF16_FLAGS & cpu_flags())
