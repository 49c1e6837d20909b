"""A camera as its own process: `python -m test.soak.camera --stream rgb --rate 30 --stamps rgb.stamps`.

640x480 rgb8 or 16UC1, best effort, stamped with the time of publishing. Frames differ from one to the next, as those of
a real sensor do, so that nobody takes it for frozen. Cameras of one rate expose together, as with a common trigger.
Before a frame is published its stamp (ns, one a line) is written.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TextIO

import numpy as np
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from sartm_ros.frames.filling import write_pixels
from sartm_ros.frames.transport import use_shipped_profile

WIDTH, HEIGHT = 640, 480
FRAMES = 16
"""Different pictures, sent in turn."""
ENCODINGS = {"rgb": "rgb8", "thermal": "16UC1"}


def pictures(stream: str) -> list[np.ndarray]:
    """`FRAMES` pictures: smooth, with noise; (480, 640, 3) uint8 for rgb, (480, 640) uint16 for thermal."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    made = []
    for number in range(FRAMES):
        wave = np.sin(x / 60 + number) + np.cos(y / 45 + number / 2)  # (480, 640) in -2..2
        if stream == "rgb":
            noise = rng.integers(0, 20, (HEIGHT, WIDTH, 3))
            made.append((100 + 40 * wave[..., None] + noise).clip(0, 255).astype(np.uint8))
        else:
            made.append((29500 + 300 * wave + rng.integers(0, 50, (HEIGHT, WIDTH))).astype(np.uint16))
    return made


class Camera(Node):
    """Publishes one of the pictures at every tick."""

    def __init__(self, stream: str, rate: float, stamps: TextIO | None) -> None:
        super().__init__(f"{stream}_camera", namespace="sartm")
        self._encoding, self._frame_id = ENCODINGS[stream], f"{stream}_optical"
        self._stamps = stamps
        self._pictures = pictures(stream)
        self._sent = 0
        self._publisher = self.create_publisher(Image, f"{stream}/image_raw", qos_profile_sensor_data)
        period = 1.0 / rate
        time.sleep(period - time.monotonic() % period)  # the machine's clock is the trigger
        self.create_timer(period, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _tick(self) -> None:
        message = write_pixels(Image(), self._pictures[self._sent % FRAMES], self._encoding)
        now = self.get_clock().now()
        message.header.stamp, message.header.frame_id = now.to_msg(), self._frame_id
        if self._stamps is not None:
            self._stamps.write(f"{now.nanoseconds}\n")
        self._publisher.publish(message)
        self._sent += 1


def read_stamps(path: Path) -> list[int]:
    """The stamps (ns) a camera wrote; a last line cut short by kill -9 is left out."""
    text = path.read_text() if path.is_file() else ""
    return [int(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def main() -> int:
    """Run until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", choices=ENCODINGS, required=True)
    parser.add_argument("--rate", type=float, required=True, help="Hz")
    parser.add_argument("--stamps", type=Path, help="append the stamps to this file")
    options = parser.parse_args()
    use_shipped_profile()
    rclpy.init(args=[])
    with ExitStack() as stack:
        stamps = stack.enter_context(options.stamps.open("a", buffering=1)) if options.stamps else None
        node = Camera(options.stream, options.rate, stamps)
        with suppress(KeyboardInterrupt, ExternalShutdownException):
            rclpy.spin(node)
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
