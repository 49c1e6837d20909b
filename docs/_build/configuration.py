"""The page of the configuration fields, from the dataclasses, and the page of the files in config/."""

from __future__ import annotations

import importlib
import re
import typing
from dataclasses import is_dataclass
from pathlib import Path

CONFIGS = (
    ("train", "sartm_core.train.config", "TrainConfig", "training.md"),
    ("evaluate", "sartm_core.evaluate.config", "EvaluateConfig", "evaluation.md"),
    ("predict", "sartm_core.predict.config", "PredictConfig", "predict.md"),
    ("view", "sartm_ros.view", "Config", "view.md"),
    ("browse", "sartm_core.browse.config", "BrowseConfig", "view.md"),
    ("compare", "sartm_core.compare.config", "CompareConfig", "compare.md"),
    ("export", "sartm_core.export.config", "ExportConfig", "export.md"),
    ("benchmark", "sartm_core.benchmark.config", "BenchmarkConfig", "performance.md"),
)
"""Command, module and name of its configuration, and the page that tells more."""
LANGUAGES = {".yaml": "yaml", ".xml": "xml", ".json": "json", ".rviz": "yaml", ".csv": "text"}
TOO_LONG = 160
"""A file of more lines is named, not shown."""


def type_of(cls: type, dotted: str) -> str:
    """The type of a field by its dotted name, as in its source, in words."""
    first, _, rest = dotted.partition(".")
    if rest:
        return type_of(typing.get_type_hints(cls)[first], rest)
    owner = next(c for c in cls.__mro__ if first in c.__dict__.get("__annotations__", {}))
    return str(owner.__annotations__[first]).replace(" | ", " or ")


def row(*cells: str) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


def table(cls: type, fields: list[tuple[str, str, object]]) -> str:
    """A Markdown table of fields."""
    lines = row("field", "type", "default", "meaning") + row(*["---"] * 4)
    for name, text, default in fields:
        shown = "required" if "MISSING" in repr(default) else f"`{default}`"
        lines += row(f"`--{name}`", f"`{type_of(cls, name)}`", shown, text)
    return lines + "\n"


def section(command: str, module: str, name: str, guide: str) -> str:
    """One command's fields, a table for each nested configuration."""
    cls = getattr(importlib.import_module(module), name)
    leaves = importlib.import_module("sartm_core.support.cli").leaves
    groups: dict[str, list[tuple[str, str, object]]] = {}
    for field, text, default in leaves(cls):
        groups.setdefault(field.rpartition(".")[0], []).append((field, text, default))
    out = f"## {command}\n\n`{module}.{name}`; [more](../{guide}).\n\n"
    for prefix in sorted(groups, key=lambda group: group != ""):
        if prefix:
            nested = cls
            for part in prefix.split("."):
                nested = typing.get_type_hints(nested)[part]
            assert is_dataclass(nested)
            first = (nested.__doc__ or "").split("\n\n")[0]
            out += f"### {command}: {prefix}\n\n{' '.join(first.split())}\n\n"
        out += table(cls, groups[prefix])
    return out


def fields_page() -> str:
    """Every field of every command that takes `--config FILE.yaml`."""
    head = (
        "# Configuration fields\n\n"
        "Commands take `--config FILE.yaml` and any field as an option: `--data.root DIR` is `root` below `data:` in the\n"
        "file, and wins over it. An unknown name is an error that names the nearest known one. Shipped files:\n"
        "[Files in config/](files.md).\n\n"
    )
    return head + "".join(section(*config) for config in CONFIGS)


def heading(path: str) -> str:
    """Anchor of a file on the page: `config/train/mfnet_paper.yaml` is `config-train-mfnet-paper-yaml`."""
    return re.sub(r"[^a-z0-9]+", "-", path.lower())


def files_page(root: Path) -> str:
    """The files of config/ with their comments."""
    out = (
        "# Files in config/\n\nAs they are in the repository. An installed package has them below "
        "`$(ros2 pkg prefix sartm_ros)/share/sartm_ros/config`.\n\n"
    )
    for path in sorted((root / "config").rglob("*.*"), key=lambda p: (len(p.parts), p.name)):
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8").rstrip()
        lines = text.count("\n") + 1
        out += f"## {name} {{ #{heading(name)} }}\n\n"
        if lines > TOO_LONG:
            out += f"{lines} lines, for a program to read: look at it in the repository.\n\n"
        else:
            out += f"```{LANGUAGES[path.suffix]}\n{text}\n```\n\n"
    return out
