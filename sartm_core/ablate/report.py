"""The measured table beside the paper's: `table.json` with every number, `table.md` for people."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sartm_core.ablate.grid import Run, finished_metrics
from sartm_core.ablate.paper import METRICS, PaperTable
from sartm_core.ablate.runner import Outcome, clock
from sartm_core.ablate.statistics import Summary, paired, summarize
from sartm_core.ablate.tables import TABLES, Variant
from sartm_core.data.sources import sources_of
from sartm_core.support.files import write_json, write_text
from sartm_core.train.config import TrainConfig

PERCENT = 100.0


@dataclass(frozen=True)
class Results:
    """What a grid measured so far."""

    table: str
    """Name of the table."""
    paper: PaperTable
    """What the paper prints."""
    variants: tuple[Variant, ...]
    """Rows."""
    seeds: tuple[int, ...]
    """Seeds asked for."""
    metrics: dict[str, dict[int, dict[str, Any]]]
    """Variant -> seed -> the run's metrics.json."""
    protocol: dict[str, Any]
    """How it was measured, in the order to print it."""
    folders: dict[str, str]
    """"variant seed" -> folder of the run, relative to the output folder."""

    def sets(self) -> list[str]:
        """Names of the validation sets, the data set's own first."""
        runs = [run for by_seed in self.metrics.values() for run in by_seed.values()]
        scored = (key for run in runs for key, value in run.items() if isinstance(value, dict) and "miou" in value)
        names = dict.fromkeys(scored)
        return sorted(names, key=lambda name: name != self.protocol["data set"])

    def values(self, variant: str, scored_on: str, metric: str) -> dict[int, float]:
        """Seed -> score in percent."""
        scores = {seed: run.get(scored_on, {}).get(metric) for seed, run in self.metrics.get(variant, {}).items()}
        return {seed: PERCENT * value for seed, value in scores.items() if value is not None and value == value}

    def summary(self, variant: Variant, scored_on: str, metric: str) -> Summary | None:
        """Mean and scatter over seeds, percent."""
        return summarize(self.values(variant.name, scored_on, metric).values())

    def difference(self, variant: Variant, scored_on: str, metric: str) -> Summary | None:
        """Paired difference to the variant's reference row, points; None for a reference row."""
        if variant.reference is None:
            return None
        values, reference = (self.values(name, scored_on, metric) for name in (variant.name, variant.reference))
        return paired(values, reference)

    def paper_sets(self) -> tuple[str, ...]:
        """The paper's data sets to print: the one measured on if the paper has it, else all of them."""
        own = str(self.protocol["data set"])
        return (own,) if own in self.paper.datasets() else self.paper.datasets()

    def seconds(self, variant: str) -> list[float]:
        """Wall time of each run."""
        runs = self.metrics.get(variant, {}).values()
        return [run.get("seconds_in_all", run.get("seconds", 0.0)) for run in runs]


def collect(
    config: TrainConfig, variants: Sequence[Variant], runs: Sequence[Run], outcome: Outcome, about: dict[str, str]
) -> Results:
    """Read what the ended runs measured. `config` is what the variants change, `about` is added to the protocol."""
    metrics: dict[str, dict[int, dict[str, Any]]] = {}
    folders = {}
    for run, folder in outcome.done.items():
        metrics.setdefault(run.variant.name, {})[run.seed] = finished_metrics(folder) or {}
        output = run.folder.parents[2]
        folders[f"{run.variant.name} seed {run.seed}"] = os.path.relpath(folder, output)
    loss = config.loss
    protocol = {
        "data set": ", ".join(source.title for source in sources_of(config.data)) or "synthetic",
        **about,
        "seeds": " ".join(str(seed) for seed in dict.fromkeys(run.seed for run in runs)),
        "model": f"{config.model.backbone}, rank {config.model.lora_rank}, head {config.model.aux_head}",
        "objective": f"{loss.kind}, w0..w3 {loss.w0:g} {loss.w1:g} {loss.w2:g} {loss.w3:g}, teacher {loss.teacher}",
        "length": f"{config.trainer.max_epochs} epochs"
        + (f" or {config.trainer.max_steps} steps" if config.trainer.max_steps > 0 else "")
        + f", batch {config.trainer.batch_size}",
        "measured on": f"{validation_sets(config)}; best epoch by their mean mIoU",
        "runs": f"{len(outcome.done)} of {len(runs)}",
        "wall time": clock(
            sum(m.get("seconds_in_all", m.get("seconds", 0)) for by in metrics.values() for m in by.values())
        ),
    }
    seeds = tuple(dict.fromkeys(run.seed for run in runs))
    table = runs[0].table
    return Results(table, TABLES[table].paper, tuple(variants), seeds, metrics, protocol, folders)


