"""Run lengths there and back, and byte by byte."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sartm_core.scene.run_length import decode, encode

masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from([0, 1, 255]))


@given(mask=masks)
def test_there_and_back(mask: np.ndarray) -> None:
    data = encode(mask).tobytes()
    found = decode(data, *mask.shape)
    assert found.dtype == np.uint8 and (found == mask).all()
    runs = list(struct.iter_unpack("<Bi", data))
    assert [id for id, pixels in runs for _ in range(pixels)] == mask.ravel().tolist()
    assert all(a[0] != b[0] for a, b in zip(runs[:-1], runs[1:], strict=True))  # no run could be longer


def test_a_run_may_be_longer_than_16_bits() -> None:
    mask = np.zeros((300, 400), np.uint8)
    assert encode(mask).tobytes() == struct.pack("<Bi", 0, 120000)
    assert (decode(encode(mask), 300, 400) == mask).all()


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"\0" * 6, "got 6 bytes"), (struct.pack("<Bi", 1, 5), "got 5 pixels, expected 6"),
     (struct.pack("<BiBi", 1, 7, 2, -1), "got 6 pixels")],
)  # fmt: skip
def test_damaged_runs_are_refused(data: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        decode(data, 2, 3)
