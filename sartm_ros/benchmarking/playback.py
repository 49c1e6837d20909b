"""The process that plays cameras: frames from memory, on time, whatever the node does. See `peers`.

It notes when each pair went out by the machine's monotonic clock, which the other processes share.
"""

from __future__ import annotations

import itertools
import sys
import time

import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

from sartm_ros.benchmarking import frames
from sartm_ros.benchmarking.peers import serve
from sartm_ros.benchmarking.plan import Plan
from sartm_ros.replay_node import NAMESPACE

Sent = tuple[int, float, float]
"""Stamp of a pair, ns; when its first and its second message began to be published, monotonic s."""


class Playback:
    """The cameras' publishers and the messages they send in a loop."""

    def __init__(self, plan: Plan) -> None:
        self._node = rclpy.create_node("playback", namespace=NAMESPACE)
        kind = CompressedImage if plan.transport == "compressed" else Image
        self._rgb, self._thermal = (
            self._node.create_publisher(kind, f"{stream}/image_raw", qos_profile_sensor_data)
            for stream in ("rgb", "thermal")
        )
        self._beside = [
            (message, self._node.create_publisher(type(message), name, qos_profile_sensor_data))
            for name, message in frames.beside(plan).items()
        ]
        self._pairs = frames.load(plan)
        self._next = itertools.cycle(self._pairs)

    def digest(self) -> str:
        """sha256 of the frames."""
        return frames.digest(self._pairs)

    def connected(self) -> bool:
        """Whether the node listens to both cameras."""
        return bool(self._rgb.get_subscription_count() and self._thermal.get_subscription_count())

    def play(self, rate: float, seconds: float) -> list[Sent]:
        """Send pairs at `rate` Hz for `seconds`; what was sent."""
        begin = time.monotonic()
        sent = []
        for number in range(max(1, round(rate * seconds))):
            due = begin + number / rate
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)
            sent.append(self._send())
        return sent

    def close(self) -> None:
        """Stop publishing."""
        self._node.destroy_node()

    def _send(self) -> Sent:
        rgb, thermal = next(self._next)
        stamp = self._node.get_clock().now()
        rgb.header.stamp = thermal.header.stamp = stamp.to_msg()
        for message, publisher in self._beside:
            if publisher.get_subscription_count():  # an output that needs it is listened to
                message.header.stamp = rgb.header.stamp
                publisher.publish(message)
        first = time.monotonic()
        self._rgb.publish(rgb)
        second = time.monotonic()
        self._thermal.publish(thermal)
        return stamp.nanoseconds, first, second


if __name__ == "__main__":
    sys.exit(serve(Playback))
