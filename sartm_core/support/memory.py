"""What memory this process has and had and the machine has left, by Linux's own count; elsewhere by `getrusage`."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MACHINE, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
RESET_PEAK = "5"
"""Written to `clear_refs`, makes the present memory the highest so far (man 5 proc)."""
KIB = 1024


def resident() -> int:
    """Bytes that this process has now; its peak where the system does not tell."""
    return from_status("VmRSS:")


def peak_resident() -> int:
    """Most bytes that it had. `getrusage` would start from the parent process' peak, so it comes second."""
    return from_status("VmHWM:")


def from_status(name: str) -> int:
    if found := from_file(STATUS, name):
        return found * KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else KIB)


def machine_memory() -> int:
    """Bytes of the machine, or of the container; 0 where the system does not tell."""
    return min(filter(None, (from_file(MACHINE, "MemTotal:") * KIB, cgroup_limit())), default=0)


def available() -> int:
    """Bytes that can still be had before the system ends processes; 0 where it does not tell."""
    free = from_file(MACHINE, "MemAvailable:") * KIB
    limit = cgroup_limit()
    return min(free, limit - from_file(CGROUP / "memory.stat", "anon")) if limit else free


def cgroup_limit() -> int:
    """Bytes that a container (cgroup 2) may have; 0 for no limit."""
    path = CGROUP / "memory.max"
    text = path.read_text().strip() if path.is_file() else ""
    return int(text) if text.isdecimal() else 0


def from_file(path: Path, name: str) -> int:
    """The number behind a name that begins a line; 0 where there is none."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), 0)


def reset_peak() -> bool:
    """Forget the peak so far; False where the system does not let us."""
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError:
        return False
    return True
