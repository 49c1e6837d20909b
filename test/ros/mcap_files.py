"""MCAP files of any kind for the tests, written by hand: https://mcap.dev/spec."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from sartm_ros.bags.mcap_records import MAGIC
from sartm_ros.bags.storage import zstd
from test.ros.bag_files import START_NS, Frame, serialized


@dataclass(frozen=True)
class Style:
    """How a file is written."""

    per_chunk: int = 4
    """Messages in a chunk; 0: no chunks."""
    compression: str = "zstd"
    summary: bool = True
    profile: str = "ros2"
    encoding: str = "cdr"


def record(kind: int, *fields: bytes) -> bytes:
    body = b"".join(fields)
    return struct.pack("<BQ", kind, len(body)) + body


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


def packed(data: bytes, compression: str) -> bytes:
    if compression == "lz4":
        import lz4.frame

        return bytes(lz4.frame.compress(data))
    return bytes(zstd().compress(data)) if compression == "zstd" else data


def write(frames: Sequence[Frame], style: Style = Style()) -> tuple[bytes, list[int]]:
    """The file, its messages in the order given; and where in it each chunk (or message) ends."""
    out = bytearray(MAGIC + record(1, text(style.profile), text("test")))
    channels: dict[str, int] = {}
    declared, inside, index, ends = b"", b"", b"", []
    times: list[int] = []
    counts: dict[int, int] = {}

    def close_chunk() -> None:
        nonlocal inside, index, times
        if not inside:
            return
        data, at = packed(inside, style.compression), len(out)
        head = struct.pack("<QQQI", min(times), max(times), len(inside), 0) + text(style.compression)
        chunk = record(6, head, struct.pack("<Q", len(data)), data)
        out.extend(chunk)
        sizes = struct.pack("<QQ", len(data), len(inside))
        place = struct.pack("<QQQQ", min(times), max(times), at, len(chunk))
        index += record(8, place, struct.pack("<IQ", 0, 0), text(style.compression), sizes)
        ends.append(len(out))
        inside, times = b"", []

    for frame in frames:
        kind, data = serialized(frame)
        added = b""
        if frame.topic not in channels:
            number = channels[frame.topic] = len(channels) + 1
            schema = record(3, struct.pack("<H", number), text(kind), text("ros2msg"), text(""))
            names = text(frame.topic) + text(style.encoding)
            added = schema + record(4, struct.pack("<HH", number, number), names, text(""))
            declared += added
        logged = START_NS + round(frame.logged_s * 1e9)
        counts[channels[frame.topic]] = counts.get(channels[frame.topic], 0) + 1
        added += record(5, struct.pack("<HIQQ", channels[frame.topic], 0, logged, logged), data)
        if style.per_chunk:
            inside += added
            times.append(logged)
            if len(times) == style.per_chunk:
                close_chunk()
        else:
            out.extend(added)
            ends.append(len(out))
    close_chunk()
    out.extend(record(15, bytes(4)))
    begin = len(out)
    if style.summary:
        every = [START_NS + round(frame.logged_s * 1e9) for frame in frames]
        chunks = len(ends) if style.per_chunk else 0
        numbers = struct.pack("<QHIIIIQQ", len(frames), 1, 1, 0, 0, chunks, min(every), max(every))
        by_channel = b"".join(struct.pack("<HQ", *item) for item in counts.items())
        out.extend(declared + index + record(11, numbers, struct.pack("<I", len(by_channel)), by_channel))
    out.extend(record(2, struct.pack("<QQI", begin if style.summary else 0, 0, 0)) + MAGIC)
    return bytes(out), ends
