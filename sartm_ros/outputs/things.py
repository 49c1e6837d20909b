"""Outputs about things in the scene: objects, hot spots, the alarm, a point cloud. As in `pictures`."""

from __future__ import annotations

import importlib
import json
import sys
from array import array
from typing import Any

import numpy as np

from sartm_core.scene import cloud as points
from sartm_ros.outputs.scene import Scene


def about(scene: Scene) -> dict[str, Any]:
    """What every JSON text begins with: which frame it is about. A String has no header."""
    stamp = {"sec": scene.header.stamp.sec, "nanosec": scene.header.stamp.nanosec}
    return {"stamp": stamp, "frame_id": scene.header.frame_id, "size": list(scene.size)}


def objects_json(message: Any, scene: Scene) -> Any:
    listed = [one.to_json() for one in scene.objects]
    message.data = json.dumps(about(scene) | {"no_kelvin": scene.no_kelvin, "objects": listed})
    return message


def detections(message: Any, scene: Scene) -> Any:
    """Detection2DArray: box, class name and score; its messages have no place for a temperature."""
    messages = importlib.import_module("vision_msgs.msg")
    message.header = scene.header
    for one in scene.objects:
        found = messages.Detection2D(header=scene.header)
        left, top, width, height = one.box
        centre = found.bbox.center.position
        centre.x, centre.y = left + (width - 1) / 2, top + (height - 1) / 2
        found.bbox.size_x, found.bbox.size_y = float(width), float(height)
        guess = messages.ObjectHypothesisWithPose()
        guess.hypothesis.class_id, guess.hypothesis.score = one.name, float(one.score or 0.0)
        found.results = [guess]
        message.detections.append(found)
    return message


def hot_spots(message: Any, scene: Scene) -> Any:
    spots, config = [spot.to_json() for spot in scene.hot_spots], scene.settings.alarm
    height, width = scene.kelvin.shape if scene.kelvin is not None else (0, 0)
    told = {"thermal_size": [width, height], "temperature": config.temperature, "alarm": scene.alarm.on}
    message.data = json.dumps(about(scene) | told | {"hot_spots": spots})
    return message


def alarm(message: Any, scene: Scene) -> None:
    """Look for hot spots; `Outputs` tells the alarm when it changes."""
    _ = scene.hot_spots


def cloud(message: Any, scene: Scene) -> Any:
    """`sartm_core.scene.cloud` into the message's data, which is the last frame's if its size is the same."""
    camera = scene.camera
    depth = scene.companions.depth(scene.stamp_ns, scene.settings.depth_tolerance, scene.settings.depth_wait)
    width, height = scene.size
    length = width * height * points.POINT_STEP
    if len(message.data) != length:
        message.data = array("B", bytes(length))
    points.cloud(
        scene.mask, depth, camera, scene.rgb, scene.result.confidence, scene.kelvin, scene.registration,
        out=np.frombuffer(message.data, points.POINT).reshape(height, width),
    )  # fmt: skip
    field = importlib.import_module("sensor_msgs.msg").PointField
    message.header = scene.header
    message.height, message.width = height, width
    message.fields = [
        field(name=name, offset=offset, datatype=kind, count=1) for name, (offset, kind) in points.FIELDS.items()
    ]
    message.is_bigendian = sys.byteorder == "big"
    message.point_step, message.row_step = points.POINT_STEP, points.POINT_STEP * width
    return message
