"""The segment node with its real model made slow: `python -m test.soak.slow_node --seconds 1 --ros-args ...`.

Every batch takes at least `--seconds`; when it began and ended (time.time()) is appended to `--journal`, one JSON list
a line. `--plant` builds a fault into the node, to see that the soak finds it:
    leak  1 MB a frame is kept      late  masks wait a second before they go out
    now   masks are stamped anew    die   the process ends at the tenth batch     skip  every fifth batch fails
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PLANTS = ("leak", "now", "late", "die", "skip")
LEAK_BYTES = 1 << 20
LATE_S = 1.0
DIES_AT, SKIPS_EVERY = 10, 5
PAGE = 4096


class Slow:
    """A segmenter whose calls take at least `seconds`; everything else is the inner one's."""

    def __init__(self, inner: Any, seconds: float, journal: Path | None, plant: str) -> None:
        self._inner, self._seconds, self._journal, self._plant = inner, seconds, journal, plant
        self._leaked: list[bytearray] = []
        self._batches = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, *frames: Any, **options: Any) -> Any:
        """As `sartm_core.runtime.segmenter.Segmenter`."""
        with self._paced():
            return self._inner(*frames, **options)

    def batch(self, pairs: Any) -> Any:
        """As `sartm_core.runtime.segmenter.Segmenter.batch`."""
        with self._paced():
            return self._inner.batch(pairs)

    @contextmanager
    def _paced(self) -> Iterator[None]:
        begin, wall = time.monotonic(), time.time()
        self._trouble()
        yield
        time.sleep(max(0.0, self._seconds - (time.monotonic() - begin)))
        if self._journal is not None:
            with self._journal.open("a") as file:
                file.write(json.dumps([wall, time.time()]) + "\n")
        if self._plant == "late":
            time.sleep(LATE_S)

    def _trouble(self) -> None:
        self._batches += 1
        if self._plant == "leak":
            self._leaked.append(bytearray(LEAK_BYTES))
            self._leaked[-1][::PAGE] = b"x" * (LEAK_BYTES // PAGE)  # a page never written to is not resident
        if self._plant == "die" and self._batches == DIES_AT:
            os._exit(3)
        if self._plant == "skip" and self._batches % SKIPS_EVERY == 0:
            raise RuntimeError("planted")


def stamp_anew() -> None:
    """The planted fault `now`: outputs get the time of their publishing instead of the camera's."""
    from std_msgs.msg import Header

    from sartm_ros.outputs import pictures

    fill = pictures.fill

    def fill_now(message: Any, array: Any, header: Any) -> Any:
        sec, nanosec = divmod(time.time_ns(), 1_000_000_000)
        fresh = Header(frame_id=header.frame_id)
        fresh.stamp.sec, fresh.stamp.nanosec = sec, nanosec
        return fill(message, array, fresh)

    pictures.fill = fill_now


def read_journal(path: Path) -> list[tuple[float, float]]:
    """Begin and end (time.time()) of every batch."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return [(begin, end) for begin, end in map(json.loads, lines)]


def main() -> int:
    """Run the node until Ctrl-C or SIGTERM."""
    given = sys.argv[1:]
    split = given.index("--ros-args") if "--ros-args" in given else len(given)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--plant", choices=("", *PLANTS), default="")
    options = parser.parse_args(given[:split])

    from sartm_ros import segment_node
    from sartm_ros.node.weights import load_segmenter

    if options.plant == "now":
        stamp_anew()

    def load(values: dict[str, Any]) -> Slow:
        return Slow(load_segmenter(values), options.seconds, options.journal, options.plant)

    run: Callable[..., int] = segment_node.main
    return run(args=given[split:], load=load)


if __name__ == "__main__":
    sys.exit(main())
