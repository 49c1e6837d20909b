"""An exception in a callback ends an rclpy executor, and with it the robot's node. These keep it alive and tell."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from sartm_ros.node.lifecycle import StartupError


def survives(callback: Callable[..., Any]) -> Callable[..., Any]:
    """For methods that the executor calls: an unexpected error is told by `self.monitor` and costs this call only.

    The object has the attributes `monitor` and `context` (of rclpy).
    """

    @functools.wraps(callback)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return callback(self, *args, **kwargs)
        except StartupError:
            raise
        except Exception as error:
            if not self.context.ok():
                raise KeyboardInterrupt from None  # it tried to publish while the process was told to end
            self.monitor.internal(callback.__name__.strip("_"), error)

    return call
