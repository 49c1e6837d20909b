"""A .db3 file as one part of a recording, also one whose recorder was killed or that is damaged somewhere.

What a killed recorder has not yet moved into the file stands beside it in `-wal`: SQLite reads both, changes neither.
Rows are fetched one by one, so that a damaged page costs the messages on it and no others.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sartm_ros.bags.storage import CDR, BagError, Connection, Contents, Fault, Record, one_line

PAGE_SIZE = slice(16, 18)
"""Where in a file its bytes a page stand; 1 means 65536."""
LAST_ROWS = 8
"""The last page of a file that was cut off belongs to one of the last rows that can be read."""
LEAST_ZEROS = 16
"""A shorter run of zeros may well be the camera's."""
MOST_MISSING = 1000
"""Rows of a damaged table are tried by number until so many in succession are not there."""
Row = tuple[int, int, int]
"""Number, connection, time of recording."""


class SqliteFile:
    """See `storage.Part`."""

    def __init__(self, path: Path) -> None:
        """BagError when it is no recording."""
        self.path, self.contents = path, Contents()
        self.faults: dict[Any, Fault] = {}
        self._topics: dict[int, int] = {}
        self._lost: set[int] = set()
        self._rows: list[Row] | None = None
        try:
            self._file = self._opened()
            try:
                self._read_topics()
                self._count()
                self._cut, self._last = self._cut_off()
            except BaseException:
                self.close()
                raise
        except sqlite3.Error as error:
            raise BagError(
                f"{path}: not a readable .db3 file ({one_line(error)}; recorder killed, power lost?); {self._mend()}"
            ) from error

    def close(self) -> None:
        self._file.close()

    def messages(self, wanted: Collection[int]) -> Iterator[Record]:
        """Those of some connections, by time of recording."""
        return self._records(wanted, self._data)

    def heads(self, wanted: Collection[int], size: int) -> Iterator[Record]:
        """As `messages`, with the first `size` bytes of each."""
        return self._records(wanted, lambda row: self._head(row, size))

    def read(self, first: int, second: int) -> bytes:
        """The message at a place."""
        return self._data(first)

    # Opening

    def _opened(self) -> sqlite3.Connection:
        wal, journal = (self.path.with_name(self.path.name + end) for end in ("-wal", "-journal"))
        if wal.is_file() and wal.stat().st_size:
            try:
                file = self._connect("mode=ro")
                file.execute("SELECT count(*) FROM sqlite_master").fetchone()
                return file
            except sqlite3.OperationalError as error:  # SQLite has to make a file beside it
                self.faults["wal"] = Fault(
                    f"{wal}: the last messages are in it and it cannot be read here ({one_line(error)}); copy the "
                    "recording to a folder that can be written"
                )
        if journal.is_file() and journal.stat().st_size:
            self.faults["journal"] = Fault(
                f"{journal}: the recorder was killed while it wrote; some messages may be lost; {self._mend()}"
            )
        return self._connect("immutable=1")

    def _connect(self, how: str) -> sqlite3.Connection:
        file = sqlite3.connect(f"file:{quote(str(self.path.resolve()))}?{how}", uri=True, check_same_thread=False)
        file.execute("PRAGMA writable_schema=ON")  # or nothing is read of a file that is shorter than it says
        return file

    def _mend(self) -> str:
        name = self.path.name
        return f"`sqlite3 {name} .recover | sqlite3 whole.db3` saves what can be saved, then `ros2 bag reindex`"

    def _columns(self, table: str) -> set[str]:
        return {row[1] for row in self._file.execute(f"PRAGMA table_info({table})")}

    def _read_topics(self) -> None:
        columns = self._columns("topics")
        if not columns or not self._columns("messages"):
            raise BagError(
                f"{self.path}: has no tables of topics and messages: not a recording, or the recorder was killed "
                "before it had written anything"
            )
        definitions: dict[str, str] = {}
        if self._columns("message_definitions"):
            definitions = dict(
                self._file.execute("SELECT topic_type, encoded_message_definition FROM message_definitions")
            )
        more = [c if c in columns else "''" for c in ("offered_qos_profiles", "type_description_hash")]
        rows = self._file.execute(f"SELECT id, name, type, serialization_format, {', '.join(more)} FROM topics")
        for number, topic, kind, form, qos, digest in rows.fetchall():
            if form != CDR:
                self.faults[topic] = Fault(f"{self.path}: {topic}: messages in {form} encoding, which is not read")
                continue
            self._topics[number] = len(self.contents.connections)
            self.contents.connections.append(Connection(topic, kind, definitions.get(kind, ""), digest, qos))
            self.contents.counts.append(0)

    def _count(self) -> None:
        try:
            found = self._file.execute(
                "SELECT topic_id, count(*), min(timestamp), max(timestamp) FROM messages GROUP BY topic_id"
            ).fetchall()
        except sqlite3.DatabaseError as error:
            self.faults["damage"] = Fault(f"{self.path}: damaged ({one_line(error)}); {self._mend()}")
            self._rows = sorted(self._salvaged(), key=lambda row: (row[2], row[0]))
            for _, connection, logged_ns in self._rows:
                self.contents.saw(connection, logged_ns)
            return
        for topic, count, begin_ns, end_ns in found:
            if topic in self._topics:
                self.contents.counts[self._topics[topic]] += count
                self.contents.span(begin_ns, end_ns)

    def _cut_off(self) -> tuple[bytes, int]:
        """The zeros that SQLite reads where the file ends within a page; the last row that can be read."""
        with self.path.open("rb") as file:
            page = int.from_bytes(file.read(100)[PAGE_SIZE], "big")
        missing = -self.path.stat().st_size % (page if page > 1 else 1 << 16)
        if missing:
            self.faults["end"] = Fault(
                f"{self.path}: not whole, its last page lacks {missing} bytes, what was on it is lost; {self._mend()}"
            )
        if missing < LEAST_ZEROS:
            return b"", 0
        if self._rows is None:
            most = self._file.execute("SELECT max(id) FROM messages").fetchone()[0] or 0
            numbers: Iterable[int] = range(most, 0, -1)
        else:
            numbers = sorted((number for number, _, _ in self._rows), reverse=True)
        for number in numbers:
            with contextlib.suppress(sqlite3.DatabaseError):
                self._file.execute("SELECT data FROM messages WHERE id = ?", (number,)).fetchone()
                return bytes(missing), number
        return bytes(missing), 0

    # Reading

    def _records(self, wanted: Collection[int], content: Any) -> Iterator[Record]:
        for number, connection, logged_ns in self._ordered():
            if connection in wanted:
                try:
                    yield Record(connection, logged_ns, content(number), number, 0)
                except sqlite3.DatabaseError as error:
                    self._lose(number, error)

    def _ordered(self) -> Iterator[Row]:
        if self._rows is not None:
            yield from self._rows
            return
        last = (-1, -1)
        try:
            for number, topic, logged_ns in self._file.execute(
                "SELECT id, topic_id, timestamp FROM messages ORDER BY timestamp, id"
            ):
                last = logged_ns, number
                if topic in self._topics:
                    yield number, self._topics[topic], logged_ns
        except sqlite3.DatabaseError as error:  # the index of times is damaged: the rest by number
            self.faults["damage"] = Fault(f"{self.path}: damaged ({one_line(error)}); {self._mend()}")
            yield from (row for row in self._salvaged() if (row[2], row[0]) > last)

    def _salvaged(self) -> Iterator[Row]:
        """The rows that can be read, by their number."""
        number, missing = 1, 0
        while missing < MOST_MISSING:
            try:
                row = self._file.execute("SELECT topic_id, timestamp FROM messages WHERE id = ?", (number,)).fetchone()
            except sqlite3.DatabaseError:
                row = None
            missing = 0 if row else missing + 1
            if row and row[0] in self._topics:
                yield number, self._topics[row[0]], row[1]
            number += 1

    def _data(self, number: int) -> bytes:
        row = self._file.execute("SELECT data FROM messages WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise sqlite3.DatabaseError(f"row {number} is not there")
        data = bytes(row[0])
        doubtful = self._cut and self._last - LAST_ROWS < number <= self._last
        if doubtful and (self._cut in data or data.endswith(bytes(LEAST_ZEROS))):
            raise sqlite3.DatabaseError("the file breaks off within a message")
        return data

    def _head(self, number: int, size: int) -> bytes:
        if not hasattr(self._file, "blobopen"):  # Python before 3.11
            return self._data(number)[:size]
        with self._file.blobopen("messages", "data", number, readonly=True) as blob:
            return blob.read(size)

    def _lose(self, number: int, error: Exception) -> None:
        self._lost.add(number)
        self.faults["rows"] = Fault(
            f"{self.path}: damaged ({one_line(error)}): {len(self._lost)} messages cannot be read; {self._mend()}"
        )
