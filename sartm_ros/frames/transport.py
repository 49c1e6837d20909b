"""The Fast DDS profile that lets camera images through shared memory, and where to find it.

Fast DDS's default shared-memory segment (0.5 MB) loses larger best-effort images silently; see config/fastdds.xml.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
USER_VARIABLES = (VARIABLE, "FASTRTPS_DEFAULT_PROFILES_FILE")
DEFAULT_SEGMENT_BYTES = 549_408
"""Fast DDS's own shared-memory segment; a best-effort message that does not fit in is lost."""


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
    """Make Fast DDS read config/fastdds.xml; call before rclpy.init. Returns its path, or None if the user set one."""
    if any(os.environ.get(variable) for variable in USER_VARIABLES):
        return None
    profile = shipped("fastdds.xml")
    if profile is not None:
        os.environ[VARIABLE] = str(profile)
    return profile
