"""Frames in every form people hold them in, as the arrays a `Segmenter` works on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from sartm_core.data.images import read_rgb, read_thermal
from sartm_core.data.swapped import GREY, coloring, coloring_of, look_swapped, question
from sartm_core.support.late import is_tensor
from sartm_core.support.pixels import EIGHT_BIT_MODES, bits, orientation, plain, upright

if TYPE_CHECKING:
    from torch import Tensor

Frame: TypeAlias = "np.ndarray | Tensor | Image.Image | str | PathLike[str]"
"""An array, a tensor, a Pillow image or the path of an image file."""
Frames: TypeAlias = "tuple[Frame | None, Frame | None]"
"""(rgb, thermal)."""
STEP = 8
"""Every so many-th row and column tells whether a picture is grey."""


def as_frames(rgb: Frame | None, thermal: Frame | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Both as arrays. A warning when the first file is grey and the second one in colour: given the wrong way round."""
    frames = as_rgb(rgb), as_thermal(thermal)
    if isinstance(rgb, str | PathLike) and isinstance(thermal, str | PathLike) and frames[0] is not None:
        grey = coloring_of(frames[0][::STEP, ::STEP])  # else the thermal file need not be read again
        if grey < GREY and Path(rgb) != Path(thermal) and look_swapped(grey, coloring(Path(thermal))):
            warnings.warn(question(f"rgb ({rgb})", f"thermal ({thermal})"), stacklevel=3)
    return frames


def as_rgb(frame: Frame | None) -> np.ndarray | None:
    """Colour as (H, W, 3) uint8: a file or Pillow image of 8 bits in any mode, a tensor (3, H, W) or (H, W, 3) uint8.

    Arrays pass as they are. ValueError names the argument, what was found and what was expected.
    """
    if isinstance(frame, Image.Image):
        if frame.mode not in EIGHT_BIT_MODES or bits(frame) > 8:
            raise ValueError(
                f"rgb: got a Pillow image of mode {frame.mode} and {bits(frame)} bits, expected 8-bit colour"
            )
        return upright(np.array(frame.convert("RGB")), orientation(frame))
    if is_tensor(frame):
        array = of_tensor(frame)
        channels_first = array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3
        return np.ascontiguousarray(array.transpose(1, 2, 0)) if channels_first else array  # (H, W, 3)
    return array_of(frame, "rgb", read_rgb)


def as_thermal(frame: Frame | None) -> np.ndarray | None:
    """Thermal as (h, w) uint8, uint16 or float32: as `as_rgb`; of a Pillow image in colour, whose channels are equal,
    the first."""
    if isinstance(frame, Image.Image):
        if frame.mode in EIGHT_BIT_MODES and bits(frame) > 8:
            raise ValueError(f"thermal: got a Pillow image that keeps 8 of {bits(frame)} bits; give the file's path")
        values = upright(
            np.array(frame.convert("RGB") if frame.mode in ("P", "PA", "1") else frame), orientation(frame)
        )
        return plain(values[..., 0] if values.ndim == 3 else values)
    if is_tensor(frame):
        array = of_tensor(frame)
        return array[0] if array.ndim == 3 and len(array) == 1 else array
    return array_of(frame, "thermal", read_thermal)


def of_tensor(frame: Tensor) -> np.ndarray:
    array: np.ndarray = frame.detach().cpu().numpy()
    return array


def array_of(frame: object, name: str, read: Callable[[Path], np.ndarray]) -> np.ndarray | None:
    """An array as it is, a file read; ValueError for anything else."""
    if frame is None or isinstance(frame, np.ndarray):
        return frame
    if not isinstance(frame, str | PathLike):
        many = "; for several frames: seg.stream(pairs)" if isinstance(frame, list | tuple) else ""
        raise ValueError(
            f"{name}: got {type(frame).__name__}, expected a numpy array, a torch tensor, a Pillow image, a path of an "
            f"image file or None{many}"
        )
    try:
        return read(Path(frame))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
