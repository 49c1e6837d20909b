"""Which share of what came was refused of late, and why. Plain Python; all times are monotonic seconds."""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass
from itertools import islice

from sartm_ros.health.vitals import PERIOD_SAMPLES, typical
from sartm_ros.pairing.nearest import STREAMS, Counters

WINDOW_S, WINDOW_PERIODS = 10.0, 24
"""Frames are looked at for so long, or for so many of a slow camera's periods."""
OVER_S, OVER_TIMES = 1.0, 8
"""It is over when nothing has been refused for so long, and for so many times the time between two that were."""
UNPAIRED_S = 4.0
"""The counters of the pairing are looked at over so many seconds."""
LEAST = 2
"""A single frame that was refused is left to the counters."""
KEPT = 512
"""Frames kept."""
CLOSE = 0.1
"""A share is told anew when it has changed by so much: the state is not to flicker."""
UNPAIRED_LEAST = 0.05
"""A smaller share of frames without a partner is what clocks that drift cost."""
CHANGING = re.compile(r"[\d.,]+")
"""What may differ between two tellings of one reason."""
UNPAIRED = {
    "too_old": "a newer pair had left, or their stamp had been there",
    "no_partner": "no partner within sync.tolerance",
    "superseded": "their partner went to a nearer frame",
    "backward_jump": "their stamps are not of the time of the others",
}
"""`pairing.nearest.REASONS` in words."""


@dataclass(frozen=True)
class Refused:
    """What is lost at one step."""

    share: float
    """0..1, counted from the first to the last that was refused: right from the second one on."""
    reason: str

    @property
    def words(self) -> str:
        """For the topic `state`."""
        return f"{self.share:.0%} refused: {self.reason}"

    def told(self, before: Refused | None) -> Refused:
        """Itself, or what was told before where it is about the same."""
        same = before is not None and CHANGING.sub("", before.reason) == CHANGING.sub("", self.reason)
        return before if before is not None and same and abs(before.share - self.share) < CLOSE else self


class Share:
    """One step that every frame goes through. Another thread may tell it what came while this one asks."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, str]] = deque(maxlen=KEPT)
        self._count = self._settled = 0
        """Frames refused so far, and at the last look that found none of them in its window."""

    def used(self, now: float) -> None:
        """A frame passed."""
        self._seen.append((now, ""))

    def refused(self, reason: str, now: float) -> None:
        """A frame did not."""
        self._count += 1
        self._seen.append((now, reason))

    def clear(self) -> None:
        """What was before does not count."""
        self._seen.clear()

    def verdict(self, now: float) -> Refused | None:
        """None when nothing is refused any more, or only a single frame was."""
        count = self._count
        if count == self._settled:
            return None
        seen = list(self._seen)
        window = max(WINDOW_S, WINDOW_PERIODS * typical([when for when, _ in seen[-PERIOD_SAMPLES - 1 :]]))
        recent = [(when, reason) for when, reason in seen if now - when <= window]
        bad = [place for place, (_, reason) in enumerate(recent) if reason]
        if not bad:
            self._settled = count
        if len(bad) < LEAST:
            return None
        begin, end = recent[bad[0]][0], recent[bad[-1]][0]
        if now - end > max(OVER_S, OVER_TIMES * (end - begin) / (len(bad) - 1)):
            return None
        reasons = [recent[place][1] for place in bad]
        usual = Counter(CHANGING.sub("", reason) for reason in reasons).most_common(1)[0][0]
        last = next(reason for reason in reversed(reasons) if CHANGING.sub("", reason) == usual)
        return Refused((len(bad) - 1) / (bad[-1] - bad[0]), last)


class Unpaired:
    """The same for pairing, by its counters: of the frames of the slower camera, those that found no partner."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int, dict[str, dict[str, int]]]] = deque()

    def clear(self) -> None:
        """What was before does not count."""
        self._marks.clear()

    def mark(self, counters: Counters, now: float) -> None:
        """Note the counters; call it regularly."""
        self._marks.append((now, counters.pairs, {stream: dict(counters.dropped[stream]) for stream in STREAMS}))
        while now - self._marks[0][0] > UNPAIRED_S:
            self._marks.popleft()

    def verdict(self) -> Refused | None:
        """As `Share.verdict`."""
        if len(self._marks) < 2:
            return None
        _, pairs, dropped = self._marks[-1]

        def lost(mark: tuple[float, int, dict[str, dict[str, int]]]) -> tuple[int, str]:
            """Frames of the camera that lost fewer, since a mark: the other one's are beside its rhythm."""
            since = {s: {reason: n - mark[2][s].get(reason, 0) for reason, n in dropped[s].items()} for s in STREAMS}
            stream = min(STREAMS, key=lambda s: sum(since[s].values()))
            return sum(since[stream].values()), max(since[stream], key=lambda reason: since[stream][reason])

        count, reason = lost(self._marks[0])
        later = islice(self._marks, 1, None)
        begin = next((before for before, mark in zip(self._marks, later, strict=False) if lost(mark)[0] < count), None)
        if count < LEAST or begin is None:
            return None
        share = count / max(1, pairs - begin[1] + count)
        return Refused(share, UNPAIRED[reason]) if share >= UNPAIRED_LEAST else None