def validation_sets(config: TrainConfig) -> str:
    """What the runs were scored on, in words."""
    data, sets = config.data, []
    for source in sources_of(data):
        if source.val_split:
            test = source.val_split == "test"
            sets.append(f"split {source.val_split!r} of {source.title}" + " (not the test set)" * (not test))
    if data.synthetic_val:
        sets.append(f"{data.synthetic_val} synthetic scenes")
    return " and ".join(sets)


def write_scores(results: Results, path: Path) -> None:
    """Every number, percent."""
    scores = {
        name: {row.name: {metric: cell(results, row, name, metric) for metric in METRICS} for row in results.variants}
        for name in results.sets()
    }
    content = {
        "table": results.table,
        "unit": "percent",
        "paper": {"table": results.paper.number, "title": results.paper.title, "note": results.paper.note},
        "protocol": results.protocol,
        "scores": scores,
        "runs": results.folders,
    }
    write_json(path, content)


def cell(results: Results, variant: Variant, scored_on: str, metric: str) -> dict[str, Any]:
    """All about one metric of one row."""
    summary, difference = (f(variant, scored_on, metric) for f in (results.summary, results.difference))
    return {
        "by_seed": {str(seed): value for seed, value in results.values(variant.name, scored_on, metric).items()},
        "summary": summary and asdict(summary),
        "difference": difference and {"to": variant.reference, **asdict(difference)},
        "paper": {name: results.paper.value(variant.name, name, metric) for name in results.paper.datasets()},
    }


def write_markdown(results: Results, path: Path) -> None:
    """The table for people."""
    paper = results.paper
    lines = [f"# {paper.title}" + (f" (Table {paper.number})" if paper.number else ""), ""]
    lines += [f"- {key}: {value}" for key, value in results.protocol.items()] + [""]
    for scored_on in results.sets():
        lines += [f"## {scored_on}", "", *markdown_table(results, scored_on), ""]
        absent = absent_classes(results, scored_on)
        if absent:
            lines += [f"Left out of every mean, as they do not occur: {', '.join(absent)} (the paper counts 0).", ""]
    lines += [
        "Percent. ± is the sample standard deviation over seeds, not given for one run. Δ is the difference to the row "
        "named, seed by seed: its mean and standard deviation (number of seeds). The paper's numbers are single runs "
        "on test sets.",
        "",
        f"The paper: {paper.note}",
        "",
    ]
    write_text(path, "\n".join(lines))


def markdown_table(results: Results, scored_on: str) -> list[str]:
    """The rows measured on one validation set."""
    metrics, sets = results.paper.metrics, results.paper_sets() if scored_on == results.sets()[0] else ()
    columns = ["", "seeds"]
    for metric in metrics:
        name = METRICS[metric]
        columns += [name, f"Δ {name}", *(f"paper {name}, {dataset}" for dataset in sets)]
    columns += ["Δ to", "wall time a run"]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    labels = {variant.name: variant.label for variant in results.variants}
    for variant in results.variants:
        times = summarize(results.seconds(variant.name))
        cells = [variant.label, str(len(results.metrics.get(variant.name, {})))]
        for metric in metrics:
            summary, difference = (f(variant, scored_on, metric) for f in (results.summary, results.difference))
            cells += [plain(summary), signed(difference)]
            cells += [paper_cell(results, variant, name, metric) for name in sets]
        cells += [labels.get(variant.reference or "", ""), clock(times.mean) if times else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def plain(summary: Summary | None) -> str:
    """`58.21 ± 0.33`, without the second part for one run, `-` for none."""
    if summary is None:
        return "-"
    return f"{summary.mean:.2f}" if summary.sd is None else f"{summary.mean:.2f} ± {summary.sd:.2f}"


def signed(summary: Summary | None) -> str:
    """`+0.84 ± 0.21 (3)`."""
    if summary is None:
        return ""
    scatter = "" if summary.sd is None else f" ± {summary.sd:.2f}"
    return f"{summary.mean:+.2f}{scatter} ({summary.n})"


def paper_cell(results: Results, variant: Variant, dataset: str, metric: str) -> str:
    """The paper's number with its difference to the same row as ours: `58.85 (-2.72)`."""
    value = results.paper.value(variant.name, dataset, metric)
    reference = results.paper.value(variant.reference or "", dataset, metric)
    if value is None:
        return ""
    return f"{value:.2f}" if reference is None else f"{value:.2f} ({value - reference:+.2f})"


def absent_classes(results: Results, scored_on: str) -> list[str]:
    """Classes without a value in some run."""
    runs = [run.get(scored_on, {}) for by_seed in results.metrics.values() for run in by_seed.values()]
    return list(dict.fromkeys(name for run in runs for name, value in run.get("iou", {}).items() if value is None))
