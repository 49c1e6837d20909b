"""Where the thermal camera is, from TF: only where tf2_ros is installed, which comes with a ROS distro."""

from __future__ import annotations

from typing import Any

import numpy as np

from sartm_ros.companions.missing import Missing

INSTEAD = "set registration.extrinsic to parameter and give registration.rgb_to_thermal"


class Tf:
    """Looks transforms up; listens to TF from the first question on, which the executor's thread asks."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._buffer: Any = None
        self._obstacle = ""
        self._listener: Any = None

    def listen(self) -> None:
        """Begin to listen; in the executor's thread."""
        if self._buffer is not None or self._obstacle:
            return
        try:
            from tf2_ros import Buffer, TransformListener
        except ImportError as error:
            self._obstacle = f"registration.extrinsic is tf, and tf2_ros is not installed ({error}): {INSTEAD}"
            return
        self._buffer = Buffer()
        self._listener = TransformListener(self._buffer, self._node)

    def matrix(self, target: str, source: str) -> tuple[float, ...]:
        """4x4 row by row: a point in frame `source` -> in frame `target`, metres. Raises Missing."""
        if self._buffer is None:
            raise Missing(self._obstacle or "TF is not listened to yet")
        if not (target and source):
            raise Missing(
                f"TF: the frame_id of rgb is '{source}', of thermal '{target}'; both must have one: {INSTEAD}"
            )
        from rclpy.time import Time

        try:
            found = self._buffer.lookup_transform(target, source, Time()).transform
        except Exception as error:  # tf2's own kinds, which are there only with tf2
            raise Missing(f"TF from {source} to {target}: {error}") from None
        return matrix_of(found.translation, found.rotation)


def matrix_of(translation: Any, rotation: Any) -> tuple[float, ...]:
    """From x, y, z and a quaternion x, y, z, w."""
    x, y, z, w = np.array([rotation.x, rotation.y, rotation.z, rotation.w]) / np.linalg.norm(
        [rotation.x, rotation.y, rotation.z, rotation.w]
    )
    matrix = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), translation.x],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), translation.y],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), translation.z],
            [0, 0, 0, 1],
        ]
    )
    return tuple(matrix.ravel().tolist())
