"""What rclpy's lifecycle transitions lack: a word about what went wrong, and a way out when the process is to end."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import TransitionCallbackReturn

from sartm_ros.inference import fallback

Transition = Callable[..., TransitionCallbackReturn]


class StartupError(RuntimeError):
    """The node could not configure or activate itself; the reason has been logged."""


def guarded(transition: Transition) -> Transition:
    """rclpy swallows exceptions of lifecycle callbacks without a word: log them, stop the work, return FAILURE.

    Ctrl-C or SIGTERM during a transition (loading takes seconds) ends the process quietly, as a KeyboardInterrupt.
    """

    @functools.wraps(transition)
    def call(node: Any, state: Any) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception as error:
            if not node.context.ok():
                raise KeyboardInterrupt from None
            node.get_logger().error(f"{transition.__name__} failed: {type(error).__name__}: {error}")
            if state.label == "unconfigured":
                node.release()
            else:
                node.stop_work()
            node.monitor.lifecycle(state.label)  # where it came from is where it stays
        fallback.free_memory()  # not above: there the exception still holds all that was loaded
        return TransitionCallbackReturn.FAILURE

    return call
