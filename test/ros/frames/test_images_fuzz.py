"""Any message at all, sizes and bytes that lie included: a correct array or an ImageError, and nothing else."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartm_ros.frames.colors import COLOR
from sartm_ros.frames.images import THERMAL, Crop, ImageError, parse
from test.ros.fake_messages import TOPIC, message

SIDES = st.integers(0, 8) | st.sampled_from([4320, 7680, 16384, 16385, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
ENCODINGS = st.sampled_from([*COLOR, *THERMAL, "", "yuv422"]) | st.text(st.characters(), max_size=100)
CROPS = st.builds(Crop, *[st.integers(0, 3) | st.integers(0, 2**31)] * 4)


@st.composite
def raw_messages(draw: st.DrawFn) -> SimpleNamespace:
    """Any Image; in half of the cases its step and data fit its size and encoding, give or take some bytes."""
    height, width, encoding = draw(SIDES), draw(SIDES), draw(ENCODINGS)
    step = draw(st.integers(0, 64) | st.integers(0, 2**32 - 1))
    size = draw(st.integers(0, 300))
    if draw(st.booleans()) and max(height, width) <= 8:
        pixel = COLOR[encoding][0] if encoding in COLOR else np.dtype(THERMAL.get(encoding, "u1")).itemsize
        step = max(0, width * pixel + draw(st.integers(-1, 9)))
        size = max(0, height * step + draw(st.integers(-9, 9)))
    data = draw(st.binary(min_size=size, max_size=size))
    return message(data, encoding, height, width, step, draw(st.integers(0, 255)))


@settings(max_examples=400, deadline=None)
@given(sent=raw_messages(), role=st.sampled_from(["rgb", "thermal"]), crop=CROPS, scale=st.floats(width=32))
def test_any_message_gives_an_image_or_an_image_error(sent, role, crop, scale):
    crop = crop if role == "thermal" else Crop()
    try:
        frame = parse(sent, role, TOPIC, crop)
        out = frame.rgb() if role == "rgb" else frame.thermal(scale)
    except ImageError as error:
        assert str(error).startswith(TOPIC) and str(error).isprintable()
        return
    height, width = sent.height - crop.top - crop.bottom, sent.width - crop.left - crop.right
    assert out.shape[:2] == (height, width) == (frame.height, frame.width)
    assert isinstance(frame.fingerprint(), int | None) and frame.kind.isprintable()
    if role == "rgb" and sent.encoding not in COLOR:
        return  # cv_bridge is installed here: its colours are its own business
    plain = out if role == "rgb" or out.dtype != np.float32 or scale == 1.0 else frame.thermal()
    for y, x in ((0, 0), (height - 1, width - 1)):
        expected = pixel(sent, role, crop.top + y, crop.left + x)
        assert np.array_equal(plain[y, x], expected, equal_nan=True)


def pixel(sent: SimpleNamespace, role: str, y: int, x: int) -> np.ndarray:
    """One pixel, read slowly from the bytes by the definition of sensor_msgs/Image."""
    row = sent.data.tobytes()[y * sent.step :]
    order = ">" if sent.is_bigendian else "<"
    if role == "thermal" and sent.encoding in THERMAL:
        dtype = np.dtype(THERMAL[sent.encoding]).newbyteorder(order)
        value = np.frombuffer(row[x * dtype.itemsize :][: dtype.itemsize], dtype)[0]
        return np.asarray(value, np.float32 if dtype.kind in "if" else dtype.newbyteorder("="))
    channels, places = COLOR[sent.encoding]
    color = np.array([row[x * channels + place] for place in places], np.uint8)
    return color if role == "rgb" else np.uint8((color @ np.array([19595, 38470, 7471]) + 32768) >> 16)


@pytest.mark.parametrize(("role", "encoding"), [("rgb", "rgb8"), ("thermal", "32FC1"), ("thermal", "bgr8")])
def test_an_8k_claim_with_ten_bytes_costs_nothing(role, encoding):
    sent = message(bytes(10), encoding, 4320, 7680, 7680 * 4)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="data has 10 bytes"):
            parse(sent, role, TOPIC)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
