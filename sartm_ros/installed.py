"""Advice that fits this installation: what a text names must be there for its reader."""

from __future__ import annotations

import os
from shutil import which


def distro_package(name: str) -> str:
    """How to get a package of ROS, such as cv_bridge."""
    distro = os.environ.get("ROS_DISTRO")
    if distro and which("apt"):
        return f"apt install ros-{distro}-{name.replace('_', '-')}"
    return f"{name} comes with a distro of ROS 2, not with pip"
