"""What a robot gets from `colcon build`, and that the packaging files agree with each other."""

import ast
import os
import re
import runpy
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from test.patience import patience

pytestmark = pytest.mark.alone

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "launch" / "segment.launch.py"
NODES = ("segment", "replay", "cameras", "calibrate")
"""What `ros2 run sartm_ros` finds; on PATH they are `sartm_segment` and so on."""
ON_PATH = ("sartm", *(f"sartm_{name}" for name in NODES))
ARGUMENTS = {
    "rgb_topic", "thermal_topic", "depth_topic", "rgb_transport", "thermal_transport", "checkpoint", "device",
    "camera", "namespace", "params_file", "use_sim_time", "replay", "replay_source", "replay_rate",
}  # fmt: skip


def setup_call() -> dict[str, ast.expr]:
    """Keyword arguments of setup() in setup.py, unevaluated."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "setup"]
    return {keyword.arg or "": keyword.value for keyword in calls[0].keywords}


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The install folder of a colcon build of this tree in a workspace of its own."""
    pytest.importorskip("colcon_core", reason="colcon is not installed: pip install colcon-common-extensions")
    pytest.importorskip("colcon_ros", reason="colcon-ros is not installed: pip install colcon-common-extensions")
    workspace = tmp_path_factory.mktemp("workspace")
    command = [sys.executable, "-m", "colcon", "--log-base", str(workspace / "log"), "build"]
    command += [
        "--paths",
        str(ROOT),
        "--build-base",
        str(workspace / "build"),
        "--install-base",
        str(workspace / "install"),
    ]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=workspace, capture_output=True, text=True, timeout=200 * patience(), env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace / "install" / "sartm_ros"


def site_packages(install: Path) -> Path:
    return next(install.glob("lib/python3*/site-packages"))


@pytest.mark.parametrize("name", (*NODES, *ON_PATH))
def test_executable_runs_the_python_that_built_it(install: Path, name: str) -> None:
    script = install / "lib" / "sartm_ros" / name
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[0] == f"#!{sys.executable}"


def test_pip_puts_only_our_own_names_on_path(tmp_path: Path) -> None:
    """`segment` and `replay` may be anybody's. As pip does it: metadata without an `install`."""
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60 * patience())
    (written,) = tmp_path.glob("*.egg-info/entry_points.txt")
    assert sorted(re.findall(r"^(\w+) = ", written.read_text(), re.MULTILINE)) == sorted(ON_PATH)


def test_installed_files(install: Path) -> None:
    share = install / "share" / "sartm_ros"
    assert (install / "share/ament_index/resource_index/packages/sartm_ros").is_file()
    assert (share / "package.xml").is_file()
    for launch in LAUNCH.parent.glob("*.launch.py"):
        assert (share / "launch" / launch.name).read_text() == launch.read_text()
    expected = {p.relative_to(ROOT) for p in (ROOT / "config").rglob("*") if p.is_file()}
    assert {p.relative_to(share) for p in (share / "config").rglob("*") if p.is_file()} == expected
    assert {Path("config/segment.yaml"), Path("config/fastdds.xml")} <= expected


def test_installed_python_packages(install: Path) -> None:
    installed = site_packages(install)
    for package in ("sartm_core", "sartm_ros"):
        ours = {p.relative_to(ROOT) for p in (ROOT / package).rglob("*.py")}
        assert ours <= {p.relative_to(installed) for p in (installed / package).rglob("*.py")}
    shipped = list((ROOT / "sartm_core" / "weights").glob("*.safetensors"))
    assert shipped, "no weights in sartm_core/weights"
    for weights in shipped:
        assert (installed / "sartm_core" / "weights" / weights.name).stat().st_size == weights.stat().st_size
    assert not (installed / "test").exists()


def test_installed_replay_starts_from_its_own_files(install: Path, tmp_path: Path) -> None:
    """The script finds its entry point and the installed package; a wrong source is an error that names it."""
    environment = os.environ | {"PYTHONPATH": str(site_packages(install)), "ROS_LOG_DIR": str(tmp_path)}
    command = [install / "lib/sartm_ros/replay", "--ros-args", "-p", "source:=/no/such/folder"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60 * patience(), env=environment
    )
    assert done.returncode == 1
    assert "parameter source: '/no/such/folder' is no directory" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_package_xml_agrees_with_setup_py() -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    setup = setup_call()
    assert package.get("format") == "3"
    assert package.findtext("name") == "sartm_ros"
    assert package.findtext("version") == ast.literal_eval(setup["version"])
    assert package.findtext("license") == ast.literal_eval(setup["license"]) == "Apache-2.0"
    assert package.findtext("export/build_type") == "ament_python"
    needs = {element.text for element in package.findall("exec_depend")}
    assert {"rclpy", "sensor_msgs", "std_msgs", "std_srvs", "diagnostic_msgs", "launch", "launch_ros"} <= needs


