"""Imports point one way: down the rooms; sartm_core knows nothing of ROS."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROS_MODULES = {
    "rclpy", "rcl_interfaces", "sensor_msgs", "std_msgs", "std_srvs", "diagnostic_msgs", "lifecycle_msgs",
    "vision_msgs", "builtin_interfaces", "message_filters", "cv_bridge", "launch", "launch_ros", "ament_index_python",
    "rosbag2_py", "sartm_ros",
}  # fmt: skip
COMMANDS = (
    "train", "evaluate", "predict", "export", "benchmark", "figures", "check_data", "ablate", "footprint", "cli",
    "training", "evaluation", "ablation", "figure", "checks", "prediction", "compare", "comparison", "labels",
    "annotation", "import_weights", "importing", "fit_confidence", "confidence",
)  # fmt: skip
"""Modules that sit on top, with the packages they are made of: the node must not need them."""
ON_TOP = ("sartm_ros/benchmark.py", "sartm_ros/benchmarking/", "sartm_ros/bag.py", "sartm_ros/bags/")
"""What measures the node or works on recordings is a command, too, and may use what other commands use."""


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


def offenders(package: str, forbidden: tuple[str, ...]) -> list[str]:
    def hit(name: str) -> bool:
        return any(name == f or name.startswith(f + ".") for f in forbidden)

    return [f"{p.relative_to(ROOT)} imports {n}" for p in sources(package) for n in sorted(imported(p)) if hit(n)]


def test_the_walk_sees_files() -> None:
    assert len(sources("sartm_core")) > 5 and len(sources("sartm_ros")) > 5


def test_core_imports_no_ros() -> None:
    assert offenders("sartm_core", tuple(sorted(ROS_MODULES))) == []


def test_ros_imports_no_model_code() -> None:
    assert offenders("sartm_ros", ("sartm_core.model", "sartm_core.losses", "sam2")) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_ros_imports_no_command(command: str) -> None:
    found = offenders("sartm_ros", (f"sartm_core.{command}",))
    assert [text for text in found if not text.startswith(ON_TOP)] == []


def test_the_node_does_not_need_what_sits_on_top() -> None:
    tools = ("benchmark", "benchmarking", "bag", "bags")
    found = offenders("sartm_ros", ("sartm_core.benchmark", *(f"sartm_ros.{tool}" for tool in tools)))
    assert [text for text in found if not text.startswith(ON_TOP)] == []


def test_walk_resolves_relative_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "sartm_ros" / "x.py"
    path.parent.mkdir()
    path.write_text("def f():\n    from . import y\n    from ..sartm_core import model\n    import rclpy.qos as q\n")
    assert {"sartm_ros.y", "sartm_core.model", "rclpy.qos"} <= imported(path)
