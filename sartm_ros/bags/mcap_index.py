"""Opening an MCAP file: its connections and blocks, also of one that was never finished or is damaged somewhere.

    magic  header  [chunk  message indexes]...  data end  schemas channels chunk indexes statistics  footer  magic

A sound file is opened by what stands between `data end` and the footer. Where that is missing (recorder killed, power
cut) or makes no sense, the file is read once from its beginning: every whole message counts, those in a last chunk
that was cut off, too. What is lost is a `Fault`.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

from sartm_ros.bags.mcap_records import (
    CHANNEL,
    CHUNK,
    CHUNK_INDEX,
    DATA_END,
    FOOTER,
    IN_CHUNK_INDEX,
    IN_FOOTER,
    IN_MESSAGE,
    IN_STATISTICS,
    INDEX_ENTRY_BYTES,
    MAGIC,
    MESSAGE,
    MESSAGE_INDEX,
    PREFIX,
    SCHEMA,
    STATISTICS,
    Block,
    BrokenError,
    Fields,
    chunk_block,
    possible,
    unpack,
    walk,
)  # fmt: skip
from sartm_ros.bags.storage import CDR, BagError, Connection, Contents, Fault

KEPT_BYTES = 16 << 20
"""Unpacked blocks are kept up to this size, the last one in any case."""
READ_BYTES, ZERO_FILL = 1 << 20, 16
"""Zeros at the end of a file are looked for in pieces of this size; fewer of them may well be a message's."""
RUN_BYTES = 4 << 20
"""Messages outside of chunks are read in stretches of this size."""
CHUNK_HEAD_BYTES = 128
"""More than what stands in a chunk before the packed bytes."""
BROKEN = (BrokenError, struct.error, UnicodeDecodeError)
FOREIGN = {
    "ros1": "messages of ROS 1, which are not read: `rosbags-convert --src FILE.bag --dst NEWBAG` turns the .bag file "
    "that they came from into a recording of ROS 2",
    "protobuf": "protobuf (Foxglove's types), which is not read: record sensor_msgs with `ros2 bag record`",
    "json": "JSON (Foxglove's types), which is not read: record sensor_msgs with `ros2 bag record`",
}
"""What to say of messages in another serialisation than CDR, by its name."""


