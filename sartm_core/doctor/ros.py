"""Probes of ROS 2: rclpy and its middleware, the Fast DDS profile, shared memory. Nothing of ROS is imported here."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from sartm_core.doctor.findings import BROKEN, NOTE, OK, Finding

DISTROS = Path("/opt/ros")
WHEEL = re.compile(r"ros-(\w+)-rclpy")
ASK = "import rclpy.utilities as u; print(u.get_rmw_implementation_identifier())"
"""In a process of its own: rclpy ends the process when the middleware asked for is not there."""
PATIENCE = 60
"""Seconds for that."""
FASTDDS = "rmw_fastrtps"
CHOICE = "RMW_IMPLEMENTATION"
TRANSPORT = "sartm_ros.frames.transport"
"""Knows which profile counts. Taken by name, as sartm_core does without ROS."""
PROFILE = "fastdds.xml"
SHARED_MEMORY = Path("/dev/shm")
PROCESSES = 3
"""Two cameras and the node: each has a segment of its own."""
MORE = "in a container: docker run --ipc=host, or --shm-size=1g; what crashed processes left: fastdds shm clean"
COMPANIONS = {
    "vision_msgs": "no topic label_info",
    "message_filters": "sync.policy nearest only",
    "cv_bridge": "no Bayer and YUV frames of colour cameras",
}
"""Packages of a distro that the node can do without -> what it then lacks."""
MIB = 2**20


def ros() -> Iterator[Finding]:
    """rclpy: where it is from, whether it starts, with which middleware."""
    spec = find_spec("rclpy")
    if spec is None or spec.origin is None:
        yield Finding(NOTE, "rclpy", "not found; masks from files do without it", way_in())
        return
    distro, origin = os.environ.get("ROS_DISTRO", ""), Path(spec.origin)
    wheels = origin.is_relative_to(sys.prefix) and wheel_distro()
    where = f"wheels of {wheels}" if wheels else f"{distro or 'unknown distro'}, {origin.parent}"
    child = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, timeout=PATIENCE)
    wanted, here = os.environ.get(CHOICE, ""), installed_middleware()
    if child.returncode and wanted and wanted not in here:
        yield Finding(NOTE, "rclpy", f"{where}, not started")
        found = f"{CHOICE} is {wanted}, which is not installed; here: {', '.join(here) or 'none'}"
        apt = f"sudo apt install ros-{distro or 'DISTRO'}-{wanted.replace('_', '-')}"
        yield Finding(BROKEN, "middleware", found, f"unset {CHOICE}" if wheels else f"{apt}, or unset {CHOICE}")
    elif child.returncode:
        said = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
        yield Finding(BROKEN, "rclpy", f"{where}: {said[-1]}", python_of(origin))
    else:
        if wheels and distro and distro != wheels:
            remedy = f"a terminal without {distro}, or a venv without the wheels"
            yield Finding(NOTE, "rclpy", f"{where}, but {distro} is sourced", remedy)
        else:
            yield Finding(OK, "rclpy", where)
        others = [name for name in here if name != child.stdout.strip()]
        also = f"; also installed: {', '.join(others)}" if others else ""
        why = f"by {CHOICE}" if wanted else f"by default, {CHOICE} is not set"
        yield Finding(OK, "middleware", f"{child.stdout.strip()} {why}{also}")


def companions() -> Iterator[Finding]:
    """Packages beside rclpy that the node takes where it finds them."""
    lacking = [name for name in COMPANIONS if find_spec(name) is None]
    if not lacking:
        yield Finding(OK, "companions", ", ".join(COMPANIONS))
        return
    found = "; ".join(f"{name} not found: {COMPANIONS[name]}" for name in lacking)
    distro = os.environ.get("ROS_DISTRO", "DISTRO")
    names = " ".join(f"ros-{distro}-{name.replace('_', '-')}" for name in lacking)
    yield Finding(NOTE, "companions", found, f"on a distro: sudo apt install {names}")


def way_in() -> str:
    """To ROS, where rclpy was not found."""
    scripts = sorted(DISTROS.glob("*/setup.bash"))
    return f"source {scripts[-1]}" if scripts else 'source your distro, or pip install "sartm_ros[ros]"'


def python_of(origin: Path) -> str:
    """What to do when rclpy at `origin` is for another Python than this one."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    built = re.search(r"python(3\.\d+)", str(origin))
    if built and built[1] != here:
        return f"it is for Python {built[1]}, this is {here}: python{built[1]} -m venv --system-site-packages .venv"
    return "source the distro's setup.bash in this terminal"


