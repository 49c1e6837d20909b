"""Whether the model rests because nobody listens: said once when that begins, and once when it ends."""

from __future__ import annotations

REST_S = 1.0
"""Nobody listens for so long before that is said: who subscribes anew is gone for less."""
RESTS = "nobody subscribes to a mask, the confidence or the overlay: the model rests until somebody does"
WAKES = "somebody subscribes: the model works"


class Rest:
    """Ask `update` regularly; times are monotonic seconds."""

    def __init__(self) -> None:
        self.resting = False
        self._alone_since: float | None = None

    def update(self, listeners: int, now: float) -> str:
        """What is to be said now, empty most of the time."""
        if listeners:
            said, self.resting, self._alone_since = self.resting, False, None
            return WAKES if said else ""
        self._alone_since = now if self._alone_since is None else self._alone_since
        if self.resting or now - self._alone_since < REST_S:
            return ""
        self.resting = True
        return RESTS
