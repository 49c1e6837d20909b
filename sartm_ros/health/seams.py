"""What health asks of the node, whose rooms lie above."""

from __future__ import annotations

from typing import Protocol

from sartm_ros.health.explain import Link


class Camera(Protocol):
    """One camera topic."""

    topic: str
    lost: int | None
    """Messages that the middleware reports as lost; None where it cannot tell."""

    def link(self) -> Link:
        """What the ROS graph knows about it."""


class Outputs(Protocol):
    """The node's publishers."""

    current_state: str
    """The text of the topic `state`."""

    def state(self, text: str) -> None:
        """Tell another one."""

    def subscribers(self) -> int:
        """How many listen to masks and pictures."""

    def missing(self) -> dict[str, str]:
        """Outputs that cannot be made though somebody listens, and why."""
