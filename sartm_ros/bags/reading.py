"""Reading rosbag2 recordings (sqlite3, MCAP) without ROS, whole ones and what a killed recorder left.

with Bag(path) as bag:
    for message in bag.messages():
        message.topic, message.logged_ns, message.data           # data: the bytes as recorded
        bag.decode(message)                                      # of image topics: an object with the message's fields
    bag.faults                                                   # what is wrong with the recording, what of it is lost
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from sartm_core.support.limits import limits
from sartm_ros.bags import folder
from sartm_ros.bags.mcap import McapFile
from sartm_ros.bags.sqlite import SqliteFile
from sartm_ros.bags.storage import (
    ZSTD_MAGIC,
    BagError,
    Connection,
    Fault,
    Part,
    Place,
    by_time,
    decompressed,
    needs,
    one_line,
    zstd,
)

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (IMAGE, COMPRESSED)
OPENERS: dict[str, Callable[[Path], Part]] = {"sqlite3": SqliteFile, "mcap": McapFile}
STORAGES = tuple(OPENERS)
STAMP_BYTES = 12
"""A CDR message that begins with a header: its byte order, seconds, nanoseconds."""
NS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Message:
    """One recorded message."""

    connection: Connection
    logged_ns: int
    """When it was recorded, nanoseconds."""
    data: bytes
    """Serialised (CDR)."""
    place: Place
    """Where it lies, for `Bag.read`."""

    @property
    def topic(self) -> str:
        return self.connection.topic


class Bag:
    """An open recording: a rosbag2 folder, or a single .mcap or .db3 file. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """BagError naming the path when there is no such recording."""
        self.path = path
        self._files = folder.find(path)
        self.connections: list[Connection] = []
        """Every topic (more than once where a topic has several types)."""
        self._counts: list[int] = []
        self._parts: list[Part] = []
        self._merged: list[list[int]] = []  # of each part: place in `connections` of each of its own

    def __enter__(self) -> Bag:
        _, typesys = needs()
        self._types = typesys.get_typestore(typesys.Stores.LATEST)  # images are the same in all distros
        with ExitStack() as stack:
            self._open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _open(self, stack: ExitStack) -> None:
        paths, refused = self._files.paths, []
        for path in paths:
            fault = None
            opener = OPENERS[folder.storage_of(path) or ""]
            if path.suffix == folder.PACKED:
                unpack_to = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                path, fault = folder.unpacked(path, unpack_to)
            try:
                part = opener(path)
            except BagError as error:
                refused.append(BagError(f"{fault.text}: it is no recording") if fault else error)
                continue
            except OSError as error:
                raise BagError(f"{path}: cannot be read ({one_line(error)})") from error
            self._files.faults += [fault] if fault else []
            stack.callback(part.close)
            self._parts.append(part)
        if not self._parts:
            raise refused[0]
        self._files.faults += [Fault(str(error)) for error in refused]
        if not self._files.listed:
            self._parts.sort(key=lambda part: part.contents.begin_ns or 0)
        for part in self._parts:
            self._merged.append([self._place(connection) for connection in part.contents.connections])
            for number, count in zip(self._merged[-1], part.contents.counts, strict=True):
                self._counts[number] += count
        if self._files.count > self.count:
            text = f"{self.path}: {self._files.count - self.count} of the {self._files.count} messages are lost that "
            self._files.faults.append(Fault(f"{text}{folder.METADATA} tells of; {self.count} are there"))

    def _place(self, connection: Connection) -> int:
        """In `connections`, where it is added when it is new."""
        name = connection.topic, connection.msgtype
        for number, known in enumerate(self.connections):
            if (known.topic, known.msgtype) == name:
                return number
        digest = connection.digest or self._files.digests.get(name, "")
        self.connections.append(replace(connection, digest=digest))
        self._counts.append(0)
        return len(self.connections) - 1

    @property
    def faults(self) -> list[Fault]:
        """What is wrong with the recording; reading it all may find more."""
        return [*self._files.faults, *(fault for part in self._parts for fault in part.faults.values())]

    @property
    def storage(self) -> str:
        """One of `STORAGES`."""
        return folder.storage_of(self._files.paths[0]) or ""

    @property
    def count(self) -> int:
        """Messages of all topics."""
        return sum(self._counts)

    @property
    def seconds(self) -> float:
        """From the first to the last message."""
        begin = [p.contents.begin_ns for p in self._parts if p.contents.begin_ns is not None]
        end = [p.contents.end_ns for p in self._parts if p.contents.end_ns is not None]
        return (max(end) - min(begin)) / NS if begin else 0.0

    @property
    def images(self) -> dict[str, str]:
        """Type of each topic that carries images, by name, in alphabetical order."""
        found = {c.topic: c.msgtype for c in self.connections if c.msgtype in IMAGE_TYPES}
        return dict(sorted(found.items()))

    def counts(self) -> dict[str, int]:
        """Messages of each image topic."""
        counts = dict.fromkeys(self.images, 0)
        for connection, count in zip(self.connections, self._counts, strict=True):
            if connection.topic in counts:
                counts[connection.topic] += count
        return counts

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Message]:
        """The messages by time of recording, of all topics or of some. BagError where the file cannot be read."""
        return self._read(topics, lambda part, wanted: part.messages(wanted))

    def stamps(self, topics: Collection[str]) -> Iterator[tuple[str, int, int, Place]]:
        """(Topic, time of recording, time stamp of the header, place) of messages that begin with a header."""
        for head in self._read(topics, lambda part, wanted: part.heads(wanted, STAMP_BYTES)):
            if len(head.data) >= STAMP_BYTES:
                order = "<" if head.data[1] & 1 else ">"
                seconds, rest = struct.unpack_from(f"{order}iI", head.data, 4)
                yield head.topic, head.logged_ns, seconds * NS + rest, head.place

    def read(self, place: Place, connection: Connection, logged_ns: int) -> Message:
        """The message at a place again."""
        try:
            data = self._parts[place.part].read(place.first, place.second)
        except Exception as error:
            raise BagError(f"{self.path}: {connection.topic}: cannot be read again ({one_line(error)})") from error
        return Message(connection, logged_ns, unpacked(data), place)

    def _read(self, topics: Collection[str] | None, read: Any) -> Iterator[Message]:
        wanted = {k for k, c in enumerate(self.connections) if topics is None or c.topic in topics}
        sources, parts = [], []
        for number, (part, merged) in enumerate(zip(self._parts, self._merged, strict=True)):
            own = {k for k, place in enumerate(merged) if place in wanted}
            if own and part.contents.begin_ns is not None:
                sources.append((part.contents.begin_ns, partial(read, part, own)))
                parts.append(number)
        count = 0
        try:
            for source, record in by_time(sources):
                part_number = parts[source]
                connection = self.connections[self._merged[part_number][record.connection]]
                place, data = Place(part_number, record.first, record.second), record.data
                if data.startswith(ZSTD_MAGIC):
                    data = unpacked(self._parts[part_number].read(record.first, record.second))
                yield Message(connection, record.logged_ns, data, place)
                count += 1
        except OSError as error:
            raise BagError(f"{self.path}: cannot be read after {count} messages ({one_line(error)})") from error

    def decode(self, message: Message) -> Any:
        """The fields of an image message. BagError when its bytes are no such message."""
        try:
            return self._types.deserialize_cdr(message.data, message.connection.msgtype)
        except Exception as error:  # struct.error, UnicodeDecodeError, ...
            raise BagError(
                f"{message.topic}: not a readable {message.connection.msgtype} ({one_line(error)})"
            ) from error


def unpacked(data: bytes) -> bytes:
    """A message as it was before the recorder compressed it; as it is where that fails: decoding will tell."""
    if not data.startswith(ZSTD_MAGIC):
        return data
    most = limits().chunk_bytes
    try:
        found = decompressed(zstd().ZstdDecompressor, data, most + 1)
    except zstd().ZstdError:
        return data
    return found if len(found) <= most else data
