"""What a benchmark found, for programs: everything here ends up in `benchmark.json` under the same names."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

FORMAT, VERSION = "sartm-benchmark", 1


@dataclass(frozen=True)
class Spread:
    """Of some measurements; milliseconds unless told otherwise."""

    p50: float
    p95: float
    least: float
    runs: int


def spread(values: Sequence[float]) -> Spread:
    """Percentiles between the measurements are interpolated."""
    ordered = sorted(values)
    place = 0.95 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    p95 = ordered[below] + (place - below) * (ordered[above] - ordered[below])
    return Spread(statistics.median(ordered), p95, ordered[0], len(ordered))


@dataclass(frozen=True)
class Rate:
    """How fast the machine multiplies in one number format, in this run."""

    square_gflops: float
    """Of large square matrices: 10^9 floating point operations a second, median."""
    products_ms: float
    """All products of the plain model, each as often as it occurs, median by median."""


@dataclass
class Memory:
    """Bytes beside what the process had after its imports; of a GPU, what torch held."""

    starting: int
    """Most until the first frames were done: loading, compiling, warming up."""
    running: int | None
    """Most while segmenting frames; None where the system does not tell it apart."""
    allowed: int | None
    """Weights and the largest pair of activations of the graph as engines run it, in this precision; None for a network
    of others, which is not counted."""
    allowed_plain: int | None
    """The same of the plain model in fp32."""


@dataclass(frozen=True)
class Agreement:
    """With the plain fp32 model, over frames."""

    frames: int
    logit_difference: float
    """Largest, at stride 4."""
    logit_range: float
    """Largest less smallest logit of the plain model, for comparison."""
    equal_mean: float
    """Part of the mask's pixels that are the same, 0..1, mean of the frames."""
    equal_least: float
    """Of the worst frame, with and without confidence."""


@dataclass(frozen=True)
class Startup:
    """Seconds from starting Python to the first mask, in fresh processes."""

    first: float
    """Without any cache."""
    second: float
    """With what the first left."""
    stages: dict[str, list[float]]
    """Of both: `imports`, `load`, `mask`."""


@dataclass
class Row:
    """One way to run one model at one size."""

    engine: str
    """As asked for."""
    precision: str
    """As asked for."""
    ran: dict[str, str] = field(default_factory=dict)
    """What that came to: `engine`, `precision`, `choice`, `device`."""
    why_not: str = ""
    """Why it was not measured."""
    forward: Spread | None = None
    """The engine alone: prepared inputs to scores."""
    mask: dict[str, Spread] = field(default_factory=dict)
    """A call without confidence by stage: `preprocess`, `forward`, `postprocess`, `total`."""
    confidence: dict[str, Spread] = field(default_factory=dict)
    """A call with confidence, likewise."""
    memory: Memory | None = None
    agreement: Agreement | None = None
    startup: Startup | None = None
    ratios: dict[str, float] = field(default_factory=dict)
    """`speedup`: baseline's forward over this; `square`, `square_deploy`, `products`: this over the
    bound."""


@dataclass
class Case:
    """One model at one size."""

    backbone: str
    weights: str
    size: str
    counts: dict[str, Any]
    """Of `plain` and `deploy`: the fields of `flops.Counts`; of `products` the number of shapes."""
    rates: dict[str, Rate] = field(default_factory=dict)
    """By precision."""
    baseline: Row | None = None
    rows: list[Row] = field(default_factory=list)
    peers: list[Row] = field(default_factory=list)
    """Networks of others, the forward and memory alone; `engine` has the file's name."""

    @property
    def best(self) -> Row | None:
        """The row of the quickest forward."""
        measured = [row for row in self.rows if row.forward is not None]
        return min(measured, key=lambda row: row.forward.p50, default=None)  # type: ignore[union-attr]


@dataclass
class Found:
    """A whole run."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    frames: str
    cases: list[Case] = field(default_factory=list)
    format: str = FORMAT
    version: int = VERSION
