"""What cannot be sent though somebody listens: said once for each reason, and again when it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sartm_ros.health.health import CHANGING


class Absent:
    """Of one node."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def tell(self, log: Any, missing: Mapping[str, str]) -> None:
        """Log what is new. missing: by output, the reason."""
        for name, text in missing.items():
            reason = CHANGING.sub("", text)
            if self._said.get(name) != reason:
                self._said[name] = reason
                log.warning(words({name: text}))
        self._said = {name: reason for name, reason in self._said.items() if name in missing}


def words(missing: Mapping[str, str]) -> str:
    """Outputs and their reasons."""
    return "; ".join(f"{name}: {text}" for name, text in missing.items())
