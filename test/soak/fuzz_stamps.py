"""Header stamps no camera should send: jumps of an hour, duplicates, reversed, zero, negative, absurd.

None of them lies up to half a second ahead of now: after such a pair, a frame stamped now *is* late, and no pairing
could tell it from an old one. Anything further ahead must be understood as a jump back once frames of now go on.
"""

from __future__ import annotations

import numpy as np

NS = 1_000_000_000
HOUR_S = 3600
INT32_MAX, UINT32_MAX = 2**31 - 1, 2**32 - 1
FRAME_NS = 33_000_000
MOST_FRAMES_BACK = 20
WEIGHTS = {
    "now": 0.45, "hour ahead": 0.08, "hour back": 0.08, "duplicate": 0.12, "reversed": 0.12,
    "zero": 0.05, "negative": 0.03, "last of time": 0.03, "nanoseconds overflow": 0.04,
}  # fmt: skip

Stamp = tuple[int, int]
"""sec (int32), nanosec (uint32)."""


def pick(rng: np.random.Generator, now_ns: int, last: Stamp) -> tuple[str, Stamp]:
    """A kind of stamp and the stamp; `last` is that of the stream's message before."""
    kind = str(rng.choice(list(WEIGHTS), p=list(WEIGHTS.values())))
    shift_ns = int(rng.integers(1, MOST_FRAMES_BACK + 1)) * FRAME_NS
    hour_ahead = divmod(now_ns + HOUR_S * NS, NS)
    stamps: dict[str, Stamp] = {
        "now": divmod(now_ns, NS),
        "hour ahead": hour_ahead,
        "hour back": divmod(now_ns - HOUR_S * NS, NS),
        "duplicate": last,
        "reversed": divmod(now_ns - shift_ns, NS),
        "zero": (0, 0),
        "negative": (-int(rng.integers(1, INT32_MAX)), 0),
        "last of time": (INT32_MAX, UINT32_MAX),
        "nanoseconds overflow": (hour_ahead[0], UINT32_MAX),
    }
    return kind, stamps[kind]


def put(message: object, stamp: Stamp) -> None:
    """Write a stamp into a message's header."""
    header = message.header  # type: ignore[attr-defined]
    header.stamp.sec, header.stamp.nanosec = stamp
