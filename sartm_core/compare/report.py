"""The files of a comparison. Everything is written beside its place and moved there at the end, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from sartm_core.compare import tables
from sartm_core.compare.bootstrap import FEW_FRAMES
from sartm_core.compare.pictures import CAPTIONS, DIFFERENCE_COLORS, DifferentFrame
from sartm_core.compare.plot import forest
from sartm_core.compare.run import Comparison
from sartm_core.evaluate.report import document, in_words, keys, staged, table, to_json
from sartm_core.evaluate.scores import percent
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.visualize import contact_sheet, data_url, legend_of

SHEET = "most_different.png"
LAST = "compare.json"


def write_report(output: Path, content: dict[str, Any], result: Comparison, model: Segmenter) -> None:
    """Write `compare.json`, `compare.csv`, `frames.csv`, `report.html` and `most_different.png` into `output`.

    `content` is what compare.json holds (`sartm_core.compare`); `model`: either of the two, for names and colours.
    """
    with staged(output, LAST, (SHEET,)) as staging:
        (staging / LAST).write_text(to_json(content))
        (staging / "compare.csv").write_text(tables.per_class_csv(content["scores"], content["agreement"]))
        (staging / "frames.csv").write_text(tables.frames_csv(result.frames))
        (staging / "report.html").write_text(html_page(content, result.most, model), encoding="utf-8")
        if result.most:
            most_sheet(result.most, model, {each: content[each] for each in "ab"}).save(staging / SHEET)


def most_sheet(most: Sequence[DifferentFrame], model: Segmenter, called: Mapping[str, str]) -> Image.Image:
    """All rows on one picture; no label column where no frame has one. `called`: A and B by name."""
    shown = [caption for caption in CAPTIONS if any(caption in frame.row for frame in most)]
    rows = [[frame.row.get(caption, frame.blank()) for caption in shown] for frame in most]
    legend = legend_of(model.classes, model.palette)
    captions = [f"{each}: {called[each.lower()]}" if each.lower() in called else each for each in shown]
    return contact_sheet(rows, captions, [frame.name for frame in most], {**legend, **DIFFERENCE_COLORS})


def html_page(content: dict[str, Any], most: Sequence[DifferentFrame], model: Segmenter) -> str:
    """The whole report as one page that needs no other file."""
    title = f"{content['b']} (B) against {content['a']} (A)"
    called = {"protocol_a": "A", "protocol_b": "B", "protocol": "both"}
    warnings = [(name, content[key]["warning"]) for key, name in called.items() if "warning" in content[key]]
    parts = [
        *(f"<p><b>Warning, {name}: {escape(text)}.</b></p>" for name, text in warnings),
        scores_section(content),
        agreement_section(content),
        most_section(content, most, model),
        f"<h2>Protocol</h2>{table([('what', 'value'), *in_words(content['protocol'])])}",
        *(f"<h3>{name.upper()}</h3>{table([('what', 'value'), *in_words(content[f'protocol_{name}'])])}"
          for name in "ab"),
    ]  # fmt: skip
    return document(title, parts)


def scores_section(content: dict[str, Any]) -> str:
    """Tables and drawing of the scores, or a line that there are none."""
    scores, level = content["scores"], content["confidence"]
    if scores is None:
        return "<h2>Scores</h2><p>None: no frame has a label.</p>"
    whole = scores["all"]
    return (
        f"<h2>Scores</h2><p>{escape(how_to_read(content))}</p>{table(tables.means(scores, level))}"
        f"<h2>By class</h2><p>Percent, all frames with a label; <i>frames</i>: those with pixels of the class.</p>"
        f"{table(tables.per_class(scores, level))}<h2>B minus A</h2>"
        f"<p>Percentage points with {100 * level:g} % intervals; right of zero B is better.</p>"
        f"{forest([('mIoU', whole['miou']), *whole['classes'].items()])}"
    )


def how_to_read(content: dict[str, Any]) -> str:
    """What the intervals say."""
    few = f" With fewer than {FEW_FRAMES} frames they are too narrow." if content["labelled"] < FEW_FRAMES else ""
    return (
        f"Percent, mean by convention {content['convention']}. Interval of B - A from {content['resamples']} paired "
        f"bootstrap resamples of the {content['labelled']} frames with a label; 'better' names the model on whose side "
        f"the whole interval lies. Frames of one drive are alike, so true intervals are wider.{few}"
    )


def agreement_section(content: dict[str, Any]) -> str:
    """How far the masks are the same."""
    found = content["agreement"]
    return (
        f"<h2>Agreement</h2><p>{escape(agreement_line(content))}</p>"
        "<p>Share of all pixels that each calls the class, and pixels that both call it over those that either does; "
        f"percent.</p>{table(tables.agreement(found))}"
    )


def agreement_line(content: dict[str, Any]) -> str:
    """The share of equal pixels with its interval, in words."""
    found = content["agreement"]
    bounds = "" if found["interval"] is None else " ({} to {})".format(*map(percent, found["interval"]))
    return f"The two masks agree on {percent(found['pixels'])} %{bounds} of the pixels of {content['frames']} frames."


def most_section(content: dict[str, Any], most: Sequence[DifferentFrame], model: Segmenter) -> str:
    """The frames where they differ most, with their pictures inside the page."""
    if not most:
        return "<h2>Where they differ most</h2><p>No frame to show.</p>"
    figures = [
        f"<figure><figcaption>{escape(caption(rank, entry))}</figcaption>"
        f'<img src="{data_url(frame.strip())}" alt="{escape(", ".join(frame.row))}"></figure>'
        for rank, (frame, entry) in enumerate(zip(most, content["most_different"], strict=True), 1)
    ]
    classes = legend_of(model.classes, model.palette).items()
    return (
        f"<h2>Where they differ most</h2><p>Classes: {keys(classes)}</p><p>Differences: "
        f"{keys(DIFFERENCE_COLORS.items())}</p>" + "\n".join(figures)
    )


def caption(rank: int, entry: dict[str, Any]) -> str:
    """Name and numbers of a frame."""
    text = f"{rank}. {entry['frame']}: they differ on {percent(entry['differing'])} % of the pixels"
    if entry["miou_a"] is None and entry["miou_b"] is None:
        return text
    return f"{text}; mIoU of the frame: A {percent(entry['miou_a'])}, B {percent(entry['miou_b'])}"
