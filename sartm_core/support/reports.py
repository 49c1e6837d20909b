"""What reports share: tables, numbers, versions."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import metadata
from typing import Any


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows, the first being the head, as a Markdown table with columns of one width; no line end."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def to_csv(rows: Iterable[Sequence[Any]]) -> str:
    """Rows, the first being the head, as CSV; empty where a value is None."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def number(value: float) -> float | None:
    """A score for JSON: None instead of NaN."""
    return None if math.isnan(value) else float(value)


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of those that are installed under this name."""
    found = {}
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
