"""What a killed recorder, a power cut, a lost file leave: every message that is there is read, the loss is told."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sartm_ros.bag import main
from sartm_ros.bags.reading import Bag, unpacked
from sartm_ros.bags.storage import BagError, zstd
from test.ros.bag_files import RGB, START_NS, THERMAL, Frame, drive, record, serialized
from test.ros.mcap_files import Style, packed, text, write
from test.ros.mcap_files import record as mcap_record

STYLES = [Style(), Style(compression="lz4"), Style(compression=""), Style(per_chunk=0), Style(summary=False)]
SMALL = [
    Frame(topic, k / 10, k / 10 + 0.001 * (topic == THERMAL), np.full((4, 6 + 3 * k), k, np.uint8))
    for k in range(6)
    for topic in (RGB, THERMAL)
]


def read(path: Path) -> tuple[list[tuple[str, int, bytes]], str]:
    """(Topic, recorded ns, bytes) of all messages; and what is wrong."""
    with Bag(path) as bag:
        found = [(m.topic, m.logged_ns, m.data) for m in bag.messages()]
        assert [bag.read(m.place, m.connection, m.logged_ns).data for m in bag.messages()] == [f[2] for f in found]
        stamps = list(bag.stamps((RGB, THERMAL)))
        assert [(topic, logged) for topic, logged, _, _ in stamps] == [f[:2] for f in found]
        return found, " ".join(fault.text for fault in bag.faults)


def expected(frames: list[Frame]) -> list[tuple[str, int, bytes]]:
    return [(f.topic, START_NS + round(f.logged_s * 1e9), serialized(f)[1]) for f in frames]


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_sound_files_of_any_style(tmp_path, style):
    path = tmp_path / "drive.mcap"
    path.write_bytes(write(SMALL, style)[0])
    assert read(path) == (expected(SMALL), "")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(style=st.sampled_from(STYLES), share=st.floats(0, 1), zeros=st.integers(0, 300))
def test_case_15_a_file_cut_off_anywhere_gives_every_whole_message(tmp_path, style, share, zeros):
    """zeros: what some file systems put where the last bytes should be; they may stand for the end of a picture."""
    content, ends = write(SMALL, style)
    cut = round(share * (len(content) - 1))
    path = tmp_path / "cut.mcap"
    path.write_bytes(content[:cut] + bytes(zeros))
    whole = sum(end <= cut for end in ends) * (style.per_chunk or 1)
    try:
        found, faults = read(path)
    except BagError as error:
        assert whole == 0 and str(path) in str(error)
        return
    unclear = zeros > 0 and content[:cut].endswith(b"\0")  # whose zeros they are: the last message counts as cut
    assert len(found) >= min(whole, len(SMALL)) - unclear
    for k, (have, right) in enumerate(zip(found, expected(SMALL), strict=False)):
        assert have == right or (zeros and k == len(found) - 1 and right[2].startswith(have[2].rstrip(b"\0")))
    assert "mcap recover cut.mcap" in faults or (len(found) == len(SMALL) and cut > ends[-1])


def test_a_file_cut_after_a_message_that_ends_in_zeros_gives_that_message(tmp_path):
    """A black picture's zeros were taken for those that a file system puts where the last bytes should be."""
    style = next(style for style in STYLES if not style.per_chunk)
    content, ends = write(SMALL, style)
    path = tmp_path / "cut.mcap"
    for count, end in enumerate(ends[: len(SMALL)], start=1):
        path.write_bytes(content[:end])
        found, faults = read(path)
        assert found == expected(SMALL)[:count] and "mcap recover" in faults
    assert any(content[:end].endswith(bytes(16)) for end in ends)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    style=st.sampled_from(STYLES), changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6)
)  # fmt: skip
def test_changed_bytes_give_messages_or_a_bag_error(tmp_path, style, changes):
    content = bytearray(write(SMALL, style)[0])
    for share, value in changes:
        content[round(share * (len(content) - 1))] = value
    path = tmp_path / "odd.mcap"
    path.write_bytes(content)
    with contextlib.suppress(BagError), Bag(path) as bag:
        assert len(list(bag.messages())) <= 2 * len(SMALL)
        list(bag.stamps((RGB, THERMAL)))


def test_a_damaged_chunk_costs_its_own_messages(tmp_path):
    for style in (Style(), Style(summary=False)):
        content, ends = write(SMALL, style)
        path = tmp_path / "odd.mcap"
        path.write_bytes(content[: ends[1] - 40] + bytes(40) + content[ends[1] :])
        found, faults = read(path)
        assert found == expected(SMALL[:4] + SMALL[8:])
        assert "damaged" in faults and "mcap recover odd.mcap" in faults


