"""What was taken from an official SAM2 file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class LoadReport:
    """What `load_sam2` did."""

    loaded: tuple[str, ...]
    """Tensor names of the file that were taken."""
    skipped: dict[str, str]
    """Tensor names of the file that were not taken -> why."""
    fresh: tuple[str, ...]
    """Parameters of SARTM that the file has no counterpart for: still as initialised."""

    def __str__(self) -> str:
        reasons = Counter(self.skipped.values())
        skipped = ", ".join(f"{count} ({reason})" for reason, count in reasons.items())
        return f"{len(self.loaded)} tensors loaded, {len(self.skipped)} skipped: {skipped}; {len(self.fresh)} fresh"
