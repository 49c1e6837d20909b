"""A running node as a source of a page: subscriptions that are there only while somebody looks. Needs ROS."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from sartm_core.view.source import Live
from sartm_ros.frames.transport import use_shipped_profile
from sartm_ros.node.outputs import LATCHED
from sartm_ros.pairing.nearest import STREAMS
from sartm_ros.viewing.assembly import Assembly

LOOK_S = 0.5
"""How often it is asked whether somebody looks, and where the cameras are."""
DIAGNOSTICS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


class Viewer(Node):
    """Listens, and says nothing: no publisher, no service, no parameter."""

    def __init__(self, live: Live, namespace: str, cameras: dict[str, str], context: Any) -> None:
        super().__init__(
            "view", namespace=namespace, context=context, enable_rosout=False, start_parameter_services=False
        )
        self._live, self._given = live, cameras
        self.assembly = Assembly(live, namespace)
        self.pictures: dict[str, tuple[str, Any]] = {}
        """Topic and subscription of each picture that is listened to."""
        self.create_subscription(String, "classes", self._classes, LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.assembly.diagnostics, DIAGNOSTICS)
        self.create_timer(LOOK_S, self.look)

    def _classes(self, message: Any) -> None:
        self.assembly.classes(message.data)

    def look(self) -> None:
        """Listen to what is looked at."""
        self.assembly.silence()
        wanted = self.wanted() if self._live.watched() else {}
        for name, (topic, subscription) in list(self.pictures.items()):
            if wanted.get(name, ("",))[0] != topic:
                self.destroy_subscription(subscription)
                del self.pictures[name]
        for name, (topic, kind, take) in wanted.items():
            if name not in self.pictures:
                self.pictures[name] = topic, self.create_subscription(kind, topic, take, qos_profile_sensor_data)

    def wanted(self) -> dict[str, tuple[str, type, Callable[[Any], None]]]:
        """Topic, type and taker of every picture there is."""
        found: dict[str, tuple[str, type, Callable[[Any], None]]] = {
            "mask": (self.resolve_topic_name("semantic_mask"), Image, self.assembly.mask),
            "confidence": (self.resolve_topic_name("confidence"), Image, self.assembly.confidence),
        }
        for stream in STREAMS:
            topic = self._given.get(stream) or self.assembly.topics.get(stream)
            kinds = {info.topic_type for info in self.get_publishers_info_by_topic(topic)} if topic else set()
            kind = CompressedImage if kinds == {"sensor_msgs/msg/CompressedImage"} else Image
            if topic and kinds:
                found[stream] = topic, kind, partial(self.assembly.camera, stream, topic)
        return found


@contextmanager
def open_live(namespace: str, cameras: dict[str, str]) -> Iterator[Live]:
    """The node of a namespace; cameras: topics by stream, where the node's own are not meant."""
    use_shipped_profile()
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    live = Live(f"the node in /{namespace.strip('/')}")
    node = Viewer(live, namespace, cameras, context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=partial(spin, executor), name="sartm-view-ros", daemon=True)
    thread.start()
    try:
        yield live
    finally:
        executor.shutdown()
        thread.join()
        node.destroy_node()
        rclpy.shutdown(context=context)


def spin(executor: SingleThreadedExecutor) -> None:
    with suppress(ExternalShutdownException):
        executor.spin()
