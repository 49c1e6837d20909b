"""What one part of the soak found: numbers, and the claims that did not hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Outcome:
    """`measured` by name, `violated` claims as sentences, `series` of (seconds, value) for the plot."""

    part: str
    measured: dict[str, Any] = field(default_factory=dict)
    violated: list[str] = field(default_factory=list)
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def claim(self, holds: bool, violation: str) -> None:
        """Note `violation` unless the claim holds."""
        if not holds:
            self.violated.append(violation)


def percentile(values: list[float], share: float) -> float | None:
    """The value below which `share` (0..1) of the values lie; None without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def rounded(value: float | None, digits: int = 3) -> float | None:
    """For the report; None stays, and what is not finite becomes None."""
    return None if value is None or not math.isfinite(value) else round(value, digits)