def split(folder: Path, storage: str = "mcap", parts: int = 3) -> Path:
    """A split recording of 2 pairs a part, without metadata.yaml."""
    folder.mkdir()
    for k in range(parts):
        frames = [Frame(f.topic, f.stamp_s + k, f.logged_s + k, f.content) for f in drive(2)]
        one = record(folder.parent / f"part{k}", frames, storage)
        (file,) = (p for p in one.iterdir() if p.name != "metadata.yaml")
        shutil.move(file, folder / f"rec_{k + 8}{file.suffix}")  # 8, 9, 10: numbers, not letters, give the order
    return folder


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_case_16_a_split_recording_without_metadata_is_read_whole(tmp_path, capsys, storage):
    folder = split(tmp_path / "rec", storage)
    assert main(["info", str(folder)]) == 0
    said = capsys.readouterr().out
    assert " 24 messages" in said and "  6 pairs" in said
    suffix = ".mcap" if storage == "mcap" else ".db3"
    assert ", ".join(f"rec_{k}{suffix}" for k in (8, 9, 10)) in said and f"ros2 bag reindex {folder}" in said


def test_the_last_part_may_be_unfinished_and_another_one_rubbish(tmp_path, capsys):
    folder = split(tmp_path / "rec")
    last = (folder / "rec_10.mcap").read_bytes()
    (folder / "rec_10.mcap").write_bytes(last[: len(last) // 2])
    (folder / "rec_9.mcap").write_bytes(b"")
    assert main(["info", str(folder)]) == 1
    said = capsys.readouterr().out
    assert (
        "rec_9.mcap: not an MCAP file; it is empty" in said
        and "mcap recover rec_10.mcap" in said
        and "  2 pairs" in said
    )


def test_files_that_metadata_lists_and_that_are_not_there_are_counted(tmp_path, capsys):
    bag = record(tmp_path / "drive", drive(2))
    content = yaml.safe_load((bag / "metadata.yaml").read_text())
    content["rosbag2_bagfile_information"]["relative_file_paths"].append("drive_1.mcap")
    content["rosbag2_bagfile_information"]["message_count"] = 20
    (bag / "metadata.yaml").write_text(yaml.safe_dump(content))
    assert main(["info", str(bag)]) == 1
    said = capsys.readouterr().out
    assert "drive_1.mcap" in said and "not there" in said and "12 of the 20 messages are lost" in said


@pytest.mark.parametrize("content", ["", "rosbag2_bagfile_information: [", "[]", "a: &a [*a, *a]"])
def test_a_broken_metadata_file_is_passed_over(tmp_path, capsys, content):
    bag = record(tmp_path / "drive", drive(2))
    (bag / "metadata.yaml").write_text(content)
    assert main(["info", str(bag)]) == 0
    said = capsys.readouterr().out
    assert "broken metadata.yaml" in said and "  2 pairs" in said and "ros2 bag reindex" in said


def test_both_storages_without_metadata_are_not_read_twice(tmp_path):
    folder = split(tmp_path / "rec")
    (folder / "other.db3").write_bytes(b"")
    with pytest.raises(BagError, match="both .mcap and .db3"):
        Bag(folder)


def database(path: Path, frames: list[Frame], journal: str = "wal") -> sqlite3.Connection:
    """An open .db3 file as rosbag2's resilient preset writes it, and nobody has closed it."""
    file = sqlite3.connect(path)
    file.execute(f"PRAGMA journal_mode={journal}")
    file.execute("CREATE TABLE topics(id INTEGER PRIMARY KEY, name, type, serialization_format, offered_qos_profiles)")
    file.execute("CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data)")
    file.execute("CREATE INDEX timestamp_idx ON messages (timestamp ASC)")
    for number, topic in enumerate((RGB, THERMAL)):
        file.execute("INSERT INTO topics VALUES (?, ?, 'sensor_msgs/msg/Image', 'cdr', '')", (number, topic))
    for topic, logged, data in expected(frames):
        file.execute("INSERT INTO messages VALUES (NULL, ?, ?, ?)", (int(topic == THERMAL), logged, data))
    file.commit()
    return file


def test_messages_that_stand_in_the_wal_only(tmp_path):
    """A killed recorder: the .db3 and its -wal as they were at that moment."""
    folder = tmp_path / "killed"
    folder.mkdir()
    with contextlib.closing(database(tmp_path / "drive.db3", SMALL)):
        for name in ("drive.db3", "drive.db3-wal"):
            shutil.copy(tmp_path / name, folder / name)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert read(folder / "drive.db3") == (expected(SMALL), "")
    assert {name: (folder / name).read_bytes() for name in before} == before, "a recording is only read"
    (folder / "drive.db3-wal").unlink()
    with pytest.raises(BagError, match="killed"):
        Bag(folder / "drive.db3").__enter__()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1))