class McapIndex:
    """An open file, and where in it the messages of which connections lie."""

    def __init__(self, path: Path) -> None:
        """BagError when it is no MCAP file, or has messages of another serialisation only."""
        self.path, self.contents = path, Contents()
        self.faults: dict[Any, Fault] = {}
        self.schemas: dict[int, tuple[str, str]] = {}
        self.channels: dict[int, int] = {}
        self.foreign: dict[str, str] = {}
        self.blocks: list[Block] = []
        self.kept: OrderedDict[int, bytes] = OrderedDict()
        self.file = path.open("rb")
        try:
            self.size = os.fstat(self.file.fileno()).st_size
            self.open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.kept.clear()
        self.file.close()

    def open(self) -> None:
        if self.at(0, len(MAGIC)) != MAGIC:
            what = f"its {self.size} bytes do not begin like one" if self.size else "it is empty (recorder killed?)"
            raise BagError(f"{self.path}: not an MCAP file; {what}")
        try:
            _, fields, self.data = self.record(len(MAGIC))  # the header
            profile = Fields(fields).text()
        except BROKEN as error:
            raise BagError(f"{self.path}: an MCAP file that ends before its first message") from error
        indexed = False
        with contextlib.suppress(*BROKEN):
            indexed = self._read_summary()
        if not indexed:
            self._scan()
        kinds = set(self.foreign.values()) or ({FOREIGN["ros1"]} if profile == "ros1" else set())
        if kinds and not self.contents.connections:
            raise BagError(f"{self.path}: {', '.join(sorted(kinds))}")
        for topic, what in self.foreign.items():
            self.faults[topic] = Fault(f"{self.path}: {topic}: {what}")

    def at(self, offset: int, size: int) -> bytes:
        return os.pread(self.file.fileno(), size, offset)

    def record(self, at: int) -> tuple[int, bytes, int]:
        """Kind, fields, and where the next one begins. BrokenError where there is none."""
        head = self.at(at, PREFIX.size)
        kind, size = PREFIX.unpack(head) if len(head) == PREFIX.size else (0, 0)
        if not possible(kind) or at + PREFIX.size + size > self.size:
            raise BrokenError(f"no record at byte {at}")
        return kind, self.at(at + PREFIX.size, size), at + PREFIX.size + size

    def _read_summary(self) -> bool:
        """Connections, counts and blocks from the end of the file; False where it says too little."""
        tail = PREFIX.size + IN_FOOTER.size + len(MAGIC)
        at = self.size - tail
        if at < self.data or self.at(self.size - len(MAGIC), len(MAGIC)) != MAGIC:
            return False
        kind, fields, _ = self.record(at)
        begin = IN_FOOTER.unpack(fields)[0] if kind == FOOTER else 0
        if not self.data <= begin < at:
            return False
        data = memoryview(self.at(begin, at - begin))
        broken: list[int] = []
        counts: dict[int, int] = {}
        known = None
        for kind, start, end in walk(data, broken):
            f = Fields(data[start:end])
            if kind == SCHEMA:
                self._schema(f)
            elif kind == CHANNEL:
                self._channel(f)
            elif kind == CHUNK_INDEX:
                self.blocks.append(self._indexed_block(f, begin))
            elif kind == STATISTICS:
                known, counts = f.take(IN_STATISTICS), f.numbers()
        in_chunks = known is not None and known[5] == len(self.blocks) and (known[5] or not known[0])
        counted = known is not None and sum(counts.values()) == known[0] and counts.keys() <= self.channels.keys()
        if broken or not in_chunks or not counted:
            self._forget()
            return False
        assert known is not None
        for channel, count in counts.items():
            if self.channels[channel] >= 0:
                self.contents.counts[self.channels[channel]] += count
        if known[0]:
            self.contents.span(known[6], known[7])
        return True

    def _forget(self) -> None:
        self.contents = Contents()
        self.schemas, self.channels, self.foreign, self.blocks = {}, {}, {}, []

    def _indexed_block(self, f: Fields, data_end: int) -> Block:
        _, _, at, length = f.take(IN_CHUNK_INDEX)
        channels = frozenset(f.numbers())
        if not self.data <= at <= at + length <= data_end:
            raise BrokenError("a chunk index points out of the data")
        return chunk_block(self.at(at + PREFIX.size, CHUNK_HEAD_BYTES), at, length - PREFIX.size, channels or None)

    def _schema(self, f: Fields) -> None:
        number, name, _ = f.number("H"), f.text(), f.text()
        self.schemas.setdefault(number, (name, bytes(f.blob()).decode("utf-8", "replace")))

    def _channel(self, f: Fields) -> None:
        number, schema, topic, encoding, more = f.number("H"), f.number("H"), f.text(), f.text(), f.texts()
        if number in self.channels:
            return
        if encoding != CDR:
            self.channels[number] = -1
            self.foreign[topic] = FOREIGN.get(encoding, f"messages in {encoding or 'no'} encoding, which is not read")
            return
        kind, definition = self.schemas.get(schema, ("__schemaless__", ""))
        self.channels[number] = len(self.contents.connections)
        digest, qos = more.get("topic_type_hash", ""), more.get("offered_qos_profiles", "")
        self.contents.connections.append(Connection(topic, kind, definition, digest, qos))
        self.contents.counts.append(0)

    # Without an index: from the beginning to where it ends

    def _scan(self) -> None:
        self._forget()
        whole, self.size = self.size, self.size - self._zeros()
        at, run, ended = self.data, None, False
        while at < self.size and not ended:
            head = self.at(at, PREFIX.size)
            kind, size = PREFIX.unpack(head) if len(head) == PREFIX.size else (0, 0)
            after = at + PREFIX.size + size
            ended = kind in (DATA_END, FOOTER)
            if after == whole:  # the zeros are the last record's own
                self.size = whole
            cut = not possible(kind) or after > self.size
            loose = not cut and kind in (SCHEMA, CHANNEL, MESSAGE)
            if run is not None and (not loose or at - run > RUN_BYTES):
                self._add(Block(run, at - run, "", at - run, 0, 0, 0))
                run = None
            if cut:
                break
            if kind == CHUNK:
                self._add_chunk(at, size)
            elif loose and run is None:
                run = at
            at = after
        if run is not None:
            self._add(Block(run, at - run, "", at - run, 0, 0, 0))
        if not ended:
            self._cut_off(at)

    def _zeros(self) -> int:
        """Bytes of zero at the end, which a file system puts where the last ones never came to the disk."""
        end = self.size
        while end > 0:
            piece = self.at(max(0, end - READ_BYTES), min(end, READ_BYTES))
            end -= len(piece)
            if piece.strip(b"\0"):
                end += len(piece.rstrip(b"\0"))
                break
        return self.size - end if self.size - end >= ZERO_FILL else 0

    def _cut_off(self, at: int) -> None:
        """The file ends without an end, or goes on with what is no record, at a byte."""
        head = self.at(at, PREFIX.size + CHUNK_HEAD_BYTES)
        if head[:1] == bytes([CHUNK]):
            try:
                block = chunk_block(head[PREFIX.size :], at, self.size)
                if block.offset < self.size:
                    self._add(replace(block, size=min(block.size, self.size - block.offset), whole=False))
            except BROKEN:
                pass  # cut within the chunk's head
        count = sum(self.contents.counts)
        self.faults[at] = Fault(
            f"{self.path}: not finished (recorder killed, power lost?), it breaks off at byte {at} of {self.size}: all "
            f"{count} messages that are whole are read, what the recorder still held is lost; "
            f"`mcap recover {self.path.name} -o whole.mcap` makes a sound file of it, `ros2 bag reindex` the "
            "metadata.yaml of its folder"
        )

    def _add_chunk(self, at: int, size: int) -> None:
        try:
            self._add(chunk_block(self.at(at + PREFIX.size, min(size, CHUNK_HEAD_BYTES)), at, size))
        except BROKEN as error:
            self.faults[at] = Fault(f"{self.path}: the chunk at byte {at} is damaged ({error}), its messages are lost")

    def _add(self, block: Block) -> None:
        """Keep a block, its connections and how many messages it has."""
        number = len(self.blocks)
        self.blocks.append(block)
        try:
            data = memoryview(self.load(number))
        except BrokenError as error:
            self.damaged(number, error)
            return
        times, channels = [], set()
        for kind, start, end in walk(data):
            try:
                if kind == SCHEMA:
                    self._schema(Fields(data[start:end]))
                elif kind == CHANNEL:
                    self._channel(Fields(data[start:end]))
                elif kind == MESSAGE:
                    channel, _, logged_ns, _ = IN_MESSAGE.unpack_from(data, start)
                    if self.channels.get(channel, -1) >= 0:
                        self.contents.saw(self.channels[channel], logged_ns)
                        times.append(logged_ns)
                        channels.add(channel)
            except BROKEN:
                continue
        self.kept.clear()  # a scan needs none of them again
        begin, end = (min(times), max(times)) if times else (0, 0)
        self.blocks[number] = replace(block, begin_ns=begin, end_ns=end, channels=frozenset(channels))

    def damaged(self, number: int, error: Exception) -> None:
        block, lost, at = self.blocks[number], 0, self.blocks[number].index
        try:
            while at and self.at(at, 1) == bytes([MESSAGE_INDEX]):
                _, fields, at = self.record(at)
                lost += (len(fields) - 6) // INDEX_ENTRY_BYTES  # the channel and the length of the list come first
        except BROKEN:
            pass
        self.faults[block.offset] = Fault(
            f"{self.path}: the chunk at byte {block.offset} is damaged ({error}): "
            f"{lost or 'all of its'} messages are lost; `mcap recover {self.path.name} -o whole.mcap` leaves it out"
        )

    def load(self, number: int) -> bytes:
        """The records of a block. BrokenError."""
        if number in self.kept:
            self.kept.move_to_end(number)
            return self.kept[number]
        block = self.blocks[number]
        data = unpack(block, self.at(block.offset, block.size))
        while self.kept and sum(map(len, self.kept.values())) + len(data) > KEPT_BYTES:
            self.kept.popitem(last=False)
        self.kept[number] = data
        return data
