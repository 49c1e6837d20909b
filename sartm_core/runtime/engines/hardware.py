"""What this machine can do: fast number formats; and its memory."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from functools import cache
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
BF16_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}
"""Names of bfloat16 arithmetic in the kernel's list of a CPU's abilities, x86 and ARM."""
LIMIT = "ONEDNN_MAX_CPU_ISA"
"""Environment variable by which oneDNN, and so OpenVINO, does as if the CPU could less."""
BEYOND = {
    "SSE41": ("avx", "fma", "amx"),
    "AVX": ("avx2", "avx_", "avx512", "fma", "amx"),
    "AVX2": ("avx512", "avx_vnni", "amx"),
    "AVX2_VNNI": ("avx512", "amx"),
    "AVX512_CORE": ("avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx"),
    "AVX512_CORE_VNNI": ("avx512_bf16", "avx512_fp16", "amx"),
}
"""Abilities that a limit takes away, by the beginning of their names."""


def give_back_memory() -> None:
    """What was freed goes back to the system; glibc would keep hundreds of megabytes after a compilation."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


@cache
def cpu_flags() -> frozenset[str]:
    """Abilities of the CPU by the kernel's names, those that `LIMIT` leaves; none where it does not tell."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    listed = (line.partition(":")[2] for line in lines if line.lower().startswith(("flags", "features")))
    beyond = BEYOND.get(os.environ.get(LIMIT, "").upper(), ())
    return frozenset(one for one in next(listed, "").split() if not one.startswith(beyond))


def cpu_has_bf16() -> bool:
    """Whether bf16 is arithmetic here; without, every product goes through fp32 and is slower than it."""
    return bool(BF16_FLAGS & cpu_flags())


def cpu_has_avx2_alone() -> bool:
    """AVX2 and nothing of what came after it, such as products of bytes."""
    flags = cpu_flags()
    return "avx2" in flags and not any(one.startswith(BEYOND["AVX2"]) for one in flags)