def wheel_distro() -> str:
    """The distro whose wheels are installed, empty without."""
    names = (str(package.metadata["Name"]).lower() for package in metadata.distributions())
    return next((match[1] for name in names if (match := WHEEL.fullmatch(name.replace("_", "-")))), "")


def installed_middleware() -> list[str]:
    """By the index of the sourced workspaces and of the wheels."""
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p] + [Path(sys.prefix)]
    listed = (p / "share" / "ament_index" / "resource_index" / "rmw_typesupport" for p in prefixes)
    return sorted({file.name for folder in listed for file in folder.glob("rmw_*")} - {"rmw_implementation"})


def profile() -> Iterator[Finding]:
    """The Fast DDS profile that the node would start with, and the shared memory it asks for."""
    middleware = os.environ.get(CHOICE, FASTDDS)
    if not middleware.startswith(FASTDDS):
        yield Finding(OK, "Fast DDS", f"not in use, {CHOICE} is {middleware}")
        return
    transport = importlib.import_module(TRANSPORT)
    variable = next((name for name in transport.USER_VARIABLES if os.environ.get(name)), "")
    path = Path(os.environ[variable]) if variable else transport.shipped(PROFILE)
    remedy = f"export {transport.variable()}={transport.shipped(PROFILE)}"
    loses = f"its default of {transport.DEFAULT_SEGMENT_BYTES / MIB:.1f} MiB loses larger images silently"
    if path is None:
        yield Finding(BROKEN, "Fast DDS", f"config/{PROFILE} is not installed; {loses}", "install SARTM again")
    elif not path.is_file():
        yield Finding(BROKEN, "Fast DDS", f"{variable} names {path}, which is no file; {loses}", remedy)
    elif (segment := segment_bytes(path)) is None:
        yield Finding(BROKEN, "Fast DDS", f"{path} is not XML; {loses}", remedy)
    elif segment <= transport.DEFAULT_SEGMENT_BYTES:
        yield Finding(NOTE, "Fast DDS", f"{path} asks for no larger shared memory; {loses}", remedy)
    elif variable:
        yield Finding(OK, "Fast DDS", f"{path}, by {variable}: {segment / MIB:.0f} MiB of shared memory a process")
    else:
        found = f"{path}, by the node for itself: {segment / MIB:.0f} MiB of shared memory; camera drivers need it too"
        yield Finding(OK, "Fast DDS", found, remedy)
        small = transport.too_small(transport.shared_memory_free(), segment)
        if small:
            yield Finding(NOTE, "shared memory", small, "docker run --shm-size=512m")


def segment_bytes(path: Path) -> int | None:
    """The largest shared-memory segment that a profile asks for, 0 without; None when it is no XML."""
    try:
        elements = ElementTree.parse(path).iter()
    except ElementTree.ParseError:
        return None
    return max((int(e.text) for e in elements if e.tag.endswith("segment_size") and e.text), default=0)


def shared_memory() -> Iterator[Finding]:
    """Whether two cameras and the node fit in, each with the shipped profile."""
    if not SHARED_MEMORY.is_dir():
        yield Finding(NOTE, "shared memory", f"no {SHARED_MEMORY} here: images take the network")
        return
    shipped = importlib.import_module(TRANSPORT).shipped(PROFILE)
    wanted = PROCESSES * ((shipped and segment_bytes(shipped)) or 0)
    free = shutil.disk_usage(SHARED_MEMORY).free
    found = f"{free / MIB:,.0f} MiB free in {SHARED_MEMORY}, two cameras and the node take {wanted / MIB:.0f}"
    enough = free >= wanted
    yield Finding(OK if enough else NOTE, "shared memory", found, "" if enough else MORE)
