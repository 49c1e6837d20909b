"""Parameter files whose sections are of no node of this process. rcl passes over them without a word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from sartm_core.support.text import plain
from sartm_core.support.yaml_text import read_yaml

OPTION, VALUES = "--params-file", "ros__parameters"
WILDCARDS = {"**": r"(?:/[^/]+)*", "*": "/[^/]+"}
"""Any number of names, one name."""


def without_effect(args: Sequence[str], nodes: Iterable[str]) -> list[str]:
    """One warning for each file among the arguments of ROS that has no section for any of `nodes`, full names."""
    names = list(nodes)
    warnings = []
    for option, file in pairwise(args):
        if option != OPTION:
            continue
        found = list(sections(read_yaml(file, as_text=True)))
        if not any(matches(section, name) for section in found for name in names):
            told = ", ".join(f"'{plain(section)}'" for section in found) or f"none with {VALUES}"
            warnings.append(
                f"{plain(file)} has no effect: its sections ({told}) are of no node here, which is {', '.join(names)}; "
                f"write /**/{names[0].rsplit('/', 1)[-1]}:"
            )
    return warnings


def sections(values: Any, above: str = "") -> Iterator[str]:
    """The full names, wildcards and all, under which parameters stand; mappings nest as namespaces do."""
    if not isinstance(values, dict):
        return
    if VALUES in values:
        yield above or "/"
    for key, inside in values.items():
        if key != VALUES:
            yield from sections(inside, f"{above}/{str(key).strip('/')}")


def matches(section: str, name: str) -> bool:
    """Whether a section is of the node of that full name, as rcl decides it."""
    parts = (WILDCARDS.get(part, "/" + re.escape(part)) for part in section.split("/") if part)
    return re.fullmatch("".join(parts), name) is not None
