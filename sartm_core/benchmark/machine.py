"""Where a benchmark ran: processor, threads, versions; and how many CPUs the measuring processes get."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import sartm_core
from sartm_core.support.reports import versions

FLAGS = (
    "avx2", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "amx_bf16", "amx_fp16", "amx_int8", "asimd", "bf16",
)  # fmt: skip
"""What decides how fast a CPU multiplies in which number format."""
PACKAGES = ("torch", "openvino", "onnxruntime", "onnxruntime-gpu", "triton", "numpy", "sam2")
"""What speed depends on; their versions are told, None where one is not installed."""
THREADS = "OMP_NUM_THREADS"
CACHES = ("SARTM_CACHE", "XDG_CACHE_HOME")
"""Environment variables that say where caches are."""


def describe(threads: int) -> dict[str, Any]:
    """For people and programs."""
    cpu = cpuinfo()
    flags = set(cpu.get("flags", cpu.get("Features", "")).split())
    return {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cpus": len(cpus()),
        "threads": threads,
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "memory_gib": round(memory_gib(), 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {**dict.fromkeys(PACKAGES), **versions(PACKAGES)},
        "sartm": sartm_core.__version__,
    }


def cpuinfo() -> dict[str, str]:
    """The first processor's lines of Linux's /proc/cpuinfo; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    first = path.read_text().split("\n\n")[0] if path.is_file() else ""
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def cpus() -> list[int]:
    """Those that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def usable(threads: int) -> int:
    """As many of the wanted threads as there are CPUs; 0: one for each."""
    return min(threads, len(cpus())) or len(cpus())


@contextlib.contextmanager
def limited(threads: int) -> Iterator[None]:
    """Processes started within get this many CPUs and are told so: no engine can take more than the others."""
    own = cpus()
    can_pin = hasattr(os, "sched_setaffinity") and threads < len(own)
    if can_pin:
        os.sched_setaffinity(0, own[:threads])
    try:
        with environment({THREADS: str(threads)}):
            yield
    finally:
        if can_pin:
            os.sched_setaffinity(0, own)


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Processes started within have these environment variables."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
