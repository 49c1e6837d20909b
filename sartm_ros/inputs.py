"""One camera topic: its subscription, QoS, and what the ROS graph knows about its publishers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CompressedImage, Image

from sartm_ros import transport
from sartm_ros.health import Link

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

TYPES = {"raw": Image, "compressed": CompressedImage}


class Camera:
    """Subscription of one stream while the node is active; `on_message(stream, message)` gets every message."""

    def __init__(
        self,
        node: Any,
        stream: str,
        values: dict[str, Any],
        on_message: Callable[[str, Any], None],
        on_incompatible: Callable[[str], None],
    ) -> None:
        self._node = node
        self.stream = stream
        self._kind = TYPES[values[f"{stream}_transport"]]
        self._qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=values[f"qos.{stream}.depth"],
            reliability=ReliabilityPolicy[values[f"qos.{stream}.reliability"].upper()],
        )
        self._subscription = node.create_subscription(
            self._kind,
            f"{stream}/image_raw",
            lambda message: on_message(stream, message),
            self._qos,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=lambda _: on_incompatible(stream)),
        )

    @property
    def topic(self) -> str:
        """The topic after namespace and remapping."""
        return str(self._subscription.topic_name)

    def close(self) -> None:
        """Stop listening."""
        self._node.destroy_subscription(self._subscription)

    def link(self) -> Link:
        """Ask the graph who publishes here, with which type and QoS."""
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        wanted = f"{self._kind.__module__.split('.')[0]}/msg/{self._kind.__name__}"
        clashes = []
        for publisher in publishers:
            compatible, reason = qos_check_compatible(publisher.qos_profile, self._qos)
            if getattr(compatible, "name", "") == "ERROR":
                offered = publisher.qos_profile.reliability.name.lower()
                clashes.append(
                    f"incompatible QoS: {publisher.node_name} offers {offered}, this node asks for "
                    f"{self._qos.reliability.name.lower()} ({str(reason).strip().rstrip(';')})"
                )
        profile = transport.shipped("fastdds.xml")
        return Link(
            stream=self.stream,
            topic=self.topic,
            publishers=len(publishers),
            wanted_type=wanted,
            other_types=tuple(sorted({p.topic_type for p in publishers})),
            incompatible="; ".join(clashes),
            best_effort=any(p.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for p in publishers),
            fastdds="fastrtps" in get_rmw_implementation_identifier(),
            profile_hint=str(profile or ""),
        )
