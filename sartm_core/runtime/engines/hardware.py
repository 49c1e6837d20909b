"""What this machine can do: fast number formats; and its memory."""

from __future__ import annotations

import ctypes
import gc
import sys
from functools import cache
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
BF16_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}
"""Names of bfloat16 arithmetic in the kernel's list of a CPU's abilities, x86 and ARM."""


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
