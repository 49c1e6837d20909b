"""The Fast DDS profile that lets camera images through shared memory, and where to find it.

Fast DDS's default shared-memory segment (0.5 MB) loses larger best-effort images silently; see config/fastdds.xml.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from sartm_core.support.files import cache_folder, write_text

FASTDDS_3, FASTDDS_2 = USER_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""Fast DDS 3 (Kilted and later) reads the first alone, 2 (Jazzy, Humble) the second alone."""
LIBRARY_2 = ("lib/libfastrtps.so*", "lib/*-linux-gnu/libfastrtps.so*")
"""In the prefix of a distro or of the wheels."""
DEFAULT_SEGMENT_BYTES = 549_408
"""Fast DDS's own shared-memory segment; a best-effort message that does not fit in is lost."""
SHIPPED_SEGMENT_BYTES = 1 << 25
"""What config/fastdds.xml asks for."""
SHARED_MEMORY = "/dev/shm"
PROCESSES, SMALLEST_SEGMENT = 4, 1 << 22
"""Processes with images that shared memory should hold, and the least segment, bytes: four 640x480 colour frames."""
SEGMENT = re.compile(r"<segment_size>\s*(\d+)\s*</segment_size>")
MIB = 1 << 20


def shipped(name: str) -> Path | None:
    """Path of a file of the package's config folder: source checkout, then ament index, then sys.prefix.

    `pip install -e` copies config/ into sys.prefix, where it goes stale; the checkout it runs from comes first.
    """
    root = Path(__file__).resolve().parents[2]
    folders = [root / "config"] if (root / "setup.py").is_file() else []
    try:
        from ament_index_python.packages import get_package_share_directory

        folders.append(Path(get_package_share_directory("sartm_ros")) / "config")
    except (ImportError, LookupError, OSError):  # no index, not in it (a KeyError), AMENT_PREFIX_PATH not set
        pass
    folders.append(Path(sys.prefix) / "share" / "sartm_ros" / "config")
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def use_shipped_profile() -> Path | None:
    """Make Fast DDS read config/fastdds.xml; call before rclpy.init. Returns its path, or None if the user set one,
    which then counts under either name.

    Where shared memory is too small for its segment, as the 64 MB of a container, a copy with a smaller one.
    """
    own = next((os.environ[name] for name in USER_VARIABLES if os.environ.get(name)), "")
    profile = None if own else shipped("fastdds.xml")
    if profile is not None:
        profile = fitting(profile, shared_memory_free())
    if own or profile:
        os.environ[variable()] = own or str(profile)
    return profile


def variable() -> str:
    """Which of the two the Fast DDS of this installation reads."""
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    found = (file for prefix in prefixes for pattern in LIBRARY_2 for file in Path(prefix).glob(pattern))
    return FASTDDS_2 if any(found) else FASTDDS_3


def shared_memory_free() -> int | None:
    """Bytes; None where the system has none that can be asked."""
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def too_small(free: int | None, segment: int) -> str:
    """What to say where so much free shared memory does not hold the segments of two cameras and a node; else ""."""
    if free is None or free >= PROCESSES * segment:
        return ""
    return (
        f"{SHARED_MEMORY} has {free / MIB:.0f} MiB free, and every process with images wants {segment / MIB:.0f} MiB: "
        "Fast DDS falls back to UDP, which loses large images. In a container: docker run --shm-size=512m"
    )


def fitting(profile: Path, free: int | None) -> Path:
    """The profile, or in the cache folder a copy whose segment the free shared memory holds for a few processes."""
    text = profile.read_text(encoding="utf-8")
    found = SEGMENT.search(text)
    if found is None or free is None or not too_small(free, int(found.group(1))):
        return profile
    size = max(SMALLEST_SEGMENT, 1 << max(0, (free // PROCESSES).bit_length() - 1))  # a power of two
    copy = cache_folder() / f"fastdds_{size}.xml"
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_text(copy, SEGMENT.sub(f"<segment_size>{size}</segment_size>", text))
    except OSError:  # a home that cannot be written: the shipped one, and Fast DDS does what it can
        return profile
    return copy
