"""What several modes are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sartm_core.support.late import torch

if TYPE_CHECKING:
    from torch import Tensor

THERMAL_CLIP = (-1.0, 4.0)
"""Normalised values are cut here: a clear sky far colder than the street carries nothing, a person hotter than the
high percentile does."""

SAMPLE_STEP = 4
"""A frame is measured at every 4th row and column: 16x less sorting, same value to well under a grey level."""
SMALLEST_SPAN = {"uint8": 2.0, "uint16": 50.0, "float32": 0.5}
"""A frame is stretched no more than if it had this spread (grey levels, counts, kelvin): a closed shutter is not a hot
street."""
PARTS, SEARCHES = 8, 8
"""A rank is searched by parting the range of values so often: to the 2^24th part of it, as fine as float32."""
LARGEST = 2**31 - 1
"""Of the whole numbers that every engine computes with."""


def sampled(thermal: np.ndarray) -> np.ndarray:
    """The finite values of every `SAMPLE_STEP`-th row and column; of all where there is none."""
    sample = thermal[::SAMPLE_STEP, ::SAMPLE_STEP]
    if thermal.dtype == np.float32:
        sample = sample[np.isfinite(sample)]
    return sample if sample.size else thermal[np.isfinite(thermal)]


def stretched(thermal: np.ndarray, low: float, span: float, clip: tuple[float, float] = THERMAL_CLIP) -> np.ndarray:
    """(H, W) -> (H, W) float32, (thermal - low) / span within `clip`; NaN becomes 0."""
    values = np.subtract(thermal, np.float32(low), dtype=np.float32)  # one pass, with the conversion
    values /= np.float32(span)
    if thermal.dtype == np.float32:
        np.nan_to_num(values, copy=False, nan=0.0, posinf=clip[1], neginf=clip[0])
    return np.clip(values, *clip, out=values)


def stretched_traced(
    values: Tensor, low: Tensor | float, span: Tensor | float, clip: tuple[float, float] = THERMAL_CLIP
) -> Tensor:
    """The same in a graph."""
    values = (values - low) / span
    return torch.where(torch.isnan(values), 0.0, values).clamp(*clip)


def percentiles(sample: np.ndarray, percents: Sequence[float]) -> list[float]:
    """As `np.percentile(sample, percents)` for finite numbers, at a fifth of its price."""
    ordered, values = np.sort(sample, axis=None), []
    for percent in percents:
        place = percent / 100 * (ordered.size - 1)
        below = int(place)
        low, high = float(ordered[below]), float(ordered[min(below + 1, ordered.size - 1)])
        values.append(low + (high - low) * (place - below))
    return values


def traced_percentiles(sample: Tensor, *percents: float) -> list[Tensor]:
    """Of the finite values of a float tensor, one scalar each, as `np.percentile`; 0 when none is finite.

    Counted, not sorted: TensorRT sorts 3840 values at most.
    """
    flat = sample.flatten()  # (n,)
    finite = torch.isfinite(flat)
    count = finite.sum()
    last = (count - 1).clamp(min=0)
    whole = 100 * 10 ** int(math.log10(LARGEST / (100 * len(flat))))  # what 100 % are counted in, as fine as possible
    least, most = (torch.where(finite, flat, bound) for bound in (torch.inf, -torch.inf))  # (n,) each
    found = []
    for percent in percents:
        place = last * round(percent / 100 * whole)
        share = place % whole
        first = ((place - share).float() / whole).round()
        second = torch.minimum(first + 1, last.float())
        below = ranked(least, first, least.min(), most.max())
        next_one = torch.where(least > below, least, torch.inf).min()
        above = torch.where((least <= below).float().sum() > second, below, next_one)
        value = below + (above - below) * (share.float() / whole)
        found.append(torch.where(count > 0, value, 0.0))
    return found


def ranked(values: Tensor, rank: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The value of (n,) with `rank` smaller ones, which lies between `low` and `high`."""
    for _ in range(SEARCHES):
        width = (high - low) / PARTS
        bounds = low + width * torch.arange(1.0, PARTS, device=values.device)  # (PARTS - 1,)
        smaller = (values < bounds[:, None]).float().sum(1)  # (PARTS - 1,)
        low = torch.where(smaller <= rank, bounds, low).max()
        high = low + width
    return torch.where(values >= low, values, torch.inf).min()
