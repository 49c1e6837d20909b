"""From camera arrays to what the model takes: one place, used by training, evaluation and the robot alike."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.normalise import check_rgb, check_thermal, normalize_rgb, normalize_thermal, thermal_on
from sartm_core.preprocess.parallax import FrameRegistration
from sartm_core.preprocess.registration import GridMaker, Registration
from sartm_core.preprocess.resize import mean_color, pad, pad_pixels, padded, resize, resized, resized_pixels
from sartm_core.preprocess.warping import PlaceMaker, warped
from sartm_core.support.gpu import upload

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Pixels(Enum):
    """When an rgb frame goes to the engine as uint8 pixels."""

    NEVER = "never"
    FITTING = "where its size is the model's"
    ALWAYS = "always, rounded after resizing"


def prepare(
    rgb: np.ndarray | None,
    thermal: np.ndarray | None,
    config: PreprocessConfig,
    device: torch.device | str = "cpu",
    registration: FrameRegistration | None = None,
    grid: GridMaker | None = None,
    pixels: Pixels = Pixels.NEVER,
) -> tuple[Tensor | None, Tensor | None]:
    """One frame of each camera -> model inputs (1, 3, H, W) and (1, 1, H, W) of one common size; None stays None.

    pixels: whether rgb stays (1, H, W, 3) uint8, for an engine that normalises it; of the model's size already, on a
    CPU, without a copy.
    The size follows the rgb camera; the thermal one when there is no rgb. With `registration` (and optionally a cache
    of its sampling grids) the thermal frame is warped into the rgb view; alone it keeps its own. Raises ValueError
    when both are None, one has the wrong shape or type, or the registration does not fit the sizes.
    """
    size, content = sizes_of(rgb, thermal, config)
    rgb_in = thermal_in = None
    if rgb is not None:
        fits = rgb.shape[:2] == size
        if pixels is Pixels.NEVER or (pixels is Pixels.FITTING and not fits):
            rgb_in = pad(resize(normalize_rgb(rgb, config, device)[None], content), size)  # (1, 3, H, W)
        elif fits:
            rgb_in = upload(rgb, device)[None]  # (1, H, W, 3)
        else:
            rgb_in = pad_pixels(resized_pixels(rgb, content, device), size, config)  # (1, H, W, 3)
    if thermal is not None:
        values = thermal_on(device, thermal, config.thermal)  # (h, w)
        if registration is not None and rgb is not None:
            thermal_in = registration.warp(values[None, None], rgb.shape[:2], content, grid)  # (1, 1, h, w)
        else:
            thermal_in = resize(values[None, None], content)  # (1, 1, h, w)
        thermal_in = pad(thermal_in, size)  # (1, 1, H, W)
    return rgb_in, thermal_in


def prepare_arrays(
    rgb: np.ndarray | None,
    thermal: np.ndarray | None,
    config: PreprocessConfig,
    registration: FrameRegistration | None = None,
    places: PlaceMaker | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The same on a CPU, (1, H, W, 3) uint8 and (1, 1, H, W) float32, without torch; places: cached ones."""
    size, content = sizes_of(rgb, thermal, config)
    rgb_in = thermal_in = None
    if rgb is not None:
        whole = padded(resized(rgb, content), size, mean_color(config.rgb_mean))
        rgb_in = np.ascontiguousarray(whole)[None]  # (1, H, W, 3)
    if thermal is not None:
        values = normalize_thermal(thermal, config.thermal)  # (h, w)
        if registration is None or rgb is None:
            values = resized(values, content)  # (h, w)
        elif isinstance(registration, Registration):
            values = warped(values, registration, rgb.shape[:2], content, places)  # (h, w)
        else:
            values = registration.warped(values, rgb.shape[:2], content, places)  # (h, w)
        thermal_in = padded(values, size)[None, None]  # (1, 1, H, W)
    return rgb_in, thermal_in


def sizes_of(
    rgb: np.ndarray | None, thermal: np.ndarray | None, config: PreprocessConfig
) -> tuple[tuple[int, int], tuple[int, int]]:
    """(H, W) of the model's input, and of the frames within it. ValueError as of `prepare`."""
    if rgb is None and thermal is None:
        raise ValueError("rgb, thermal: both are None; give at least one of the two")
    if rgb is not None:
        check_rgb(rgb)
    if thermal is not None:
        check_thermal(thermal)
    frame = rgb if rgb is not None else thermal
    assert frame is not None
    return config.model_size(*frame.shape[:2]), config.content_size(*frame.shape[:2])
