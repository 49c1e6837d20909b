"""The page of all commands: what `python -m MODULE --help` prints, taken from the commands themselves.

Each help text comes from a process of its own, as for a user, but forked from one that has the slow libraries already.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import multiprocessing
import os
import re
import runpy
import sys
from pathlib import Path

from sartm_core.__main__ import MODULES, overview

PROCESSES = 2
WIDTH = "100"
"""Columns of a help text."""
SHARED = ("torch", "sartm_core.runtime.segmenter")
"""What most commands import; once is enough."""

COMMANDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "sartm_core.predict": ("predict.md", "Masks of images, folders and videos", ()),
    "sartm_core.train": ("training.md", "Train", ()),
    "sartm_core.evaluate": ("evaluation.md", "Score weights on a data set", ()),
    "sartm_core.compare": ("compare.md", "Which of two checkpoints is better", ()),
    "sartm_core.fit_confidence": ("evaluation.md", "Make the confidence of weights mean what it says", ()),
    "sartm_core.check_data": ("datasets.md", "Is a data set complete and in place", ()),
    "sartm_core.labels": ("labelling.md", "Labels to CVAT and back", ("export", "import")),
    "sartm_core.import_weights": ("import_weights.md", "Weights trained elsewhere", ()),
    "sartm_core.export": ("export.md", "ONNX and OpenVINO files", ()),
    "sartm_core.ros_config": ("consumers.md", "Parameter files for what reads the masks", ()),
    "sartm_core.push": ("hub.md", "Publish weights on the Hugging Face Hub", ()),
    "sartm_core.benchmark": ("performance.md", "Speed of the model on your machine", ()),
    "sartm_core.ablate": ("reproduce.md", "Tables IV to VIII of the paper", ()),
    "sartm_core.figures": ("reproduce.md", "Figures 4 to 8 of the paper", ("qualitative", "tsne", "similarity", "curves", "ranks")),
    "sartm_ros.view": ("view.md", "Look at masks in a browser", ()),
    "sartm_core.browse": ("view.md", "Look through a data set in a browser", ()),
    "sartm_core.doctor": ("doctor.md", "What is installed and what works here", ()),
    "sartm_ros.demo": ("ten-minutes.md", "See it work", ()),
    "sartm_ros.demo.robot": ("consumers.md", "See every output of the node", ()),
    "sartm_ros.bag": ("bags.md", "Work with recordings", ("info", "segment", "extract", "play")),
    "sartm_ros.calibrate": ("registration.md", "Lay the thermal view over the rgb view", ()),
    "sartm_ros.calibration.selftest": ("registration.md", "How well that works on your own pairs", ()),
    "sartm_ros.benchmark": ("benchmark_ros.md", "Speed of the node on your machine", ()),
    "sartm_ros.node.reference": ("node_reference.md", "The tables of the node's pages (for developers)", ()),
}
"""Module -> the page that tells more, what it is for, its subcommands."""
NODES = ("sartm_ros.segment_node", "sartm_ros.cameras", "sartm_ros.replay_node")
"""ROS nodes: their options are ROS parameters; on the page `nodes.md`."""
INTERNAL = (
    *(f"sartm_ros.benchmarking.{name}" for name in ("monitor", "playback", "stand_in")),
    "sartm_core.runtime.engines.building",
    "sartm_core.runtime.ready",
)
"""Processes that a command starts; not for users."""
OVERVIEW = "sartm_core"
"""`sartm` itself."""
SUBCOMMAND = re.compile(r"^    ([a-z_]+)\b", re.MULTILINE)
"""A subcommand in the list of positional arguments; more indented than everything else that starts a line there."""


class HelpError(Exception):
    """A command whose help text cannot be had, or is not what the table says."""


def runnable(root: Path) -> set[str]:
    """Every module of the two packages that `python -m` runs."""
    paths = [path for package in ("sartm_core", "sartm_ros") for path in (root / package).rglob("*.py")]
    found = {".".join(path.relative_to(root).with_suffix("").parts) for path in paths if runs(ast.parse(path.read_text()))}
    return {name.removesuffix(".__main__") for name in found}


def runs(tree: ast.Module) -> bool:
    """Whether a module has an `if __name__ == "__main__"`."""
    return any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in tree.body)


def help_text(words: tuple[str, ...]) -> str:
    """What `python -m WORDS --help` prints. Raises HelpError when it does not end with code 0."""
    sys.argv = [*words, "--help"]
    os.environ.update(COLUMNS=WIDTH, NO_COLOR="1")
    out, err = io.StringIO(), io.StringIO()
    code: object = "no exit"
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code
    if code not in (0, None):
        raise HelpError(f"python -m {' '.join(words)} --help: {code}\n{err.getvalue()}")
    return out.getvalue().rstrip()


def listed(text: str) -> tuple[str, ...]:
    """The subcommands that a help text lists."""
    head, title, rest = text.partition("positional arguments:\n")
    return tuple(SUBCOMMAND.findall(rest.partition("\n\n")[0])) if title else ()


def every_help() -> dict[tuple[str, ...], str]:
    """The help texts of all commands and subcommands, by their words, in the order of the page."""
    for module in SHARED:
        importlib.import_module(module)
    calls = [(module, *sub) for module, (_, _, subs) in COMMANDS.items() for sub in ((), *((s,) for s in subs))]
    with multiprocessing.get_context("fork").Pool(PROCESSES, maxtasksperchild=1) as pool:
        texts = dict(zip(calls, pool.map(help_text, calls, chunksize=1), strict=True))
    for module, (_, _, subs) in COMMANDS.items():
        found = listed(texts[module,])
        if set(found) != set(subs):
            raise HelpError(f"{module}: its help lists {found}, docs/_build/commands.py has {subs}")
    return texts


def anchor(words: tuple[str, ...]) -> str:
    """Id of a command on the page: `core-train`, `ros-bag-info`."""
    return "-".join(word.replace("sartm_", "").replace(".", "-") for word in words)


def spoken(words: tuple[str, ...]) -> str:
    """How a command is called: `sartm bag info`, or by its module where it is not one of `sartm`'s."""
    names = {module: name for name, module in MODULES.items()}
    first = f"sartm {names[words[0]]}" if words[0] in names else f"python -m {words[0]}"
    return " ".join((first, *words[1:]))


def page(texts: dict[tuple[str, ...], str]) -> str:
    """The page, in Markdown."""
    lines = [
        "# Commands\n",
        f"```text\n{overview()}\n```\n",
        "What `--help` prints, for every command; written anew each time this site is built. Options that are fields of a",
        "configuration are told with their types on [their own page](configuration.md). The nodes, whose options are ROS",
        "parameters: [Nodes and launch files](nodes.md). From nothing: `make help`.\n",
        "| command | |",
        "| --- | --- |",
        *(f"| [`{spoken((m,))}`](#{anchor((m,))}) | {text} |" for m, (_, text, _) in COMMANDS.items()),
        "",
    ]
    for words, text in texts.items():
        guide, meaning, _ = COMMANDS[words[0]]
        level = "##" if len(words) == 1 else "###"
        lines.append(f"{level} {spoken(words)} {{ #{anchor(words)} }}\n")
        if len(words) == 1:
            lines.append(f"{meaning}: [more](../{guide}). The same: `python -m {words[0]}`.\n")
        lines.append(f"```text\n{text}\n```\n")
    return "\n".join(lines)
