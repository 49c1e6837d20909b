"""What the files of a recording have in common, whatever their storage: connections, messages, faults, errors."""

from __future__ import annotations

import contextlib
import heapq
import importlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

CDR = "cdr"
"""The only serialisation that is read."""
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""How what zstd compressed begins; no CDR message does."""


class BagError(ValueError):
    """A recording that cannot be used, or cannot be written; the text names it and says what was expected."""


@dataclass(frozen=True)
class Connection:
    """A topic with one type."""

    topic: str
    msgtype: str
    definition: str = ""
    """Text of the type's .msg or IDL files; "" where the recording has none."""
    digest: str = ""
    """What ROS calls the type description hash; "" where the recording has none."""
    qos: str = ""
    """Offered QoS profiles, YAML as rosbag2 writes it."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a recording that is read all the same: what it is, what of it is lost, what mends it."""

    text: str
    lost: bool = True
    """Whether messages are lost, as far as can be told."""


class Place(NamedTuple):
    """Where a message lies."""

    part: int
    """Which file of the recording."""
    first: int
    """Block (MCAP) or row (sqlite3)."""
    second: int = 0
    """Offset in the block."""


class Record(NamedTuple):
    """A message of one file."""

    connection: int
    """Place in the file's `connections`."""
    logged_ns: int
    data: bytes
    first: int
    second: int
    """As in `Place`."""


@dataclass
class Contents:
    """What a file holds."""

    connections: list[Connection] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    """Messages of each connection."""
    begin_ns: int | None = None
    end_ns: int | None = None
    """When the first and the last message were recorded; None without any."""

    def saw(self, connection: int, logged_ns: int) -> None:
        """Count a message."""
        self.counts[connection] += 1
        self.span(logged_ns, logged_ns)

    def span(self, begin_ns: int, end_ns: int) -> None:
        """Messages were recorded from then to then."""
        self.begin_ns = begin_ns if self.begin_ns is None else min(self.begin_ns, begin_ns)
        self.end_ns = end_ns if self.end_ns is None else max(self.end_ns, end_ns)


class Part(Protocol):
    """One open file of a recording."""

    contents: Contents
    faults: dict[Any, Fault]
    """By place in the file; reading may add some."""

    def messages(self, wanted: Collection[int]) -> Iterator[Record]:
        """Those of some connections, by time of recording."""

    def heads(self, wanted: Collection[int], size: int) -> Iterator[Record]:
        """As `messages`, with the first bytes of each at least; cheaper where the storage allows it."""

    def read(self, first: int, second: int) -> bytes:
        """The message at a place."""

    def close(self) -> None: ...


def by_time(sources: Sequence[tuple[int, Callable[[], Iterator[Record]]]]) -> Iterator[tuple[int, Record]]:
    """(Place in `sources`, record) of all of them by time of recording.

    A source is when it begins (ns) and what opens it, which is done when its first record is due: blocks and files that
    follow each other in time are open one at a time.
    """
    waiting: list[tuple[int, int, Record, Iterator[Record]]] = []

    def go_on(number: int, rest: Iterator[Record]) -> None:
        record = next(rest, None)
        if record is not None:
            heapq.heappush(waiting, (record.logged_ns, number, record, rest))

    def due(before_ns: float) -> Iterator[tuple[int, Record]]:
        while waiting and waiting[0][0] < before_ns:
            _, number, record, rest = heapq.heappop(waiting)
            yield number, record
            go_on(number, rest)

    for number in sorted(range(len(sources)), key=lambda k: sources[k][0]):
        begin_ns, opened = sources[number]
        yield from due(begin_ns)
        go_on(number, opened())
    yield from due(float("inf"))


def zstd() -> Any:
    """The module for zstd: Python's own from 3.14 on, else the one that rosbags brings. BagError without."""
    for name in ("compression.zstd", "backports.zstd"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise BagError('zstd cannot be read: pip install "sartm_ros[tools]"')


def decompressed(new: Callable[[], Any], stored: bytes, most: int) -> bytes:
    """At most so many bytes of what `new()`, a decompressor, makes of all frames: few can stand for gigabytes."""
    parts, left, rest = [], most, stored
    while rest and left:
        frame = new()
        parts.append(frame.decompress(rest, max_length=left))
        left -= len(parts[-1])
        rest = frame.unused_data if frame.eof else b""
    return b"".join(parts)


def needs() -> tuple[Any, Any]:
    """`rosbags.rosbag2` and `rosbags.typesys`. BagError says how to install them."""
    try:
        from rosbags import rosbag2, typesys
    except ImportError as error:
        raise BagError(f'reading bags needs rosbags ({error}): pip install "sartm_ros[tools]"') from error
    return rosbag2, typesys


def one_line(error: Exception) -> str:
    """What an exception says, on one line, with its type where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
