"""The files of an evaluation. Everything is written beside its place and moved there at the end, or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from sartm_core.evaluate import tables
from sartm_core.evaluate.conventions import Convention
from sartm_core.evaluate.scores import percent
from sartm_core.evaluate.worst import CAPTIONS, ERROR_COLORS, WorstFrame
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.files import scratch_folder
from sartm_core.support.visualize import legend_of

WORST_FOLDER, LAST = "worst_frames", "evaluation.json"
CONFIDENCE = (
    "Does it mean what it says? Mean confidence, accuracy and ECE (expected calibration error, 15 bins), in percent, "
    "all frames. Pixels that are an object or are called one take in every object missed and leave out the background "
    "told rightly, so that even an honest confidence is too high there: read the other two."
)
BY_CONVENTION = (
    "* marks the usual one of this data set. no-background leaves class 0 out of the mean; background-ignored forgives "
    "false alarms on it, too. zero counts 0 for a class that neither truth nor prediction has, skip leaves it out."
)
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1660px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 0.6em 0 1.4em; }
td, th { padding: 0.2em 0.7em; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
th { background: #f3f3f3; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; height: auto; }
figure { margin: 1em 0 1.6em; }
.key { display: inline-block; width: 1em; height: 1em; border: 1px solid #888; vertical-align: -0.15em; }
.wide { overflow-x: auto; }
"""


def write_report(
    output: Path,
    protocol: dict[str, Any],
    scores: tables.Scores,
    reliability: dict[str, dict[str, Any]],
    usual: Convention,
    worst: Sequence[WorstFrame],
    segmenter: Segmenter,
) -> None:
    """Write `evaluation.json`, `per_class.csv`, both plots, `report.html` and `worst_frames/` into `output`."""
    with staged(output, LAST, (WORST_FOLDER, "confusion.png", "reliability.png")) as staging:
        (staging / WORST_FOLDER).mkdir()
        for rank, frame in enumerate(worst, 1):
            frame.strip.save(staging / WORST_FOLDER / f"{rank:02}.png")
        cameras = next(iter(scores))
        plotted = can_plot()
        if plotted:
            from sartm_core.evaluate.plots import plot_confusion, plot_reliability

            title = f"{cameras}, all frames: percent of each true class"
            counts = np.array(scores[cameras]["all"]["confusion"])
            plot_confusion(counts, segmenter.classes, title, staging / "confusion.png")
            plot_reliability(reliability, staging / "reliability.png")
        (staging / "per_class.csv").write_text(tables.per_class_csv(scores))
        page = html_page(protocol, scores, reliability, usual, worst, segmenter, plotted)
        (staging / "report.html").write_text(page, encoding="utf-8")
        entries = [{"frame": frame.name, "miou": frame.miou} for frame in worst]
        content = {"protocol": protocol, "scores": scores, "confidence": reliability, "worst_frames": entries}
        (staging / LAST).write_text(to_json(content))


@contextmanager
def staged(output: Path, last: str, old: Sequence[str]) -> Iterator[Path]:
    """A folder whose files are moved to `output` when all are there, `last` at the end; `old` ones are removed first,
    should there be none now."""
    with scratch_folder(output / last) as staging:
        yield staging
        for path in (output / name for name in old):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for path in sorted(staging.iterdir(), key=lambda path: path.name == last):
            os.replace(path, output / path.name)


