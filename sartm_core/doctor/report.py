"""Findings for people and for programs."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from functools import partial
from typing import Any

import sartm_core
from sartm_core.doctor.findings import Finding

INDENT, ARROW = "  ", "-> "


def as_text(findings: dict[str, list[Finding]], obstacles: list[Finding], columns: int | None) -> str:
    """Aligned; one line each, or folded at so many columns."""
    everything = [finding for found in findings.values() for finding in found]
    status, name = (max(len(getattr(finding, of)) for finding in everything) for of in ("status", "name"))
    lines = []
    for title, found in findings.items():
        lines += [title]
        for finding in found:
            head = f"{INDENT}{finding.status:<{status}}  {finding.name:<{name}}  "
            lines += folded(head, finding.found, ARROW + finding.remedy if finding.remedy else "", columns)
        lines += [""]
    names = ", ".join(finding.name for finding in obstacles)
    lines += [f"Masks from frames cannot be made here: {names}." if names else "Masks from frames can be made here."]
    return "\n".join(lines) + "\n"


def folded(head: str, found: str, remedy: str, columns: int | None) -> list[str]:
    """Behind its head; what does not fit into the columns stands below it, a remedy on lines of its own."""
    line = f"{head}{found} {remedy}".rstrip()
    if columns is None or len(line) <= columns or columns < 2 * len(head):
        return [line]
    wrap = partial(textwrap.wrap, width=columns - len(head), break_long_words=False, break_on_hyphens=False)
    return [f"{' ' * len(head) if i else head}{part}" for i, part in enumerate(wrap(found) + wrap(remedy))]


def as_dict(findings: dict[str, list[Finding]], obstacles: list[Finding]) -> dict[str, Any]:
    """For JSON."""
    lines = [{"about": title, **asdict(finding)} for title, found in findings.items() for finding in found]
    return {"sartm": sartm_core.__version__, "works": not obstacles, "findings": lines}
