"""Two benchmarks side by side: has it become faster?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sartm_core.benchmark.report import MISSING, Line
from sartm_core.benchmark.results import FORMAT, VERSION
from sartm_core.support.reports import markdown_table

SAME = ("cpu", "flags", "gpus", "threads", "system")
"""Of the machine: times of others are not comparable."""
COLUMNS: dict[str, tuple[str, ...]] = {
    "forward": ("forward", "p50"),
    "whole call": ("mask", "total", "p50"),
    "with confidence": ("confidence", "total", "p50"),
    "memory": ("memory", "running"),
    "start-up": ("startup", "first"),
    "again": ("startup", "second"),
}
"""Head of a column -> where its number is in a row of the file."""
SPEEDUP = ("ratios", "speedup")


def compare(first: Path, second: Path, anyway: bool = False) -> str:
    """Per-row ratios of two `benchmark.json`, B over A: below 1, B is faster or smaller.

    Raises:
        ValueError: naming the file that is no benchmark, or what makes the two incomparable unless `anyway`.
    """
    a, b = read(first), read(second)
    obstacles = differences(a["machine"], b["machine"])
    if obstacles and not anyway:
        raise ValueError(
            f"{first} and {second} are not of one machine and one number of threads: {'; '.join(obstacles)}. "
            "Their times say nothing about the code; --anyway compares them all the same"
        )
    warnings = [f"WARNING: {obstacle}" for obstacle in obstacles] + [f"note: {note}" for note in notes(a, b)]
    head = ("model", "size", "engine", "precision", *COLUMNS, "x plain A", "x plain B")
    rows_a, rows_b = dict(rows(a)), dict(rows(b))
    lines: list[Line] = [(*key, *ratios(rows_a[key], rows_b[key])) for key in rows_a if key in rows_b]
    if not lines:
        raise ValueError(f"{first} and {second} have no model, size, engine and precision in common")
    lonely = [f"only in A: {' '.join(key)}" for key in rows_a if key not in rows_b]
    lonely += [f"only in B: {' '.join(key)}" for key in rows_b if key not in rows_a]
    about = (
        f"A = {first}, B = {second}; B over A: below 1 is faster or smaller. x plain: against its own run's baseline."
    )
    return (
        "\n\n".join(filter(None, ["\n".join(warnings), about, markdown_table([head, *lines]), "\n".join(lonely)]))
        + "\n"
    )


def read(path: Path) -> dict[str, Any]:
    """ValueError unless it is a benchmark of this version."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if isinstance(found, dict) and "gpu" in found:
        found = found.get("benchmark")  # of a GPU report
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"{path}: expected a benchmark.json of `sartm benchmark --output`")
    if found.get("version") != VERSION:
        raise ValueError(f"{path}: has version {found.get('version')}, this release reads {VERSION}")
    return found


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What makes the times of two machines incomparable."""
    return [f"{name}: A has {a.get(name)}, B has {b.get(name)}" for name in SAME if a.get(name) != b.get(name)]


def notes(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What may explain a difference."""
    of_a, of_b = a["machine"]["versions"], b["machine"]["versions"]
    found = [("SARTM", a["machine"]["sartm"], b["machine"]["sartm"]), ("frames", a["frames"], b["frames"])]
    found += [(name, of_a.get(name), of_b.get(name)) for name in dict.fromkeys([*of_a, *of_b])]
    found += [(f"weights of {key[0]}", value, weights(b).get(key, value)) for key, value in weights(a).items()]
    return [f"{name}: A has {left}, B has {right}" for name, left, right in found if left != right]


def weights(found: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(case["backbone"], case["size"]): case["weights"] for case in found["cases"]}


def rows(found: dict[str, Any]) -> Iterator[tuple[Line, dict[str, Any]]]:
    """(model, size, engine, precision) and what was measured."""
    for case in found["cases"]:
        for row in filter(None, (case["baseline"], *case["rows"], *case.get("peers", ()))):
            yield (case["backbone"], case["size"], row["engine"], row["precision"]), row


def ratios(a: dict[str, Any], b: dict[str, Any]) -> Line:
    """The cells of one line."""
    cells = []
    for place in COLUMNS.values():
        of_a, of_b = value(a, place), value(b, place)
        cells.append(MISSING if not of_a or of_b is None else f"{of_b / of_a:.2f}")
    speedups = (value(row, SPEEDUP) for row in (a, b))
    return (*cells, *(MISSING if speedup is None else f"{speedup:.2f}" for speedup in speedups))


def value(row: dict[str, Any], place: tuple[str, ...]) -> float | None:
    """The number at this place; None where something on the way is missing."""
    found: Any = row
    for name in place:
        found = found.get(name) if isinstance(found, dict) else None
    return found
