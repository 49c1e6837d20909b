"""The house's rules: imports go down the rooms, never in a circle, and sartm_core knows nothing of ROS."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Container, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROS_MODULES = {
    "rclpy", "rcl_interfaces", "sensor_msgs", "std_msgs", "std_srvs", "diagnostic_msgs", "lifecycle_msgs",
    "vision_msgs", "builtin_interfaces", "message_filters", "cv_bridge", "launch", "launch_ros", "ament_index_python",
    "rosbag2_py", "sartm_ros",
}  # fmt: skip

CORE_COMMANDS = (
    "train", "evaluate", "predict", "compare", "ablate", "figures", "export", "benchmark", "check_data",
    "fit_confidence", "import_weights", "labels", "doctor", "push", "view", "browse", "ros_config",
)  # fmt: skip
"""Rooms that are commands. They may use each other; the node needs none of them."""
CORE_FLOORS = (
    CORE_COMMANDS,
    ("runtime",),
    ("losses",),
    ("model",),
    ("data",),
    ("synthetic",),
    ("scene",),
    ("preprocess",),
    ("support",),
)
"""Rooms of sartm_core from the roof to the ground: imports only go down."""
ROS_FLOORS = (
    ("viewing",),
    ("bags", "benchmarking", "calibration", "demo"),
    ("replay",),
    ("node",),
    ("outputs",),
    ("companions",),
    ("health",),
    ("inference",),
    ("pairing",),
    ("frames",),
)
"""The same of sartm_ros."""
ROS_TOOLS = ("bags", "benchmarking", "calibration", "demo", "bag", "benchmark", "calibrate", "view", "viewing")
"""What measures the node or works on recordings: may use commands of sartm_core; the node uses nothing of it."""
LATE = {("sartm_core.model.sartm", "sartm_core.model.checkpoint")}
"""`SARTM.save`, `load` and `load_sam2` import the checkpoint's room when they are called."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Full names of all modules a file imports, anywhere in it; `from a import b` gives a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:  # relative: resolve against the file's package
                package = path.relative_to(ROOT).with_suffix("").parts[: -node.level]
                module = ".".join([*package, *filter(None, [module])])
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@cache
def house() -> dict[str, set[str]]:
    """Our modules, and which of ours each imports; `from a import b` is b where that is a module, else a."""
    paths = {name_of(path): path for package in ("sartm_core", "sartm_ros") for path in sources(package)}
    found: dict[str, set[str]] = {}
    for name, path in paths.items():
        names = imported(path) & paths.keys()
        whole = {node.module for node in ast.walk(ast.parse(path.read_text())) if takes_more(node, paths)}
        inner = {other.rpartition(".")[0] for other in names} - whole
        found[name] = names - inner - {name}
    return found


def takes_more(node: ast.AST, paths: Container[str]) -> bool:
    """Whether it imports something of a package that is no module in it."""
    return isinstance(node, ast.ImportFrom) and any(f"{node.module}.{alias.name}" not in paths for alias in node.names)


def arrows() -> Iterator[tuple[str, str]]:
    """(importer, imported), by module."""
    yield from ((name, other) for name, others in sorted(house().items()) for other in sorted(others))


def floor_of(module: str, floors: tuple[tuple[str, ...], ...]) -> int | None:
    """Of the room a module is in; None for the files at a package's root."""
    parts = module.split(".")
    return next((i for i, rooms in enumerate(floors) if parts[1] in rooms), None) if len(parts) > 2 else None


def test_the_walk_sees_files() -> None:
    assert len(sources("sartm_core")) > 5 and len(sources("sartm_ros")) > 5
    assert ("sartm_core.model.sartm", "sartm_core.model.encoder") in set(arrows())


def test_core_imports_no_ros() -> None:
    found = {
        path: sorted(ROS_MODULES & {name.split(".")[0] for name in imported(path)}) for path in sources("sartm_core")
    }
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(("package", "floors"), [("sartm_core", CORE_FLOORS), ("sartm_ros", ROS_FLOORS)])
def test_every_folder_is_a_room(package: str, floors: tuple[tuple[str, ...], ...]) -> None:
    folders = {path.parent.relative_to(ROOT / package).parts[:1] for path in sources(package)} - {()}
    assert {name for (name,) in folders} == {room for rooms in floors for room in rooms}


@pytest.mark.parametrize(("package", "floors"), [("sartm_core", CORE_FLOORS), ("sartm_ros", ROS_FLOORS)])
def test_imports_only_go_down(package: str, floors: tuple[tuple[str, ...], ...]) -> None:
    up = []
    for importer, other in arrows():
        if importer.startswith(package) and other.startswith(package):
            above, below = floor_of(importer, floors), floor_of(other, floors)
            if above is not None and below is not None and above > below:
                up.append(f"{importer} imports {other}")
    assert up == []


def test_no_circles() -> None:
    """Not even under TYPE_CHECKING or inside a function, but for `LATE`."""
    left = {name: {other for other in others if (name, other) not in LATE} for name, others in house().items()}
    while ground := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others for name, others in left.items() if name not in ground}
    assert left == {}


def test_ros_imports_no_model_code() -> None:
    found = [
        f"{a} imports {b}" for a, b in arrows() if a.startswith("sartm_ros") and floor_of(b, CORE_FLOORS) in (2, 3)
    ]
    assert found == []


@pytest.mark.parametrize("command", CORE_COMMANDS)
def test_the_node_imports_no_command(command: str) -> None:
    found = [
        f"{importer} imports {other}"
        for importer, other in arrows()
        if other.startswith(f"sartm_core.{command}.")
        and importer.startswith("sartm_ros.")
        and importer.split(".")[1] not in ROS_TOOLS
    ]
    assert found == []


def test_the_node_does_not_need_the_tools() -> None:
    found = [
        f"{importer} imports {other}"
        for importer, other in arrows()
        if importer.startswith("sartm_ros.")
        and importer.split(".")[1] not in ROS_TOOLS
        and other.startswith(tuple(f"sartm_ros.{tool}" for tool in ROS_TOOLS))
    ]
    assert found == []


def test_walk_resolves_relative_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "sartm_ros" / "x.py"
    path.parent.mkdir()
    path.write_text("def f():\n    from . import y\n    from ..sartm_core import model\n    import rclpy.qos as q\n")
    assert {"sartm_ros.y", "sartm_core.model", "rclpy.qos"} <= imported(path)


def test_a_start_does_not_import_the_network() -> None:
    """Seconds and 200 MB, for nothing where an engine has kept what it compiled."""
    heavy = ("sartm_core.model.sartm", "timm", "sam2", "torchvision", "torch._dynamo")
    code = f"import sys, sartm_core.runtime.segmenter; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
