"""One picture of a table: mean and standard deviation over seeds, every run a dot, the paper's numbers as diamonds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sartm_core.ablate.paper import METRICS
from sartm_core.ablate.report import Results
from sartm_core.ablate.tables import Variant
from sartm_core.support.files import replacing

MEASURED, PAPER = "#1f5fa8", "#c05a12"
DPI = 200
HEIGHT, SMALLEST_WIDTH, PER_ROW, MARGIN = 4.0, 5.0, 0.8, 0.9
"""Inches: of the figure, at least, for each row of the table, beside a panel."""


def write_plot(results: Results, path: Path) -> None:
    """A panel for each sweep of the table and each of its metrics, measured on the first validation set."""
    if not results.sets():
        return
    scored_on = results.sets()[0]
    groups = list(dict.fromkeys(variant.group for variant in results.variants))
    panels = [
        (metric, [variant for variant in results.variants if variant.group == group])
        for group in groups
        for metric in results.paper.metrics
    ]
    widths = [MARGIN + PER_ROW * len(variants) for _, variants in panels]
    figure = Figure(figsize=(max(SMALLEST_WIDTH, sum(widths)), HEIGHT), layout="constrained")
    line = figure.subplots(1, len(panels), squeeze=False, width_ratios=widths, sharey=len(groups) > 1)[0]
    for axes, (metric, variants) in zip(line, panels, strict=True):
        draw(axes, results, variants, scored_on, metric)
        if len(groups) == 1 or axes is line[0]:  # panels of one metric share its axis
            axes.set_ylabel(f"{METRICS[metric]} [%]")
    seeds = max((len(by_seed) for by_seed in results.metrics.values()), default=0)
    figure.suptitle(f"{results.paper.title}\n{scored_on}, {seeds} seed{'s' * (seeds != 1)}", fontsize=10)
    handles, labels = line[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(1, len(labels)), frameon=False, fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def draw(axes: Axes, results: Results, variants: Sequence[Variant], scored_on: str, metric: str) -> None:
    """One metric of one sweep."""
    for x, variant in enumerate(variants):
        values = list(results.values(variant.name, scored_on, metric).values())
        axes.plot([x] * len(values), values, "o", color=MEASURED, alpha=0.35, markersize=4, markeredgewidth=0)
    summaries = [results.summary(variant, scored_on, metric) for variant in variants]
    for label, seeds in (("mean ± sd of seeds", True), ("one run", False)):
        known = [(x, s.mean, s.sd) for x, s in enumerate(summaries) if s is not None and (s.sd is not None) == seeds]
        if known:
            places, means, scatter = zip(*known, strict=True)
            bars = scatter if seeds else None
            axes.errorbar(places, means, bars, fmt="s", color=MEASURED, capsize=4, markersize=6, label=label)
    dataset = str(results.protocol["data set"])
    if scored_on == dataset:  # only then are the numbers of one kind
        printed = [(x, results.paper.value(v.name, dataset, metric)) for x, v in enumerate(variants)]
        points = [(x, value) for x, value in printed if value is not None]
        if points:
            axes.plot(*zip(*points, strict=True), "D", color=PAPER, markerfacecolor="none", label="paper, test set")
    axes.set_xticks(range(len(variants)), [variant.label for variant in variants], rotation=25, ha="right", fontsize=9)
    axes.set_xlim(-0.6, len(variants) - 0.4)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
