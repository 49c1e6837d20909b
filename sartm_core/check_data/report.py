"""A checked data set as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sartm_core.check_data.findings import FAULT, WARNING, Findings
from sartm_core.check_data.inputs import Look, input_lines
from sartm_core.check_data.structure import EXPECTED
from sartm_core.check_data.walk import Counts
from sartm_core.support.classes import IGNORE, LabelSet
from sartm_core.support.files import LONGEST_NAME
from sartm_core.support.text import plain


def as_dict(
    dataset: str, label_set: LabelSet | None, counts: Counts, looks: Sequence[Look], findings: Findings
) -> dict[str, Any]:
    """Everything that was counted and found."""
    return {
        "dataset": dataset,
        "root": findings.root.as_posix(),
        "faults": findings.count(FAULT),
        "warnings": findings.count(WARNING),
        "splits": {
            split: {
                "frames": count.frames,
                "expected": EXPECTED.get(dataset, {}).get(split),
                "sizes": dict(count.sizes),
                "classes": class_shares(label_set, count) if label_set else {},
            }
            for split, count in counts.splits.items()
        },
        "shift": counts.shift_summary(),
        "inputs": [look.as_dict() for look in looks],
        "findings": findings.as_dicts(),
    }


def class_shares(label_set: LabelSet, count: Any) -> dict[str, dict[str, float | int]]:
    """By class and for "ignored": percent of all labelled pixels (of all pixels for "ignored") and frames with it."""
    total = int(count.pixels.sum())
    labelled = total - int(count.pixels[IGNORE])
    shares = {
        name: {"percent": percent(int(count.pixels[i]), labelled), "frames": int(count.frames_with[i])}
        for i, name in enumerate(label_set.names)
    }
    ignored = {"percent": percent(int(count.pixels[IGNORE]), total), "frames": int(count.frames_with[IGNORE])}
    return {**shares, "ignored": ignored}


def percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0


def as_text(result: dict[str, Any]) -> str:
    """The dictionary of `as_dict`, for reading."""
    lines = [f"{result['dataset']} in {plain(result['root'])}"]
    for split, row in result["splits"].items():
        expected = f" of {row['expected']}" if row["expected"] else ""
        sizes = "; ".join(f"{n} x {text}" for text, n in row["sizes"].items() if text)
        lines.append(
            f"  {plain(split, LONGEST_NAME):<6} {row['frames']}{expected} frames: {sizes or 'no readable image'}"
        )
    lines += share_table(result["splits"]) + [shift_line(result["shift"]), ""]
    lines += [*input_lines(result["inputs"]), ""] if result["inputs"] else []
    lines += [
        f"{item['level']:<8} {plain(item['file'], LONGEST_NAME)}: {plain(item['message'])}"
        for item in result["findings"]
    ]
    return "\n".join([*lines, f"{result['faults']} faults, {result['warnings']} warnings"]) + "\n"


def share_table(splits: dict[str, Any]) -> list[str]:
    """Percent of the labelled pixels and number of frames, a row for each class."""
    names = next((list(row["classes"]) for row in splits.values() if row["classes"]), [])
    if not names:
        return []
    width = max(map(len, names))
    lines = ["", f"  {'% of labelled pixels':<{width}}" + "".join(f" {split + ' (frames)':>18}" for split in splits)]
    width = max(width, len("% of labelled pixels"))
    for name in names:
        cells = ((row["classes"][name]["percent"], row["classes"][name]["frames"]) for row in splits.values())
        lines.append(f"  {name:<{width}}" + "".join(f" {f'{share:.3f} ({frames})':>18}" for share, frames in cells))
    return [*lines, ""]


def shift_line(shift: dict[str, Any]) -> str:
    measured = f"measurable in {shift['measured']} of {shift['frames']} frames"
    median = "" if shift["dx"] is None else f"({shift['dx']:+.0f}, {shift['dy']:+.0f}) pixels (x, y) in the median, "
    return f"  shift of thermal against rgb: {median}{measured}"