def test_package_xml_is_valid_for_catkin_pkg() -> None:
    catkin_pkg = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg is not installed")
    warnings: list[str] = []
    package = catkin_pkg.parse_package(str(ROOT / "package.xml"), warnings=warnings)
    package.validate(warnings=warnings)
    assert warnings == []


def test_every_ros_import_is_in_package_xml() -> None:
    """A robot that ran rosdep has everything `sartm_ros` imports."""
    ours = {"rclpy", "rcl_interfaces", "message_filters", "cv_bridge", "ament_index_python", "launch", "launch_ros"}
    found: set[str] = set()
    for path in [*(ROOT / "sartm_ros").rglob("*.py"), *LAUNCH.parent.glob("*.launch.py")]:
        names = re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), flags=re.MULTILINE)
        found |= {n for n in names if n in ours or n.endswith(("_msgs", "_srvs"))}
    depends = {e.text for e in ElementTree.parse(ROOT / "package.xml").getroot().findall("exec_depend")}
    assert found and found <= depends


def test_launch_arguments_are_declared_at_top_level() -> None:
    """Read without `launch`, which is on no registry: the table of arguments, declared where `-s` sees it."""
    tree = ast.parse(LAUNCH.read_text())
    tables = [n for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "ARGUMENTS"]
    rows = ast.literal_eval(tables[0].value)
    generate = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "generate_launch_description")
    declared = [
        n for n in ast.walk(generate) if isinstance(n, ast.Call) and ast.unparse(n.func) == "DeclareLaunchArgument"
    ]
    all_calls = [
        n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "DeclareLaunchArgument"
    ]
    assert len(declared) == len(all_calls)  # none inside an OpaqueFunction, where `ros2 launch -s` cannot see it
    literal = {c.args[0].value for c in declared if isinstance(c.args[0], ast.Constant)}
    assert {name for name, _, _ in rows} | literal == ARGUMENTS
    assert all(description.endswith(".") for _, _, description in rows)
    assert dict((name, default) for name, default, _ in rows)["namespace"] == "sartm"


@pytest.mark.parametrize(
    ("file", "arguments", "part"),
    [
        ("segment", {"params_file": "/no/such.yaml"}, "argument params_file: got '/no/such.yaml'"),
        ("segment", {"params_file": "setup.py, /no/such.yaml"}, "argument params_file: got '/no/such.yaml'"),
        ("segment", {"camera": "kodak"}, "argument camera: got 'kodak', expected one of flir_boson, "),
        ("segment", {"replay": "yes"}, "argument replay: got 'yes', expected true or false"),
        ("segment", {"replay": "true", "replay_rate": "fast"}, "argument replay_rate: got 'fast', expected a number"),
        ("cameras", {"cameras_file": "/no/such.yaml"}, "argument cameras_file: got '/no/such.yaml'"),
        ("cameras", {"use_sim_time": "maybe"}, "argument use_sim_time: got 'maybe', expected true or false"),
    ],
)
def test_wrong_launch_argument_is_an_error(
    install: Path, monkeypatch: pytest.MonkeyPatch, file: str, arguments: dict[str, str], part: str
) -> None:
    """Regression: launch_ros passes over a parameter file that is not there, and the node ran with its defaults."""
    with pytest.raises(ValueError, match=re.escape(part)):
        visited(install, monkeypatch, file, arguments)


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        ({}, ["segment.yaml"]),
        ({"camera": "lepton"}, ["segment.yaml", "lepton.yaml"]),
        ({"camera": "lepton", "params_file": "{}/a.yaml"}, ["lepton.yaml", "a.yaml"]),
        ({"params_file": "{}/b.yaml, {}/a.yaml"}, ["b.yaml", "a.yaml"]),
    ],
)
def test_parameter_files_in_the_order_in_which_the_later_wins(
    install: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: dict[str, str], files: list[str]
) -> None:
    """The defaults, the preset of the camera, what the user says."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("")
    given = {name: value.replace("{}", str(tmp_path)) for name, value in arguments.items()}
    names, context = visited(install, monkeypatch, "segment", given)
    found = [Path(path) for path in names["parameter_files"](context)]
    assert [path.name for path in found] == files and all(path.is_file() for path in found)


def visited(install: Path, monkeypatch: pytest.MonkeyPatch, file: str, arguments: dict[str, str]) -> tuple[dict, Any]:
    """What a launch file defines, and the context after its actions, started with these arguments."""
    launch = pytest.importorskip("launch", reason="launch is not installed (it comes with a ROS distro)")
    pytest.importorskip("launch_ros", reason="launch_ros is not installed (it comes with a ROS distro)")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(install))
    names = runpy.run_path(str(install / "share/sartm_ros/launch" / f"{file}.launch.py"))
    context = launch.LaunchContext()
    description = names["generate_launch_description"]()
    context.launch_configurations.update(arguments)
    for action in description.entities:
        action.visit(context)
    return names, context
