"""The executables of the package: their imports take a second, in which Ctrl-C must be quiet too."""

from __future__ import annotations

import importlib


def _start(module: str, interrupted: int = 0) -> int:
    try:
        code: int = importlib.import_module(f"sartm_ros.{module}").main()
    except KeyboardInterrupt:  # before the module could install a handler of its own
        return interrupted
    return code


def segment() -> int:
    """The segment node."""
    return _start("segment_node")


def cameras() -> int:
    """Several segment nodes with one model."""
    return _start("cameras")


def replay() -> int:
    """The replay node."""
    return _start("replay_node")


def calibrate() -> int:
    """Finds the registration."""
    return _start("calibrate", interrupted=130)
