"""What memory this process has and had, by Linux's own count; elsewhere by `getrusage`."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
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
    lines = STATUS.read_text().splitlines() if STATUS.is_file() else []
    found = next((int(line.split()[1]) for line in lines if line.startswith(name)), None)
    if found is not None:
        return found * KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else KIB)


def reset_peak() -> bool:
    """Forget the peak so far; False where the system does not let us."""
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError:
        return False
    return True
