"""Reading rosbag2 recordings (sqlite3, MCAP) by the `rosbags` library, without ROS.

with Bag(path) as bag:
    for message in bag.messages():
        message.topic, message.logged_ns, message.data           # data: the bytes as recorded
        bag.decode(message)                                      # of image topics: an object with the message's fields
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (IMAGE, COMPRESSED)
STORAGES = ("sqlite3", "mcap")
SUFFIXES = {".db3": "sqlite3", ".mcap": "mcap"}
METADATA = "metadata.yaml"


class BagError(ValueError):
    """A recording that cannot be used, or cannot be written; the text names it and says what was expected."""


@dataclass(frozen=True, eq=False)
class Message:
    """One recorded message."""

    connection: Any
    """`rosbags.interfaces.Connection`: topic, type, QoS."""
    logged_ns: int
    """When it was recorded, nanoseconds."""
    data: bytes
    """Serialised (CDR)."""

    @property
    def topic(self) -> str:
        return str(self.connection.topic)


class Bag:
    """An open recording: a rosbag2 folder, or a single .mcap or .db3 file. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """BagError naming the path when there is no such recording."""
        self.path = path
        if not path.exists():
            raise BagError(f"{path}: no such bag; give a rosbag2 folder, or a .mcap or .db3 file")
        if path.is_dir() and not (path / METADATA).is_file():
            found = sorted(p.name for p in path.iterdir() if p.suffix in SUFFIXES)
            hint = f"give the file itself: {path / found[0]}" if found else "is this a rosbag2 folder?"
            raise BagError(f"{path}: has no {METADATA} (a recording that was cut off?); {hint}")
        if path.is_file() and path.suffix not in SUFFIXES:
            hint = "; `rosbags-convert` turns a ROS 1 bag into one" if path.suffix == ".bag" else ""
            raise BagError(f"{path}: not a recording; expected a rosbag2 folder, or a .mcap or .db3 file{hint}")

    def __enter__(self) -> Bag:
        rosbag2, typesys = needs()
        self._types = typesys.get_typestore(typesys.Stores.LATEST)  # images are the same in all distros
        try:
            self._reader = rosbag2.Reader(self.path)
            self._reader.open()
        except Exception as error:  # rosbags raises many types for broken files
            raise BagError(f"{self.path}: not a readable rosbag2 recording ({one_line(error)})") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    @property
    def storage(self) -> str:
        """One of `STORAGES`."""
        if self.path.is_file():
            return SUFFIXES[self.path.suffix]
        metadata = yaml.safe_load((self.path / METADATA).read_text(encoding="utf-8"))
        return str(metadata["rosbag2_bagfile_information"]["storage_identifier"])

    @property
    def connections(self) -> list[Any]:
        """`rosbags.interfaces.Connection` of every topic (more than one where a topic has several types)."""
        return list(self._reader.connections)

    @property
    def count(self) -> int:
        """Messages of all topics."""
        return int(self._reader.message_count)

    @property
    def seconds(self) -> float:
        """From the first to the last message."""
        return max(0, int(self._reader.duration) - 1) / 1e9  # rosbags counts to the nanosecond after the last one

    @property
    def images(self) -> dict[str, str]:
        """Type of each topic that carries images, by name, in alphabetical order."""
        found = {c.topic: c.msgtype for c in self.connections if c.msgtype in IMAGE_TYPES}
        return dict(sorted(found.items()))

    def counts(self) -> dict[str, int]:
        """Messages of each image topic."""
        counts = dict.fromkeys(self.images, 0)
        for connection in self.connections:
            if connection.topic in counts:
                counts[connection.topic] += connection.msgcount
        return counts

    def messages(
        self, topics: Collection[str] | None = None, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[Message]:
        """The messages in the order they were recorded, of all topics or of some; from the time `start_ns` on, and
        before `stop_ns`. BagError where the file is broken."""
        wanted = [c for c in self.connections if topics is None or c.topic in topics]
        if not wanted:
            return
        recorded = self._reader.messages(wanted, start_ns, stop_ns)
        count = 0
        while True:
            try:
                following = next(recorded, None)
            except Exception as error:  # as in `__enter__`
                raise BagError(f"{self.path}: broken after {count} messages ({one_line(error)})") from error
            if following is None:
                return
            count += 1
            yield Message(*following)

    def decode(self, message: Message) -> Any:
        """The fields of an image message. BagError when its bytes are no such message."""
        try:
            return self._types.deserialize_cdr(message.data, message.connection.msgtype)
        except Exception as error:  # struct.error, UnicodeDecodeError, ...
            raise BagError(
                f"{message.topic}: not a readable {message.connection.msgtype} ({one_line(error)})"
            ) from error


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
