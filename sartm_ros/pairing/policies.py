"""Which frames of the two cameras belong together, `sync.policy`: one file each, and one line here."""

from __future__ import annotations

from typing import Any, Protocol

from sartm_core.support.tables import entry
from sartm_ros.pairing.nearest import Counters, Pair

POLICIES = {"nearest": "nearest.NearestPairer", "approximate": "filters.approximate", "exact": "filters.exact"}
"""Name -> file in this folder and what makes a `Pairer` of `SETTINGS`."""
SETTINGS = ("tolerance", "max_wait", "queue_size", "rgb_offset", "thermal_offset")


class Pairer(Protocol):
    """What the node needs of a policy; see `NearestPairer` for the meaning."""

    policy: str
    counters: Counters

    def push(self, stream: str, stamp_ns: int, item: Any, now: float) -> list[Pair]: ...
    def poll(self, now: float) -> list[Pair]: ...
    def deadline(self) -> float | None: ...
    def clear(self, reason: str) -> None: ...
    def newest(self, stream: str) -> int | None: ...
    def held(self, stream: str) -> int: ...
    def __len__(self) -> int: ...


def make_pairer(values: dict[str, Any]) -> Pairer:
    """Build the pairing object from the node's parameters. Raises ParameterError when message_filters is missing."""
    make = entry(__package__, POLICIES[values["sync.policy"]])
    return make(**{name: values[f"sync.{name}"] for name in SETTINGS})
