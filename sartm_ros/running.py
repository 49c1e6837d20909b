"""From the start of a process to its exit code: one executor, any number of segment nodes, an orderly end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger

from sartm_ros import transport
from sartm_ros.lifecycle import StartupError
from sartm_ros.parameters import ParameterError

if TYPE_CHECKING:
    from sartm_ros.segment_node import SegmentNode

LINGER_S = 20.0
"""A thread still loading a model at the end gets this long: cut off inside a library, the process would abort."""


def run(make: Callable[[], Iterable[SegmentNode]], args: list[str] | None = None, name: str = "segment") -> int:
    """Make the nodes, spin them until Ctrl-C or SIGTERM. Exit code 0 then, 1 if they could not start."""
    transport.use_shipped_profile()
    log = get_logger(name)
    try:
        rclpy.init(args=args)
    except Exception as error:  # a params file that is not there or not YAML, an unknown --ros-args flag
        log.fatal(f"cannot start: {error}")
        return 1
    nodes: list[SegmentNode] = []
    executor = SingleThreadedExecutor()
    code = 0
    try:
        for node in make():
            nodes.append(node)
            executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (StartupError, ParameterError) as error:
        log.fatal(str(error))
        code = 1
    except Exception:
        if rclpy.ok():  # else it is a callback that tried to publish while the process was told to end
            raise
    finally:
        executor.shutdown()
        for node in nodes:
            node.release()
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
        with suppress(KeyboardInterrupt):  # a second Ctrl-C: no more patience
            end_threads()
    return code


def end_threads() -> None:
    """Wait for our threads that still load something."""
    deadline = time.monotonic() + LINGER_S
    for thread in threading.enumerate():
        if thread.name.startswith("sartm-"):
            thread.join(max(0.0, deadline - time.monotonic()))
