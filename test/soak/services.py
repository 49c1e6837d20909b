"""Asking the node for something: parameters and the service ~/reload, from a thread that does not spin."""

from __future__ import annotations

import threading
import time
from typing import Any

from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.node import Node
from std_srvs.srv import Trigger

NODE = "/sartm/segment"
ANSWER_S = 90.0


class ServiceError(RuntimeError):
    """A service that is not there or does not answer."""


class Services:
    """Clients at a node that spins in another thread."""

    def __init__(self, node: Node) -> None:
        kinds = {"set_parameters": SetParameters, "get_parameters": GetParameters, "reload": Trigger}
        self._clients: dict[str, Any] = {
            name: node.create_client(kind, f"{NODE}/{name}") for name, kind in kinds.items()
        }

    def _ask(self, name: str, request: Any) -> Any:
        client = self._clients[name]
        if not client.wait_for_service(ANSWER_S):
            raise ServiceError(f"{NODE}/{name}: not there within {ANSWER_S:g} s")
        answered = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(ANSWER_S):
            raise ServiceError(f"{NODE}/{name}: no answer within {ANSWER_S:g} s")
        return future.result()

    def set_checkpoint(self, path: str) -> tuple[bool, str]:
        """Set the parameter `checkpoint`: whether it was accepted, and the reason if not."""
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=path)
        request = SetParameters.Request(parameters=[Parameter(name="checkpoint", value=value)])
        result = self._ask("set_parameters", request).results[0]
        return result.successful, result.reason

    def checkpoint(self) -> str:
        """The parameter as the node has it now."""
        return self._ask("get_parameters", GetParameters.Request(names=["checkpoint"])).values[0].string_value

    def reload(self) -> tuple[bool, str, float]:
        """Call ~/reload: success, message, and when the answer came (time.time())."""
        response = self._ask("reload", Trigger.Request())
        return response.success, response.message, time.time()
