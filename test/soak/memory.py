"""Does a process grow? Samples of its resident memory, judged in two ways that noise fools differently."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

EDGE = 0.1
"""The medians compared are those of the first and the last tenth of the samples."""
LEAST_SAMPLES = 20

Samples = Sequence[tuple[float, float]]
"""(seconds, bytes)."""


def after(samples: Samples, start: float) -> Samples:
    """The samples from `start` seconds on."""
    return [sample for sample in samples if sample[0] >= start]


def trend(samples: Samples) -> float:
    """Growth over the whole time along the least-squares line, as a share of the median; 0.01 is 1 %."""
    if len(samples) < LEAST_SAMPLES:
        return float("nan")
    times, values = np.array(samples, np.float64).T
    slope = np.polyfit(times - times[0], values, 1)[0]
    return float(slope * (times[-1] - times[0]) / np.median(values))


def step(samples: Samples) -> float:
    """Median of the last tenth over that of the first tenth, minus 1; 0.01 is 1 %."""
    if len(samples) < LEAST_SAMPLES:
        return float("nan")
    count = max(1, int(len(samples) * EDGE))
    values = [value for _, value in samples]
    return statistics.median(values[-count:]) / statistics.median(values[:count]) - 1.0
