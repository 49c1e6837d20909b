"""Means over seeds, and differences between variants seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Mean and scatter of some numbers."""

    mean: float
    """Arithmetic mean."""
    sd: float | None
    """Sample standard deviation (divided by n - 1); None for fewer than two numbers."""
    n: int
    """How many."""


def summarize(values: Iterable[float]) -> Summary | None:
    """Mean and standard deviation; None without numbers."""
    numbers = list(values)
    if not numbers:
        return None
    mean = math.fsum(numbers) / len(numbers)
    if len(numbers) < 2:
        return Summary(mean, None, len(numbers))
    variance = math.fsum((value - mean) ** 2 for value in numbers) / (len(numbers) - 1)
    return Summary(mean, math.sqrt(variance), len(numbers))


def paired(values: Mapping[int, float], reference: Mapping[int, float]) -> Summary | None:
    """Differences value - reference over the seeds both have: what two runs share with their seed cancels."""
    return summarize(values[seed] - reference[seed] for seed in sorted(values.keys() & reference.keys()))
