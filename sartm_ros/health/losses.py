"""What users lose though masks come: frames refused at arrival or in decoding, frames not paired, masks too few.

`look` forms the verdict; what it told last stands until the next look, so that the state and the diagnostics agree.
"""

from __future__ import annotations

from sartm_ros.health.health import SILENT, UNUSABLE, Liveness
from sartm_ros.health.pace import TOO_FEW, Pace
from sartm_ros.health.shares import Refused, Share, Unpaired
from sartm_ros.health.work import Work
from sartm_ros.pairing.nearest import STREAMS, Counters

BACKWARDS = "stamps go backwards"
REASON_LENGTH = 120
"""Of a reason in the state."""


class Losses:
    """Of one node. `converted` and `spoiled` come from the model's thread. All times are monotonic seconds."""

    def __init__(self, work: Work) -> None:
        self.pace = Pace()
        self.refused: dict[str, Refused | None] = dict.fromkeys(STREAMS)
        """What is told of each camera's frames."""
        self.unpaired: Refused | None = None
        self.too_few = ""
        """Why there are fewer masks than frames."""
        self._work = work
        self._arrival = {stream: Share() for stream in STREAMS}
        self._content = {stream: Share() for stream in STREAMS}
        self._pairing = Unpaired()
        self._newest_ns: dict[str, int | None] = dict.fromkeys(STREAMS)
        self._odd = dict.fromkeys(STREAMS, False)

    def activate(self, now: float) -> None:
        """The node becomes active."""
        self.restart(now)
        self.pace.activate(now)

    def restart(self, now: float) -> None:
        """What was before does not count: the process stood still, or was busy with something else."""
        for share in (*self._arrival.values(), *self._content.values()):
            share.clear()
        self._pairing.clear()
        self.refused, self.unpaired, self.too_few = dict.fromkeys(STREAMS), None, ""
        self.pace.restart(now)

    def arrived(self, stream: str, stamp_ns: int, now: float) -> None:
        """A frame came whose header and size are good. One with an older stamp counts once the next is newer again:
        else time itself went back (a bag that begins anew)."""
        newest, odd = self._newest_ns[stream], self._odd[stream]
        self._odd[stream] = newest is not None and stamp_ns < newest and not odd
        if self._odd[stream]:
            return
        if odd and newest is not None and stamp_ns >= newest:
            self._arrival[stream].refused(BACKWARDS, now)
        self._newest_ns[stream] = stamp_ns
        self._arrival[stream].used(now)

    def turned_away(self, stream: str, reason: str, now: float) -> None:
        """A frame came that cannot be used."""
        self._arrival[stream].refused(reason[:REASON_LENGTH], now)

    def converted(self, stream: str, now: float) -> None:
        """The content of a frame was good."""
        self._content[stream].used(now)

    def spoiled(self, stream: str, reason: str, now: float) -> None:
        """It was not."""
        self._content[stream].refused(reason[:REASON_LENGTH], now)

    def mended(self, before: dict[str, str], after: dict[str, str]) -> None:
        """The cameras' faults have changed: of one that is unusable no more, what was before does not count."""
        for stream, fault in before.items():
            if fault == UNUSABLE != after[stream]:
                self._content[stream].clear()
                self.refused[stream] = None

    def look(self, counters: Counters | None, expected: bool, sharers: int, now: float) -> None:
        """Form the verdict. counters: the pairing's. expected: whether masks are to come of what the cameras send.

        sharers: nodes that take turns with the model.
        """
        for stream in STREAMS:
            found = [share.verdict(now) for share in (self._arrival[stream], self._content[stream])]
            worst = max((one for one in found if one), key=lambda one: one.share, default=None)
            self.refused[stream] = worst.told(self.refused[stream]) if worst else None
        if counters is not None:
            self._pairing.mark(counters, now)
            unpaired = self._pairing.verdict()
            self.unpaired = unpaired.told(self.unpaired) if unpaired else None
        else:
            self._pairing.clear()
            self.unpaired = None
        if not expected:
            self.pace.restart(now)
        masks, _, turns = self._work.times()
        self.too_few = self.pace.short(masks, turns, sharers, now)

    def state(self) -> str:
        """The text of the topic `state` while both cameras are there; empty when nothing is lost."""
        cameras = [f"{stream} {one.words}" for stream, one in self.refused.items() if one]
        if cameras:
            return f"degraded: {'; '.join(cameras)}"
        if self.unpaired:
            return f"degraded: {self.unpaired.share:.0%} of frames do not pair: {self.unpaired.reason}"
        return TOO_FEW if self.too_few else ""

    def words(self, faults: dict[str, str], liveness: Liveness, now: float) -> dict[str, str]:
        """The faults of the cameras, with share and reason where one is silent because its frames are refused."""
        refusing = {s: one.words for s, one in self.refused.items() if one and liveness.refusing(s, now)}
        return {stream: refusing.get(stream, fault) if fault == SILENT else fault for stream, fault in faults.items()}
