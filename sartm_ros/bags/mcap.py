"""An MCAP file as one part of a recording: its messages by time, or one by its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial

from sartm_ros.bags.mcap_index import McapIndex
from sartm_ros.bags.mcap_records import IN_MESSAGE, MESSAGE, PREFIX, BrokenError, possible, walk
from sartm_ros.bags.storage import Record, by_time


class McapFile(McapIndex):
    """See `storage.Part`."""

    def messages(self, wanted: Collection[int]) -> Iterator[Record]:
        """Those of some connections, by time of recording."""
        return self._merged(wanted, lambda number: self._in_block(number, wanted))

    def heads(self, wanted: Collection[int], size: int) -> Iterator[Record]:
        """As `messages`, with the first `size` bytes of each at least; what is not compressed is not read whole."""

        def of(number: int) -> Iterator[Record]:
            packed = self.blocks[number].compression or number in self.kept
            return self._in_block(number, wanted) if packed else self._heads_in_block(number, wanted, size)

        return self._merged(wanted, of)

    def read(self, first: int, second: int) -> bytes:
        """The message at a place."""
        data = memoryview(self.load(first))
        _, size = PREFIX.unpack_from(data, second)
        return bytes(data[second + PREFIX.size + IN_MESSAGE.size : second + PREFIX.size + size])

    def _merged(self, wanted: Collection[int], records: Callable[[int], Iterator[Record]]) -> Iterator[Record]:
        """The blocks' records by time."""
        channels = [c for c, connection in self.channels.items() if connection in wanted]
        blocks = [k for k, b in enumerate(self.blocks) if b.channels is None or not b.channels.isdisjoint(channels)]
        sources = [(self.blocks[k].begin_ns, partial(records, k)) for k in blocks]
        return (record for _, record in by_time(sources))

    def _in_block(self, number: int, wanted: Collection[int]) -> Iterator[Record]:
        try:
            data = memoryview(self.load(number))
        except BrokenError as error:
            self.damaged(number, error)
            return
        broken: list[int] = []
        found = []
        for kind, start, end in walk(data, broken):
            if kind == MESSAGE and end - start >= IN_MESSAGE.size:
                channel, _, logged_ns, _ = IN_MESSAGE.unpack_from(data, start)
                connection = self.channels.get(channel, -1)
                if connection in wanted:
                    found.append((logged_ns, start, end, connection))
        if broken and self.blocks[number].whole:
            self.damaged(number, BrokenError(f"no record at its byte {broken[0]}"))
        found.sort(key=lambda message: message[0])
        for logged_ns, start, end, connection in found:
            data_at = start + IN_MESSAGE.size
            yield Record(connection, logged_ns, bytes(data[data_at:end]), number, start - PREFIX.size)

    def _heads_in_block(self, number: int, wanted: Collection[int], size: int) -> Iterator[Record]:
        block, at, found = self.blocks[number], 0, []
        while at + PREFIX.size + IN_MESSAGE.size <= block.size:
            head = self.at(block.offset + at, PREFIX.size + IN_MESSAGE.size + size)
            kind, length = PREFIX.unpack_from(head)
            end = at + PREFIX.size + length
            if not possible(kind) or end > block.size:
                break
            if kind == MESSAGE and length >= IN_MESSAGE.size:
                channel, _, logged_ns, _ = IN_MESSAGE.unpack_from(head, PREFIX.size)
                connection = self.channels.get(channel, -1)
                if connection in wanted:
                    data = head[PREFIX.size + IN_MESSAGE.size : PREFIX.size + length]
                    found.append(Record(connection, logged_ns, data, number, at))
            at = end
        found.sort(key=lambda record: record.logged_ns)
        yield from found
