"""Sources of replayed frames, without ROS."""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sartm_ros.replay.sources import (
    ENCODING_DTYPES,
    Pair,
    ReadAhead,
    encode_thermal,
    encoding_of,
    folder_pairs,
    synthetic_pairs,
)


def numbered(count: int) -> Iterator[Pair]:
    for index in range(count):
        yield Pair(str(index), np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8))


def names(pairs: ReadAhead, count: int) -> list[str]:
    return [pair.name for _ in range(count) if (pair := pairs.take(timeout=10)) is not None]


def test_read_ahead_keeps_order_and_ends() -> None:
    with ReadAhead(lambda: numbered(10), depth=3) as pairs:
        assert [pair.name for pair in pairs] == [str(i) for i in range(10)]
        assert pairs.take() is None and pairs.take() is None  # asked again after the end


def test_read_ahead_loops() -> None:
    with ReadAhead(lambda: numbered(3), depth=2, loop=True) as pairs:
        assert names(pairs, 7) == ["0", "1", "2", "0", "1", "2", "0"]


def test_read_ahead_of_nothing_ends_even_when_looping() -> None:
    with ReadAhead(lambda: numbered(0), loop=True) as pairs:
        assert pairs.take(timeout=10) is None


def test_read_ahead_passes_on_the_error_of_the_source() -> None:
    def broken() -> Iterator[Pair]:
        yield from numbered(1)
        raise ValueError("rgb/7.png: not a readable image")

    with ReadAhead(broken) as pairs:
        assert names(pairs, 1) == ["0"]
        with pytest.raises(ValueError, match="7.png"):
            pairs.take(timeout=10)
        assert pairs.take(timeout=10) is None


def test_read_ahead_reads_no_more_than_its_depth() -> None:
    made, enough = [], threading.Event()

    def counted() -> Iterator[Pair]:
        for pair in numbered(100):
            made.append(pair)
            if len(made) == 5:
                enough.set()
            yield pair

    with ReadAhead(counted, depth=4) as pairs:
        assert enough.wait(10)  # four in the queue, the fifth in hand
        assert pairs.ready <= 4 and len(made) == 5


def test_take_without_waiting_says_when_nothing_is_ready() -> None:
    gate = threading.Event()

    def slow() -> Iterator[Pair]:
        gate.wait(10)
        yield from numbered(1)

    with ReadAhead(slow) as pairs:
        with pytest.raises(queue.Empty):
            pairs.take(timeout=0)
        gate.set()
        assert names(pairs, 1) == ["0"]


def test_closing_stops_a_source_that_waits_for_room() -> None:
    pairs = ReadAhead(lambda: numbered(1000), depth=1)
    pairs.close()
    pairs.close()
    assert not pairs._thread.is_alive()


@pytest.mark.parametrize("encoding", ENCODING_DTYPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_thermal_type_becomes_every_encoding(dtype: type, encoding: str) -> None:
    thermal = np.linspace(10, 200, 48).reshape(6, 8).astype(dtype)
    out = encode_thermal(thermal, encoding)
    assert out.shape == (6, 8) and out.dtype == ENCODING_DTYPES[encoding] and encoding_of(out) == encoding
    assert (np.diff(out.ravel().astype(np.float64)) >= 0).all()  # hotter stays hotter
    assert encode_thermal(thermal, "auto") is thermal


def test_kelvin_becomes_hundredths() -> None:
    kelvin = np.array([[293.15, 310.0, np.nan, np.inf]], np.float32)
    assert encode_thermal(kelvin, "16UC1").tolist() == [[29315, 31000, 0, 65535]]


def test_flat_and_empty_of_sense_thermal_is_encoded() -> None:
    assert (encode_thermal(np.full((2, 2), 300, np.float32), "mono8") == 0).all()
    assert (encode_thermal(np.full((2, 2), np.nan, np.float32), "mono8") == 0).all()


def test_unknown_encoding_is_an_error() -> None:
    with pytest.raises(ValueError, match="thermal_encoding: got 'rgb8'"):
        encode_thermal(np.zeros((2, 2), np.uint8), "rgb8")


def test_folder_pairs(tmp_path: Path) -> None:
    for kind, shape in (("rgb", (4, 6, 3)), ("thermal", (2, 3))):
        (tmp_path / kind).mkdir()
        for name in ("00001D", "00002N", "RAIN"):
            Image.fromarray(np.full(shape, 7, np.uint8)).save(tmp_path / kind / f"{name}.png")
    pairs = list(folder_pairs(tmp_path))
    assert [(p.name, p.condition) for p in pairs] == [("00001D", "day"), ("00002N", "night"), ("RAIN", "")]
    assert all(p.label is None for p in pairs)
    assert pairs[0].rgb.shape == (4, 6, 3) and pairs[0].thermal.shape == (2, 3)
    assert len(list(folder_pairs(tmp_path, count=1))) == 1


def test_synthetic_pairs_drive_from_day_to_night() -> None:
    pairs = list(synthetic_pairs(3, seed=1, conditions=("day", "night")))
    assert [p.condition for p in pairs][0] == "day" and pairs[-1].condition == "night"
    for pair in pairs:
        assert pair.thermal.dtype == np.uint16 and 20000 < int(pair.thermal.mean()) < 40000  # 200..400 K
        assert pair.label is not None and pair.label.shape == pair.rgb.shape[:2]
