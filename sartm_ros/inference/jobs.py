"""What goes through the model's thread: frames for a mask, what the model needs of them, and who wants it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sartm_ros.frames.images import Incoming
from sartm_ros.inference.timing import Trace

CHECKPOINT = "checkpoint"
"""Value of `adapter` for the weights of the parameter `checkpoint`."""


@dataclass(frozen=True, eq=False)
class Job:
    """Frames for one mask, one of them None in degraded mode."""

    rgb: Incoming | None
    thermal: Incoming | None
    received: float
    """Arrival of the newer one, monotonic s."""
    waited: float = 0.0
    """How long the older one waited for it, s."""
    leftover: bool = False
    """It waited while the process stood still, and nothing newer came: old as it is, its mask is wanted."""
    arrived: float = 0.0
    """When the middleware had the newer one, monotonic s; of one that does not tell, as `received`."""

    @property
    def master(self) -> Incoming:
        """The frame whose header and size the outputs carry: rgb, or thermal when it is alone."""
        frame = self.rgb or self.thermal
        assert frame is not None
        return frame

    @property
    def one_camera(self) -> bool:
        """Whether the other camera's frame is missing."""
        return self.rgb is None or self.thermal is None


@dataclass(frozen=True, eq=False)
class Request:
    """What the model needs for one mask, the fields of `sartm_core.FramePair`; and where it came from."""

    rgb: np.ndarray | None
    thermal: np.ndarray | None
    registration: Any = None
    thermal_norm: Any = None
    confidence_threshold: float = 0.0
    confidence: bool = True
    """Whether the result's `confidence` is wanted."""
    adapter: str = CHECKPOINT
    """Value of the parameter `adapter`: which weights are to see it."""
    scores: bool = False
    """Whether the result's `scores` are wanted."""
    drawing: frozenset[str] = frozenset()
    """Which of `overlay` and `color_mask` are wanted, by `settings`."""
    job: Any = None
    """The frames as they came, without one that could not be converted."""
    settings: Any = None
    """The node's `Settings` when the frames were converted; the result is published by them."""


class Client(Protocol):
    """What the server asks of a node, from the model's thread."""

    def ahead(self) -> bool:
        """Whether to convert frames while the model is busy: by another thread, of which some are for nothing."""

    def request(self, job: Job) -> Request | None:
        """Convert the frames; None when there is nothing to do: nobody listens, or a frame is bad. From any thread."""

    def taken(self) -> None:
        """Its request goes into the model now."""

    def deliver(self, request: Request, result: Any, trace: Trace) -> None:
        """Publish a result. trace: when what happened to it, up to the model's answer."""

    def failed(self, error: Exception) -> None:
        """There is no mask for a job."""

    def in_executor(self, task: Callable[[], None]) -> None:
        """Run a task in the executor's thread, soon."""

    def fell_back(self, note: str) -> None:
        """The model goes on with less, since the GPU's memory ran out. (In the executor's thread, like the next.)"""

    def give_up(self, reason: str) -> None:
        """There will be no more masks: become inactive."""
