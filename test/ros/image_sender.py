"""`python -m test.ros.image_sender`: a camera that found the shipped profile, sixty best-effort 640x480 bgr8 images."""

from __future__ import annotations

from contextlib import suppress

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from sartm_ros.frames.transport import use_shipped_profile


def main(count: int = 60, period: float = 0.033) -> None:
    """Publish `count` images on /big, one every `period` seconds once somebody listens; then wait to be ended."""
    assert use_shipped_profile() is not None
    rclpy.init()
    node = rclpy.create_node("camera")
    publisher = node.create_publisher(Image, "big", qos_profile_sensor_data)
    left = iter(range(count))

    def tick() -> None:
        if publisher.get_subscription_count() and next(left, None) is not None:
            message = Image(height=480, width=640, encoding="bgr8", step=640 * 3)
            message.data.frombytes(bytes(480 * 640 * 3))
            publisher.publish(message)

    node.create_timer(period, tick)
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


if __name__ == "__main__":
    main()
