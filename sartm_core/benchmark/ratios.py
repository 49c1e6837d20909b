"""What follows from the measurements: the bounds of the machine, and how far every row is from them."""

from __future__ import annotations

import statistics
from dataclasses import fields

import torch

from sartm_core.benchmark.flops import Counts, ModelCounts
from sartm_core.benchmark.results import Case, Memory, Rate
from sartm_core.benchmark.session import Peak

GIGA, MS = 1e9, 1e3


def counted(counts: ModelCounts) -> dict[str, dict[str, int]]:
    """For programs: of the products only how many shapes there are."""
    parts = {"plain": counts.plain, "deploy": counts.deploy}
    names = [field.name for field in fields(Counts) if field.name != "products"]
    return {
        name: {**{name: getattr(part, name) for name in names}, "products": len(part.products)}
        for name, part in parts.items()
    }


def rate_of(laps: list[list[float]], counts: Counts, square_flops: int) -> Rate:
    """`laps`: by round, milliseconds of the square product and then of each of the model's."""
    square, *products = (statistics.median(times) for times in zip(*laps, strict=True))
    total = sum(ms * often for ms, often in zip(products, counts.products.values(), strict=True))
    return Rate(square_flops / GIGA / (square / MS), total)


def memory_of(peak: Peak, run: Counts, plain: Counts, dtype: torch.dtype) -> Memory:
    """`run`: the graph that had this peak. Counted in fp32; another number format takes its part of that."""
    part = dtype.itemsize / torch.float32.itemsize
    allowed = round((run.weights + run.pair) * part)
    return Memory(peak.starting, peak.running, allowed, plain.weights + plain.pair)


def bounds_ms(case: Case, precision: str) -> dict[str, float]:
    """Milliseconds that no engine can be below, by their names in `Row.ratios`: plain FLOPs at the rate of large square
    matrices, those of the folded graph likewise, and the products of the plain model one by one."""
    rate = case.rates[precision]
    at_rate = MS / (rate.square_gflops * GIGA)
    return {
        "square": case.counts["plain"]["flops"] * at_rate,
        "square_deploy": case.counts["deploy"]["flops"] * at_rate,
        "products": rate.products_ms,
    }


def add_ratios(case: Case) -> None:
    """Fill in `ratios` of all rows that were measured."""
    for row in filter(None, (case.baseline, *case.rows, *case.peers)):
        if row.forward is None:
            continue
        own = row.forward.p50
        if row.ran["precision"] in case.rates:
            row.ratios = {name: own / bound for name, bound in bounds_ms(case, row.ran["precision"]).items()}
        if case.baseline is not None and case.baseline.forward is not None:
            row.ratios["speedup"] = case.baseline.forward.p50 / own