def test_a_database_cut_off_anywhere_gives_what_can_be_read(tmp_path, share):
    frames = [Frame(f.topic, f.stamp_s, f.logged_s, np.tile(f.content, (20, 20))) for f in SMALL]
    whole, path = tmp_path / "whole.db3", tmp_path / "cut.db3"
    if not whole.exists():
        database(whole, frames, "delete").close()
    content = whole.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    try:
        found, faults = read_some(path)
    except BagError as error:
        assert "cut.db3" in str(error) and share < 0.3  # not even the first pages are there
        return
    assert len(found) >= round((share - 0.3) * len(frames))
    missing = -path.stat().st_size % 4096  # too few bytes to tell a lost end from a camera's zeros
    assert len(set(found) - set(expected(frames))) <= (0 < missing < 16)
    told = ".recover" in faults and "ros2 bag reindex" in faults
    assert told or (path.read_bytes() == content and len(found) == len(frames))


def read_some(path: Path) -> tuple[list[tuple[str, int, bytes]], str]:
    with Bag(path) as bag:
        found = [(m.topic, m.logged_ns, m.data) for m in bag.messages()]
        return found, " ".join(fault.text for fault in bag.faults)


@pytest.mark.parametrize(
    ("style", "said"),
    [
        (Style(profile="ros1", encoding="ros1"), "ROS 1.*rosbags-convert"),
        (Style(profile="", encoding="protobuf"), "protobuf"),
        (Style(profile="", encoding="json"), "JSON"),
        (Style(profile="x", encoding="cbor"), "cbor"),
    ],
)
def test_case_27_messages_that_are_not_of_ros_2_are_named(tmp_path, style, said):
    for summary in (True, False):
        path = tmp_path / "other.mcap"
        path.write_bytes(write(SMALL, Style(profile=style.profile, encoding=style.encoding, summary=summary))[0])
        with pytest.raises(BagError, match=said), Bag(path):
            pass


def test_cdr_in_a_file_without_a_profile_is_read(tmp_path):
    path = tmp_path / "other.mcap"
    path.write_bytes(write(SMALL, Style(profile=""))[0])
    assert read(path)[0] == expected(SMALL)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = record(tmp_path / "drive", drive(1)) / "drive.mcap"
    path.chmod(0)
    with pytest.raises(BagError, match="cannot be read"), Bag(path):
        pass


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_chunk_that_unpacks_to_more_than_it_says_is_damaged_and_costs_no_memory(tmp_path, compression, monkeypatch):
    """Regression: 66 kB of a chunk took 2 GiB."""
    data, ends = write(SMALL, Style(compression=compression))
    bomb = packed(bytes(1 << 24), compression)

    def chunk(full: int) -> bytes:
        head = struct.pack("<QQQI", 0, 0, full, 0) + text(compression)
        return mcap_record(6, head, struct.pack("<Q", len(bomb)), bomb)

    monkeypatch.setenv("SARTM_MAX_CHUNK_BYTES", str(1 << 20))
    for full, words in ((1 << 24, "16777216 bytes unpacked, at most 1048576"), (1000, "1001 bytes, expected 1000")):
        path = tmp_path / f"{full}.mcap"
        path.write_bytes(data[: ends[0]] + chunk(full))
        tracemalloc.start()
        with Bag(path) as bag:
            found, told = list(bag.messages()), " ".join(fault.text for fault in bag.faults)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(found) == 4 and words in told and peak < 1 << 23


def test_a_packed_file_of_which_nothing_can_be_had_is_named_itself(tmp_path):
    """Regression: told was a file in /tmp, and that the recorder had not begun."""
    record(tmp_path / "drive", drive(2), "sqlite3")
    whole = next((tmp_path / "drive").glob("*.db3"))
    content = zstd().compress(whole.read_bytes())
    whole.with_name(whole.name + ".zstd").write_bytes(content[:-100])
    whole.unlink()
    (tmp_path / "drive" / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=rf"^{tmp_path}/drive/drive.db3.zstd: not whole \(.*it is no recording"):
        Bag(tmp_path / "drive").__enter__()


def test_a_message_that_stands_for_more_than_the_limit_is_unreadable(tmp_path, monkeypatch):
    monkeypatch.setenv("SARTM_MAX_CHUNK_BYTES", str(1 << 20))
    kept = zstd().compress(bytes(1 << 20))
    assert unpacked(kept) == bytes(1 << 20)
    bomb = zstd().compress(bytes(1 << 24))
    tracemalloc.start()
    assert unpacked(bomb) == bomb, "as it is: decoding tells"
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()