def can_plot() -> bool:
    """Whether matplotlib is installed: the package runs without it."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def to_json(content: dict[str, Any]) -> str:
    """Indented JSON with each list of numbers on one line; a NaN would be an error."""
    text = json.dumps(content, indent=2, allow_nan=False)
    return re.sub(r"\[[\s\d.,]+\]", lambda found: "[" + " ".join(found[0][1:-1].split()) + "]", text) + "\n"


def html_page(
    protocol: dict[str, Any],
    scores: tables.Scores,
    reliability: dict[str, dict[str, Any]],
    usual: Convention,
    worst: Sequence[WorstFrame],
    segmenter: Segmenter,
    plotted: bool,
) -> str:
    """The whole report as one page; pictures by relative links."""
    classes = segmenter.classes
    title = f"Evaluation of {protocol['weights']} on {protocol['dataset']}"
    plot = '<img src="confusion.png" alt="confusion matrix">' if plotted else "<p>Not drawn: matplotlib is missing.</p>"
    diagram = '<img src="reliability.png" alt="reliability diagram">' if plotted else ""
    parts = [
        *([f"<p><b>Warning: {escape(protocol['warning'])}.</b></p>"] if "warning" in protocol else []),
        f"<h2>Scores</h2><p>Percent, by convention <b>{usual.name}</b>.</p>{table(tables.summary(scores))}",
        "<h2>The same frames by every convention</h2>"
        f"<p>{BY_CONVENTION}</p>{table(tables.conventions(scores, len(classes), usual))}",
        f"<h2>By class</h2><p>Percent, all frames.</p>{table(tables.per_class(scores))}",
        f"<h2>IoU by class and group</h2>{table(tables.iou_by_group(scores))}",
        f"<h2>Confusion</h2>{plot}",
        f"<h2>Confidence</h2><p>{CONFIDENCE}</p>{table(tables.confidence(reliability))}{diagram}",
        f"<h2>Protocol</h2>{table([('what', 'value'), *in_words(protocol)])}",
        worst_section(worst, segmenter, next(iter(scores))),
    ]
    return document(title, parts)


def document(title: str, parts: Sequence[str]) -> str:
    """A page of HTML."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def worst_section(worst: Sequence[WorstFrame], segmenter: Segmenter, cameras: str) -> str:
    """The worst frames with their pictures and legends."""
    if not worst:
        return ""
    legend = legend_of(segmenter.classes, segmenter.palette).items()
    figures = []
    for rank, frame in enumerate(worst, 1):
        by_class = ", ".join(
            f"{name} {percent(float(v))}" for name, v in zip(segmenter.classes, frame.iou, strict=True) if v == v
        )
        caption = f"{rank}. {frame.name}: mIoU {percent(frame.miou)} ({by_class})"
        figures.append(
            f'<figure><figcaption>{escape(caption)}</figcaption><img src="{WORST_FOLDER}/{rank:02}.png" '
            f'alt="{escape(", ".join(CAPTIONS))}"></figure>'
        )
    return (
        f"<h2>Worst frames</h2><p>Lowest mIoU of the frame alone, over the classes that occur in its truth or "
        f"prediction, with {escape(cameras)}.</p><p>Classes: {keys(legend)}</p>"
        f"<p>Differences: {keys(ERROR_COLORS.items())}. Missed: something in the truth, predicted as class 0; false "
        "alarm: the reverse.</p>" + "\n".join(figures)
    )


def keys(legend: Any) -> str:
    """Colour squares with their names."""
    return " &nbsp; ".join(
        f'<span class="key" style="background: rgb{tuple(color)}"></span> {escape(name)}' for name, color in legend
    )


def table(rows: Sequence[tables.Row]) -> str:
    """An HTML table; the first row is the head."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(map(data_cell, row)) + "</tr>\n" for row in rows[1:])
    return f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'


def data_cell(cell: str) -> str:
    """One cell; numbers flush right."""
    return f'<td class="n">{cell}</td>' if tables.is_number(cell) else f"<td>{escape(cell)}</td>"


def in_words(protocol: dict[str, Any]) -> list[tables.Row]:
    """The protocol as (what, value), one line each."""
    return [(key.replace("_", " "), words(value)) for key, value in protocol.items()]


def words(value: Any, inner: bool = False) -> str:
    """A value of the protocol on one line; what lies within another stands in brackets."""
    if isinstance(value, dict):
        text = "; ".join(f"{key}: {words(item, True)}" for key, item in value.items()) or "none"
    elif isinstance(value, (list, tuple)):
        text = ", ".join(words(item, True) for item in value) or "none"
    else:
        return str(value)
    return f"({text})" if inner else text
