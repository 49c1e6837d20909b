"""What memory this process has and had, by Linux's own count."""

from __future__ import annotations

from pathlib import Path

from sartm_core.train.steptime import peak_resident

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Written to `clear_refs`, makes the present memory the highest so far (man 5 proc)."""
KIB = 1024

__all__ = ["peak_resident", "reset_peak", "resident"]


def resident() -> int:
    """Bytes that this process has now; its peak where the system does not tell."""
    if STATUS.is_file():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * KIB
    return peak_resident()


def reset_peak() -> bool:
    """Forget the peak so far; False where the system does not let us."""
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError:
        return False
    return True
