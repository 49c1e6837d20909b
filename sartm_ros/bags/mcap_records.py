"""The records of MCAP (https://mcap.dev/spec): one byte for the kind, the length, the fields. No files here."""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sartm_core.support.limits import limits, variable
from sartm_ros.bags.storage import decompressed, zstd

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX = range(1, 9)
STATISTICS, DATA_END = 0x0B, 0x0F
PRIVATE = 0x80
"""From here on: whatever an application likes."""
PREFIX = struct.Struct("<BQ")
"""Before each record: its kind and length."""
IN_MESSAGE = struct.Struct("<HIQQ")
"""Channel, sequence, logged, published; the data follow."""
IN_CHUNK = struct.Struct("<QQQI")
"""First and last time of recording, bytes unpacked, their CRC; compression and the packed bytes follow."""
IN_FOOTER = struct.Struct("<QQI")
IN_CHUNK_INDEX = struct.Struct("<QQQQ")
IN_STATISTICS = struct.Struct("<QHIIIIQQ")
INDEX_ENTRY_BYTES = 16


class BrokenError(ValueError):
    """Bytes that are not what MCAP says they are."""


@dataclass(frozen=True)
class Block:
    """A stretch of the file that holds records: the inside of a chunk, or messages outside of any."""

    offset: int
    """Of the packed bytes."""
    size: int
    compression: str
    full: int
    """Bytes unpacked."""
    crc: int
    """Of those; 0: unknown."""
    begin_ns: int
    end_ns: int
    channels: frozenset[int] | None = None
    """Those with messages in it; None: unknown."""
    whole: bool = True
    """False: the file ends within it."""
    index: int = 0
    """Where in the file the message indexes of a chunk may stand."""


class Fields:
    """Reads the fields of a record one after the other; struct.error at its end."""

    def __init__(self, data: Any) -> None:
        self.data, self.at = memoryview(data), 0

    def take(self, kind: struct.Struct) -> tuple[Any, ...]:
        found = kind.unpack_from(self.data, self.at)
        self.at += kind.size
        return found

    def number(self, kind: str) -> int:
        """One of struct's letters."""
        return int(self.take(struct.Struct("<" + kind))[0])

    def blob(self) -> memoryview:
        size = self.number("I")
        if self.at + size > len(self.data):
            raise BrokenError("a field is longer than its record")
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self) -> str:
        return bytes(self.blob()).decode("utf-8")

    def texts(self) -> dict[str, str]:
        """A map of strings."""
        inside = Fields(self.blob())
        found = {}
        while inside.at < len(inside.data):
            key = inside.text()
            found[key] = inside.text()
        return found

    def numbers(self) -> dict[int, int]:
        """A map of uint16 to uint64."""
        return dict(struct.iter_unpack("<HQ", self.blob()))


def walk(data: memoryview, broken: list[int] | None = None) -> Iterator[tuple[int, int, int]]:
    """(Kind, begin, end) of each whole record's fields. Where the bytes stop to be records is added to `broken`."""
    at, end = 0, len(data)
    while at < end:
        if at + PREFIX.size > end:
            break
        kind, size = PREFIX.unpack_from(data, at)
        if not possible(kind) or at + PREFIX.size + size > end:
            break
        yield kind, at + PREFIX.size, at + PREFIX.size + size
        at += PREFIX.size + size
    if at < end and broken is not None:
        broken.append(at)


def possible(kind: int) -> bool:
    """Whether a record of this kind may exist; zeros, which file systems leave after a power cut, are none."""
    return 0 < kind <= DATA_END or kind >= PRIVATE


def chunk_block(fields: bytes, at: int, length: int, channels: frozenset[int] | None = None) -> Block:
    """Of a chunk record at `at`, whose fields begin with `fields` and should be `length` bytes."""
    f = Fields(fields)
    begin, end, full, crc = f.take(IN_CHUNK)
    compression = f.text()
    size = f.number("Q")
    offset = at + PREFIX.size + f.at
    if f.at + size > length:
        raise BrokenError("more packed bytes than the chunk has")
    return Block(offset, size, compression, full, crc, begin, end, channels, index=at + PREFIX.size + length)


def unpack(block: Block, stored: bytes) -> bytes:
    """The records in a block. BrokenError; of one that the file ends within what can be had."""
    if block.full > (most := limits().chunk_bytes):
        raise BrokenError(
            f"{block.full} bytes unpacked, at most {most} are read; {variable('chunk_bytes')} is another limit"
        )
    try:
        data = stored if not block.compression else _decompress(block.compression, stored, block.full)
    except BrokenError:
        raise
    except Exception as error:  # zstd's and lz4's own
        raise BrokenError(str(error)) from error
    if block.whole and len(data) != block.full:
        raise BrokenError(f"{len(data)} bytes, expected {block.full}")
    if block.whole and block.crc and crc32(data) != block.crc:
        raise BrokenError("wrong checksum")
    return data


def _decompress(compression: str, stored: bytes, full: int) -> bytes:
    """What can be had of `full` bytes; one more where there are more."""
    if compression == "zstd":
        new = zstd().ZstdDecompressor
    elif compression == "lz4":
        import lz4.frame

        new = lz4.frame.LZ4FrameDecompressor
    else:
        raise BrokenError(f"compression {compression!r}, expected zstd or lz4")
    return decompressed(new, stored, full + 1)
