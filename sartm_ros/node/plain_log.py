"""A node's log, for text that may hold anything: names of topics, files and classes, words of libraries."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from rclpy.lifecycle import LifecycleNode

from sartm_core.support.text import plain


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


class PlainNode(LifecycleNode):
    """A node with such a log."""

    def get_logger(self) -> Any:
        """For this node."""
        return self._plain_log

    @cached_property
    def _plain_log(self) -> PlainLog:
        return PlainLog(super().get_logger())
