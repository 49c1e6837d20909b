"""What arrived on one camera stream: counts, times, stamps, and whether its picture changes. Plain Python."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

RATE_WINDOW_S = 5.0
"""Rates are taken over this many seconds."""
STAMP_SAMPLES = 64
"""Stamps kept of each stream, to find skew and missing frames."""
PERIOD_SAMPLES = 8
"""Frame periods (and times between changes of the picture) kept to know a camera's rhythm."""
MISSED_PERIODS, FIRST_PERIOD_S = 2.5, 1.0
"""Silence of so many of a camera's periods is no fault yet, nor of so many seconds after its very first frame, when its
period is not known."""
SPOILED_FRAMES = 3
"""So many frames in a row, at least, whose content cannot be converted, before a stream counts as unusable."""
LOSS_MARKS = 11
"""Readings of the middleware's count of lost messages kept, one for each `Monitor.check` (5 s at 2 Hz)."""


def typical(times: list[float]) -> float:
    """Median time between successive entries, s; 0 without two. The median: one gap makes no slow camera."""
    return statistics.median([b - a for a, b in pairwise(times)] or [0.0])


@dataclass
class Vitals:
    """What arrived on one stream: counts, times (monotonic s), header stamps (ns) of the last good frames, pictures."""

    good: int = 0
    bad: int = 0
    last_error: str = ""
    last_good: float | None = None
    last_refused: float | None = None
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=256))
    stamps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=STAMP_SAMPLES))
    format: str = ""
    nbytes: int = 0
    """Size of the last frame's data."""
    warning: str = ""
    """What is doubtful about the last frame."""
    lost: int | None = None
    """Messages the middleware reports as lost since activation; None where it cannot tell."""
    loss_marks: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=LOSS_MARKS))
    changes: deque[float] = field(default_factory=lambda: deque(maxlen=PERIOD_SAMPLES + 1))
    """When the picture changed."""
    same_frames: int = 0
    """Equal pictures in a row, with the newest."""
    spoiled: int = 0
    """Frames counted as good whose content could not be converted later; they are in `bad` too."""
    spoiled_since: float | None = None
    """When the first one of them came since the last frame that could be converted."""
    last_spoiled: float = 0.0
    _spoiled_in_row: int = 0
    _unusable: bool = False
    _fingerprint: int | None = None

    def saw(
        self, now: float, stamp_ns: int, frame_format: str, fingerprint: int | None = None, nbytes: int = 0
    ) -> bool:
        """Note a usable frame; returns whether its picture differs from the last one.

        fingerprint None: a picture that shows nothing either way. It counts as different, but not as a change seen.
        """
        self.good += 1
        self.last_good = now
        self.arrivals.append(now)
        self.stamps_ns.append(stamp_ns)
        self.format = frame_format
        self.nbytes = nbytes
        changed = fingerprint is None or fingerprint != self._fingerprint
        self._fingerprint = fingerprint
        self.same_frames = 1 if changed else self.same_frames + 1
        if changed and fingerprint is not None:
            self.changes.append(now)
        return changed

    def refused(self, error: str, now: float) -> None:
        """Note a frame that cannot be used."""
        self.bad += 1
        self.last_refused = now
        self.last_error = error

    def spoil(self, error: str, now: float, timeout: float) -> None:
        """Note a frame that looked good and could not be converted; `timeout` s of nothing else: unusable."""
        self.bad += 1
        self.spoiled += 1
        self.last_error = error
        self.last_spoiled = now
        if self.spoiled_since is None:
            self.spoiled_since, self._spoiled_in_row = now, 0
        self._spoiled_in_row += 1
        if self._spoiled_in_row >= SPOILED_FRAMES and now - self.spoiled_since > timeout:
            self._unusable = True

    def unusable(self, now: float, recovery: float) -> bool:
        """Whether its frames cannot be converted; over when one could and none failed for `recovery` s."""
        if self._unusable and self.spoiled_since is None and now - self.last_spoiled >= recovery:
            self._unusable = False
        return self._unusable

    def restart(self) -> None:
        """Forget the pictures, the middleware's count, what was spoiled: a new activation begins."""
        self._fingerprint, self.same_frames, self.lost = None, 0, None
        self.spoiled_since, self._unusable = None, False
        self.changes.clear()
        self.loss_marks.clear()

    def rate(self, now: float) -> float:
        """Usable frames a second over the last `RATE_WINDOW_S`."""
        recent = [a for a in self.arrivals if now - a <= RATE_WINDOW_S]
        return (len(recent) - 1) / (now - recent[0]) if len(recent) > 1 and now > recent[0] else 0.0

    def patience(self, least: float) -> float:
        """Seconds without a frame that mean something: `least`, or `MISSED_PERIODS` of a slow camera's periods."""
        if len(self.arrivals) == 1:
            return max(least, FIRST_PERIOD_S)
        return max(least, MISSED_PERIODS * typical(list(self.arrivals)[-PERIOD_SAMPLES - 1 :]))

    def picture_patience(self, least: float) -> float:
        """The same for a picture that does not change; some drivers send every picture several times."""
        return max(least, MISSED_PERIODS * typical(list(self.changes)))

    def mark_lost(self, lost: int | None) -> None:
        """Note the middleware's count of lost messages; call it regularly."""
        self.lost = lost
        if lost is not None:
            self.loss_marks.append((lost, self.good + self.bad - self.spoiled))

    def recent_loss(self) -> tuple[int, int]:
        """Messages lost and messages received over the last `LOSS_MARKS` marks."""
        if len(self.loss_marks) < 2:
            return 0, 0
        (lost0, got0), (lost1, got1) = self.loss_marks[0], self.loss_marks[-1]
        return lost1 - lost0, got1 - got0

    def frames(self) -> list[tuple[float, int]]:
        """Arrival and stamp of the last frames, oldest first."""
        count = min(len(self.arrivals), len(self.stamps_ns))
        return list(zip(list(self.arrivals)[-count:], list(self.stamps_ns)[-count:], strict=True)) if count else []
