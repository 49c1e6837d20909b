"""A node's log, for text that may hold anything: names of topics, files and classes, words of libraries; and for what
our own code without ROS has to say."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from rclpy.lifecycle import LifecycleNode

from sartm_core.support.text import plain

OURS = ("sartm_core", "sartm_ros")
"""Names in Python's `logging`."""


class PlainLog:
    """rclpy's logger, one harmless line a message (`sartm_core.support.text.plain`); tracebacks, at debug, in full."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)

    def info(self, text: str) -> None:
        self._logger.info(plain(text))

    def warning(self, text: str) -> None:
        self._logger.warning(plain(text))

    def error(self, text: str) -> None:
        self._logger.error(plain(text))


class Forwarding(logging.Handler):
    """What Python's `logging` is told goes to a log of ROS, with its time and name."""

    def __init__(self, log: PlainLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            (self._log.error if record.levelno >= logging.ERROR else self._log.warning)(record.getMessage())
        except Exception:  # as logging's own handlers do
            self.handleError(record)


@contextmanager
def forwarding(logger: Any) -> Iterator[None]:
    """Warnings of `sartm_core` and `sartm_ros` go to rclpy's `logger` meanwhile."""
    handler, ours = Forwarding(PlainLog(logger)), [logging.getLogger(name) for name in OURS]
    for one in ours:
        one.addHandler(handler)
    try:
        yield
    finally:
        for one in ours:
            one.removeHandler(handler)


class PlainNode(LifecycleNode):
    """A node with such a log."""

    def get_logger(self) -> Any:
        """For this node."""
        return self._plain_log

    @cached_property
    def _plain_log(self) -> PlainLog:
        return PlainLog(super().get_logger())
