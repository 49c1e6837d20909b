"""The page of the executables that are ROS nodes, their parameters where no other page has them, and the launch files."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

from commands import NODES
from configuration import row

LAUNCH_FILES = ("segment.launch.py", "cameras.launch.py")
TOPICS = {
    "sartm_ros.segment_node": "[Run it](../node.md), [what it says](../node_says.md), "
    "[topics, services, parameters](../node_reference.md).",
    "sartm_ros.cameras": "One parameter, `cameras_file`: [several cameras](../node.md#several-cameras), "
    "[config/cameras.yaml](files.md#config-cameras-yaml).",
    "sartm_ros.replay_node": "",
}
EXECUTABLES = {"sartm_ros.segment_node": "segment", "sartm_ros.cameras": "cameras", "sartm_ros.replay_node": "replay"}


def docstring(path: Path) -> str:
    """The docstring of a file, without importing it."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def launch_arguments(path: Path) -> Iterator[tuple[str, str, str]]:
    """(name, default, description) of each argument of a launch file, read from its source."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ARGUMENTS":
            yield from ast.literal_eval(node.value)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "DeclareLaunchArgument":
            if not isinstance(node.args[0], ast.Constant):
                continue  # the loop over ARGUMENTS
            given = {word.arg: word.value for word in node.keywords}
            yield str(node.args[0].value), default(given["default_value"]), ast.literal_eval(given["description"])


def default(value: ast.expr) -> str:
    """A default as text; of a path only its end, which is a string in the source."""
    if isinstance(value, ast.Constant):
        return str(value.value)
    ends = [part.value for part in ast.walk(value) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return f"the installed {ends[-1]}"


def launch_section(root: Path, name: str) -> str:
    """A launch file: what it says of itself, and its arguments."""
    path = root / "launch" / name
    rows = [row("argument", "default", "meaning"), row(*["---"] * 3)]
    rows += [row(f"`{n}`", f"`{d}`" if d else "", text) for n, d, text in launch_arguments(path)]
    return f"## {name}\n\n```text\n{docstring(path)}\n```\n\n{''.join(rows)}\n"


def replay_parameters() -> str:
    """The replay node's parameters."""
    parameters = importlib.import_module("sartm_ros.replay_node").PARAMETERS
    rows = (row(f"`{name}`", f"`{value}`", text) for name, (value, text) in parameters.items())
    return row("parameter", "default", "meaning") + row(*["---"] * 3) + "".join(rows)


def page(root: Path) -> str:
    """The page, in Markdown."""
    out = (
        "# Nodes and launch files\n\n"
        "Nodes take ROS parameters: `--ros-args -p NAME:=VALUE`, or `--params-file FILE.yaml`. Where the package is built\n"
        "with colcon, `ros2 run sartm_ros NAME` runs the same; pip puts `sartm_NAME` on PATH.\n\n"
    )
    for module in NODES:
        path = root.joinpath(*module.split(".")).with_suffix(".py")
        out += f"## {module}\n\n```text\n{docstring(path)}\n```\n\n"
        out += f"With colcon: `ros2 run sartm_ros {EXECUTABLES[module]}`. {TOPICS[module]}\n\n"
        if module.endswith("replay_node"):
            out += replay_parameters() + "\n"
    return out + "".join(launch_section(root, name) for name in LAUNCH_FILES)
