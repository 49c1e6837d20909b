"""ROS as it may be found: not at all, from wheels, from a distro, half; profiles and shared memory."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import pytest

from sartm_core.doctor import ros
from sartm_core.doctor.findings import BROKEN, MISSING, NOTE, OK, Finding, guarded

DISTRO_PYTHON = "lib/python3.99/site-packages/rclpy/__init__.py"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A terminal in which nothing was sourced, on a machine without a distro."""
    for name in ("ROS_DISTRO", ros.CHOICE, "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.setattr(ros, "DISTROS", tmp_path / "opt")


def rclpy(monkeypatch: pytest.MonkeyPatch, origin: Path | None, code: int = 0, out: str = "", err: str = "") -> None:
    """Found there; a process that imports it ends so."""
    spec = ModuleSpec("rclpy", None, origin=str(origin)) if origin else None
    monkeypatch.setattr(ros, "find_spec", lambda name: spec)
    answer = subprocess.CompletedProcess([], code, out, err)
    monkeypatch.setattr(ros.subprocess, "run", lambda *_, **__: answer)


def install_middleware(prefix: Path, *names: str) -> None:
    folder = prefix / "share/ament_index/resource_index/rmw_typesupport"
    folder.mkdir(parents=True)
    for name in ("rmw_implementation", *names):
        (folder / name).touch()


def test_no_ros_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    rclpy(monkeypatch, None)
    (finding,) = ros.ros()
    assert finding.status == NOTE and 'pip install "sartm_ros[ros]"' in finding.remedy


def test_a_distro_that_is_not_sourced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rclpy(monkeypatch, None)
    script = tmp_path / "opt/jazzy/setup.bash"
    script.parent.mkdir(parents=True)
    script.touch()
    (finding,) = ros.ros()
    assert (finding.status, finding.remedy) == (NOTE, f"source {script}")


def test_a_sourced_distro(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_middleware(tmp_path, "rmw_fastrtps_cpp", "rmw_zenoh_cpp")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    rclpy(monkeypatch, tmp_path / DISTRO_PYTHON, out="rmw_fastrtps_cpp\n")
    first, second = ros.ros()
    assert (first.status, first.found) == (OK, f"jazzy, {(tmp_path / DISTRO_PYTHON).parent}")
    assert second.status == OK and second.found.startswith("rmw_fastrtps_cpp by default")
    assert second.found.endswith("also installed: rmw_zenoh_cpp")


def test_wheels_and_a_distro_in_one_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [SimpleNamespace(metadata={"Name": name}) for name in ("numpy", "ros-kilted-rclpy")]
    monkeypatch.setattr(ros.metadata, "distributions", lambda: names)
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    rclpy(monkeypatch, Path(sys.prefix) / DISTRO_PYTHON, out="rmw_fastrtps_cpp\n")
    first, _ = ros.ros()
    assert (first.status, first.found) == (NOTE, "wheels of kilted, but jazzy is sourced")


def test_rclpy_of_another_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rclpy(monkeypatch, tmp_path / DISTRO_PYTHON, 1, err="Traceback\nImportError: no C extension\n")
    (finding,) = ros.ros()
    assert finding.status == BROKEN and finding.found.endswith("ImportError: no C extension")
    assert "python3.99 -m venv" in finding.remedy


def test_middleware_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_middleware(tmp_path, "rmw_fastrtps_cpp")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setenv("ROS_DISTRO", "humble")
    monkeypatch.setenv(ros.CHOICE, "rmw_cyclonedds_cpp")
    rclpy(monkeypatch, tmp_path / DISTRO_PYTHON, 102, err="[ERROR] [rcl]: another identifier\n")
    finding = list(ros.ros())[-1]
    assert (finding.status, finding.name) == (BROKEN, "middleware") and "here: rmw_fastrtps_cpp" in finding.found
    assert "apt install ros-humble-rmw-cyclonedds-cpp" in finding.remedy


def the_profile() -> Finding:
    (finding,) = ros.profile()
    return finding


def test_the_shipped_profile() -> None:
    finding = the_profile()
    assert finding.status == OK and "fastdds.xml, by the node" in finding.found and "32 MiB" in finding.found


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (None, BROKEN, "no file"),
        ("not XML", BROKEN, "not XML"),
        ("<dds/>", NOTE, "loses larger images"),
        ("<dds xmlns='http://www.eprosima.com'><segment_size>9999999</segment_size></dds>", OK, "FASTRTPS_DEFAULT"),
    ],
)
def test_a_profile_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, status: str, says: str
) -> None:
    path = tmp_path / "own.xml"
    if content:
        path.write_text(content)
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(path))
    finding = the_profile()
    assert finding.status == status and str(path) in finding.found and says in finding.found
    assert re.match(r"export FAST(DDS|RTPS)_DEFAULT_PROFILES_FILE=", finding.remedy) or status == OK


def test_another_middleware_needs_no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ros.CHOICE, "rmw_zenoh_cpp")
    assert the_profile().status == OK and "not in use" in the_profile().found


def test_a_core_without_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ros, "TRANSPORT", "no_such_package.transport")
    assert guarded("Fast DDS", ros.profile)[0].status == MISSING


@pytest.mark.parametrize(("free", "status"), [(64, NOTE), (96, OK)])
def test_shared_memory_of_a_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, status: str) -> None:
    monkeypatch.setattr(ros, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(ros.shutil, "disk_usage", lambda _: SimpleNamespace(free=free * ros.MIB))
    (finding,) = ros.shared_memory()
    assert finding.status == status and f"{free} MiB free" in finding.found
    assert ("--shm-size" in finding.remedy) == (status == NOTE)


def test_no_shared_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ros, "SHARED_MEMORY", tmp_path / "none")
    (finding,) = ros.shared_memory()
    assert finding.status == NOTE


def test_companions_that_the_node_does_without_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ros, "find_spec", lambda name: None if name == "vision_msgs" else ModuleSpec(name, None))
    (finding,) = ros.companions()
    assert finding.status == NOTE and finding.found == "vision_msgs not found: no topic label_info"
    assert finding.remedy == "on a distro: sudo apt install ros-DISTRO-vision-msgs"
    monkeypatch.setattr(ros, "find_spec", lambda name: ModuleSpec(name, None))
    (finding,) = ros.companions()
    assert finding == Finding(OK, "companions", "vision_msgs, message_filters, cv_bridge")
