"""One camera topic: its subscription, QoS, and what the ROS graph knows about its publishers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CompressedImage, Image

from sartm_ros.frames import transport
from sartm_ros.health.explain import Link
from sartm_ros.pairing.stamps import NS

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

TYPES = {"raw": Image, "compressed": CompressedImage}
"""Message type by the parameter `*_transport`."""
MOST_LOST = 2**31
"""Of a count of lost messages: Fast DDS has been seen to let it run over, and then it tells nothing any more."""
CANDIDATES = 5
"""So many other topics are named to someone whose camera publishes nowhere."""


class Camera:
    """Subscription of one stream while the node is active; `on_message(stream, message, arrived)` gets every message.

    arrived: when the middleware had it, monotonic s; 0 where it does not tell.
    """

    def __init__(
        self, node: Any, stream: str, values: dict[str, Any], on_message: Callable[[str, Any, float], None],
        on_incompatible: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._node = node
        self.stream = stream
        self.lost: int | None = 0
        """Messages of this subscription that the middleware reports as lost; None where it cannot tell."""
        self._on_message = on_message
        self._on_incompatible = on_incompatible
        self._kind = TYPES[values[f"{stream}_transport"]]
        reliability = ReliabilityPolicy[values[f"qos.{stream}.reliability"].upper()]
        self._qos = QoSProfile(depth=values[f"qos.{stream}.depth"], reliability=reliability)
        try:
            self._subscription = self._subscribe(message_lost=self._on_lost)
        except UnsupportedEventTypeError:  # an RMW without this event
            self.lost = None
            self._subscription = self._subscribe()

    def _subscribe(self, **events: Any) -> Any:
        told = SubscriptionEventCallbacks(incompatible_qos=lambda _: self._on_incompatible(self.stream), **events)

        def taken(message: Any, info: Any) -> None:
            self._on_message(self.stream, message, monotonic(info["received_timestamp"]))

        return self._node.create_subscription(
            self._kind, f"{self.stream}/image_raw", taken, self._qos, event_callbacks=told
        )

    def _on_lost(self, event: Any) -> None:
        if self.lost is not None and event.total_count < MOST_LOST:
            self.lost = event.total_count
        else:
            self.lost = None

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
        found = [(p.node_name, clashes(p.qos_profile, self._qos)) for p in publishers]
        return Link(
            stream=self.stream,
            topic=self.topic,
            publishers=len(publishers),
            wanted_type=wanted,
            other_types=tuple(sorted({p.topic_type for p in publishers})),
            incompatible="; ".join(f"incompatible QoS: {name} offers {clash}" for name, clash in found if clash),
            best_effort=any(p.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for p in publishers),
            fastdds="fastrtps" in get_rmw_implementation_identifier(),
            profile_hint=str(transport.shipped("fastdds.xml") or ""),
            candidates=() if publishers else self._candidates(wanted),
        )

    def _candidates(self, wanted: str) -> tuple[str, ...]:
        """Other topics of the wanted type that somebody else publishes."""
        node, us = self._node, (self._node.get_name(), self._node.get_namespace())
        try:
            heard = dict(node.get_subscriber_names_and_types_by_node(*us))  # the other camera's, too
        except RuntimeError:  # the graph does not know this node yet
            heard = {}
        there = [name for name, types in node.get_topic_names_and_types() if wanted in types and name not in heard]
        return tuple(name for name in there if self._by_others(name))[:CANDIDATES]

    def _by_others(self, topic: str) -> bool:
        """Whether something else than a node like this one, whose masks are no camera, publishes it."""
        publishers = self._node.get_publishers_info_by_topic(topic)
        return any(publisher.node_name != self._node.get_name() for publisher in publishers)


def monotonic(clock_ns: int) -> float:
    """A moment of the system's clock, ns, as monotonic s; 0 stays 0."""
    return time.monotonic() - (time.time_ns() - clock_ns) / NS if clock_ns else 0.0


def clashes(offered: QoSProfile, asked: QoSProfile) -> str:
    """The policies of a publisher that keep it from a subscription, both sides named; empty when they match.

    For example "reliability best_effort, this node asks for reliable".
    """
    compatible, reason = qos_check_compatible(offered, asked)
    if getattr(compatible, "name", "") != "ERROR":
        return ""
    found = []
    for policy, weak, strong in (
        ("reliability", ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE),
        ("durability", DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL),
        ("liveliness", LivelinessPolicy.AUTOMATIC, LivelinessPolicy.MANUAL_BY_TOPIC),
    ):
        if getattr(offered, policy) == weak and getattr(asked, policy) == strong:
            found.append(f"{policy} {weak.name.lower()}, this node asks for {strong.name.lower()}")
    for policy in ("deadline", "liveliness_lease_duration"):
        given, wanted = (getattr(side, policy).nanoseconds for side in (offered, asked))
        if wanted and (not given or given > wanted):  # 0: for ever
            offer = f"{given / 1e9:g} s" if given else "none"
            found.append(f"{policy} {offer}, this node asks for {wanted / 1e9:g} s")
    return " and ".join(found) or str(reason).strip().rstrip(";")
