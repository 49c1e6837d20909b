"""What rclpy's lifecycle transitions lack: a word about what went wrong, and a way out when the process is to end."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.msg import Transition as Asked
from rclpy.lifecycle import TransitionCallbackReturn

from sartm_ros.inference import fallback

Transition = Callable[..., TransitionCallbackReturn]
CHANGE_STATE = "/change_state"
"""How the name of the service ends."""
PREFIX = "TRANSITION_"
NAMES = {getattr(Asked, name): name[len(PREFIX) :].lower() for name in dir(Asked) if name.startswith(PREFIX)}
"""Of the transitions, by number."""


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


def refuse_impossible(node: Any) -> None:
    """A transition that the node's state does not have, asked for by service, ends rclpy's executor: answer that it
    failed, as nodes in C++ do, and tell why."""
    for service in node.services:
        if service.srv_name.endswith(CHANGE_STATE):
            service.callback = _refusing(node, service.callback)


def _refusing(node: Any, change_state: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    @functools.wraps(change_state)
    def call(request: Any, response: Any) -> Any:
        try:
            return change_state(request, response)
        except Exception as error:
            if not node.context.ok():
                raise KeyboardInterrupt from None
            asked = request.transition.label or NAMES.get(request.transition.id, request.transition.id)
            own = ". The node starts itself: set autostart to false where a lifecycle manager is to"
            hint = own if node.values["autostart"] else ""
            node.get_logger().error(f"change_state: {asked} is not possible in this state ({error}){hint}")
            response.success = False
            return response

    return call
