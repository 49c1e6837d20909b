"""The libraries only this command uses, imported when they are needed and with a word for who lacks them."""

from __future__ import annotations

import importlib
from typing import Any


class CalibrationError(RuntimeError):
    """The registration cannot be found or must not be trusted; the text says why and what to do."""


def _need(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CalibrationError(
            f"calibrate needs scikit-image and scipy ({error}); install them: pip install scikit-image"
        ) from error


def ndimage() -> Any:
    """scipy.ndimage"""
    return _need("scipy.ndimage")


def fft() -> Any:
    """scipy.fft, which keeps float32"""
    return _need("scipy.fft")


def measure() -> Any:
    """skimage.measure"""
    return _need("skimage.measure")


def transform() -> Any:
    """skimage.transform"""
    return _need("skimage.transform")


def opencv() -> Any:
    """cv2, for targets"""
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        raise CalibrationError(
            f"--target needs OpenCV ({error}); install it: pip install opencv-python-headless, or on a robot "
            "sudo apt install python3-opencv"
        ) from error


def check() -> None:
    """CalibrationError now rather than after a minute of work."""
    for library in (ndimage, fft, measure, transform):
        library()
