"""Outputs that are images: a fresh message and a scene -> the message."""

from __future__ import annotations

from typing import Any

import numpy as np

from sartm_core.scene import pictures, run_length
from sartm_core.support.visualize import overlay as drawn
from sartm_core.support.visualize import thermal_to_gray
from sartm_ros.companions.camera_info import image_size, resized
from sartm_ros.companions.missing import Missing
from sartm_ros.frames.compressed import fill_png
from sartm_ros.frames.filling import fill, write_pixels
from sartm_ros.outputs.scene import Scene

RUN_LENGTH = "run_length"
"""Encoding of a mask as runs: no reader takes it for pixels."""


def semantic_mask(message: Any, scene: Scene) -> Any:
    return fill(message, scene.mask, scene.header)


def png(message: Any, scene: Scene) -> Any:
    return fill_png(message, scene.mask, scene.header)


def runs(message: Any, scene: Scene) -> Any:
    """`sartm_core.scene.run_length` in the data of an Image of the mask's size."""
    message.header, message.encoding = scene.header, RUN_LENGTH
    message.width, message.height = scene.size
    message.data.frombytes(run_length.encode(scene.mask).data)
    return message


def confidence(message: Any, scene: Scene) -> Any:
    return None if scene.result.confidence is None else fill(message, scene.result.confidence, scene.header)


def overlay(message: Any, scene: Scene) -> Any:
    picture, s = scene.drawn("overlay"), scene.settings
    if picture is None:
        base = thermal_to_gray(np.asarray(scene.thermal)) if scene.rgb is None else scene.rgb
        picture = drawn(base, scene.mask, s.class_map.palette, s.alpha)
    return fill(message, picture, scene.header)


def color_mask(message: Any, scene: Scene) -> Any:
    picture = scene.drawn("color_mask")
    if picture is None:
        picture = pictures.color_mask(scene.mask, scene.settings.class_map.palette)
    return fill(message, picture, scene.header)


def selected_mask(message: Any, scene: Scene) -> Any:
    if not scene.settings.selected.any():
        raise Missing("selected_classes is [none]: name the classes that shall be 255")
    return fill(message, pictures.selected_mask(scene.result.mask, scene.settings.selected), scene.header)


def scores(message: Any, scene: Scene) -> Any:
    """One channel for each entry of `classes`, in its order."""
    found = scene.result.scores  # (h, w, C) float32
    if found is None:
        return None
    found = scene.settings.class_map.apply_to_scores(found)
    message.header = scene.header
    return write_pixels(message, found, f"32FC{found.shape[2]}")


def camera_info(message: Any, scene: Scene) -> Any:
    """The rgb camera's own, under the mask's header."""
    return with_header(message, scene, scene.size)


def scores_info(message: Any, scene: Scene) -> Any:
    """The same for the size of `scores`."""
    found = scene.result.scores
    return None if found is None else with_header(message, scene, (found.shape[1], found.shape[0]))


def with_header(message: Any, scene: Scene, size: tuple[int, int]) -> Any:
    info = scene.rgb_info
    if image_size(info) != size:
        resized(info, message, size)
    else:
        for name in info.get_fields_and_field_types():
            setattr(message, name, getattr(info, name))
    message.header = scene.header
    return message
