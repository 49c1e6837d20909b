"""Everything the node makes of a segmented frame, an entry each: name, type, what it needs, and what makes it.

A new output is one function and one line here: its publisher, when to make it, diagnostics and docs follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sartm_ros.companions.topics import DEPTH, RGB_INFO
from sartm_ros.outputs import pictures, things
from sartm_ros.outputs.scene import Scene

CONFIDENCE, SCORES = "confidence", "scores"
"""Of the model's result, made only where an output needs it."""
OVERLAY, COLOR_MASK = "overlay", "color_mask"
"""Of it too, where the model runs on a GPU; else the output draws them."""


@dataclass(frozen=True)
class Output:
    """One topic."""

    name: str
    """In the node's namespace."""
    type: str
    """`package/msg/Name`; no topic where the package is not installed."""
    make: Callable[[Any, Scene], Any]
    """A fresh message (see `refills`), a scene -> that message, or None: nothing to send. Raises ValueError (`Missing`)
    where something is not there or does not fit; its text goes to the diagnostics."""
    meaning: str
    """For the reference page."""
    needs: tuple[str, ...] = ()
    """Of the names above, names of `Companions.topics`."""
    latched: bool = False
    """Late subscribers get the last message."""
    package: str = ""
    """Python package that is not always there."""
    beside: bool = False
    """Takes a millisecond or more, and a frame may do without: made by a thread beside the model's, after the others,
    of the newest frame."""
    refills: bool = False
    """`make` gets the last frame's message again: one so large that fresh memory is a good part of its cost."""


IMAGE, INFO, TEXT = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo", "std_msgs/msg/String"
PNG, CLOUD = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/PointCloud2"

TABLE = (
    Output("semantic_mask", IMAGE, pictures.semantic_mask, "mono8, class ids; 255: unsure or not a class."),
    Output(
        "semantic_mask/compressed", PNG, pictures.png, "The same as PNG (lossless), named as by image_transport.",
        beside=True,
    ),
    Output(
        "semantic_mask/run_length", IMAGE, pictures.runs,
        "The same as runs: `data` is id (uint8), pixels (int32, little-endian), and so on; encoding `run_length`.",
    ),
    Output(
        "confidence", IMAGE, pictures.confidence, "mono8, probability of the winning class: 0..255 is 0..1.",
        (CONFIDENCE,),
    ),
    Output(
        "overlay", IMAGE, pictures.overlay, "rgb8, class colours over the camera's picture, for people.",
        (OVERLAY,), beside=True,
    ),
    Output(
        "camera_info", INFO, pictures.camera_info,
        "That of the rgb camera, for all images of the mask's size: same stamp and frame.", (RGB_INFO,),
    ),
    Output(
        "color_mask", IMAGE, pictures.color_mask, "rgb8, the exact colours of `classes`; 255 as class 0.",
        (COLOR_MASK,), beside=True,
    ),
    Output("selected_mask", IMAGE, pictures.selected_mask, "mono8, 255 for `selected_classes`, else 0."),
    Output(
        "scores", IMAGE, pictures.scores,
        "32FCn, probability of each entry of `classes` in its order, a quarter of the model's resolution.", (SCORES,),
    ),
    Output(
        "scores/camera_info", INFO, pictures.scores_info, "`camera_info` scaled to the size of `scores`.",
        (SCORES, RGB_INFO),
    ),
    Output(
        "objects_json", TEXT, things.objects_json,
        "JSON: `stamp`, `frame_id`, `size`, `objects` (each `class`, `id`, `score`, `box`, `pixels`, `centroid`, "
        "`kelvin`: `min`, `median`, `max`, `pixels`, or null) and why there are no temperatures, `no_kelvin`.",
        (CONFIDENCE,), beside=True,
    ),
    Output(
        "objects", "vision_msgs/msg/Detection2DArray", things.detections,
        "The same without temperatures. Only where vision_msgs is installed.", (CONFIDENCE,), package="vision_msgs",
        beside=True,
    ),
    Output(
        "hot_spots", TEXT, things.hot_spots,
        "JSON: `stamp`, `frame_id`, `size`, `thermal_size`, `temperature`, `alarm`, `hot_spots` (each `kelvin`, "
        "`peak`, `box`, `pixels` in the thermal frame, `rgb`: the peak there, or null).",
    ),
    Output(
        "alarm", "std_msgs/msg/Bool", things.alarm,
        "True from the first hot spot until `~/reset_alarm`; watched while this or `hot_spots` has a subscriber.",
        latched=True,
    ),
    Output(
        "cloud", CLOUD, things.cloud,
        "x y z rgb label confidence temperature of every pixel with depth, in the rgb frame, organised.",
        (CONFIDENCE, RGB_INFO, DEPTH), beside=True, refills=True,
    ),
)  # fmt: skip
