"""From the start of a process to its exit code: one executor, any number of segment nodes, an orderly end."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger

from sartm_core.support.text import plain
from sartm_ros.errors import ParameterError
from sartm_ros.frames import transport
from sartm_ros.node.lifecycle import StartupError
from sartm_ros.node.parameter_files import without_effect
from sartm_ros.node.plain_log import forwarding
from sartm_ros.node.signals import quiet_end

LINGER_S = 3.0
"""A thread that still loads a model at the end gets this long. Then the process leaves without looking back: an orderly
exit would cut the thread off inside a library, and abort."""


def run(make: Callable[[], Iterable[Any]], args: list[str] | None = None, name: str = "segment") -> int:
    """Make the nodes, rclpy's with a `close`, and spin them until Ctrl-C or SIGTERM. Exit code 0 then, 1 if they could
    not start."""
    log = get_logger(name)
    with forwarding(log):
        return _run(make, args, log)


def _run(make: Callable[[], Iterable[Any]], args: list[str] | None, log: Any) -> int:
    free = transport.shared_memory_free()
    transport.use_shipped_profile()
    small = transport.too_small(free, transport.SHIPPED_SEGMENT_BYTES)
    if small:
        log.warning(small)
    try:
        rclpy.init(args=args)
    except Exception as error:  # a params file that is not there or not YAML, an unknown --ros-args flag
        log.fatal(f"cannot start: {plain(error)}")
        return 1
    nodes: list[Any] = []
    executor = SingleThreadedExecutor()
    code = 0
    try:
        for node in make():
            nodes.append(node)
            executor.add_node(node)
        for warning in without_effect(args or [], [node.get_fully_qualified_name() for node in nodes]):
            log.warning(warning)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (StartupError, ParameterError, ParameterException) as error:  # the last: one of rclpy's own parameters
        log.fatal(plain(error))
        code = 1
    except Exception:
        if rclpy.ok():  # else it is a callback that tried to publish while the process was told to end
            code = 1
            raise
    finally:
        with quiet_end():
            executor.shutdown()
            for node in nodes:
                node.close()
            end_threads(code)  # before the nodes go: a thread that logs through one of them then would crash in rcl
            for node in nodes:
                node.destroy_node()
            rclpy.try_shutdown()
    return code


def end_threads(code: int) -> None:
    """Wait for our threads that still load something; when that takes too long, end the process here with `code`."""
    deadline = time.monotonic() + LINGER_S
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("sartm-")]
    for thread in ours:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in ours):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
