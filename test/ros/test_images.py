"""Messages to arrays and back: every encoding, padding and byte order, and what is said about messages that lie."""

from __future__ import annotations

import array
import importlib.util
import io
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

from sartm_ros.images import COLOR, THERMAL, ImageError, fill, parse

TOPIC = "/cam/image_raw"
STAMP = SimpleNamespace(sec=12, nanosec=345)


def message(data: bytes, encoding: str, height: int, width: int, step: int, big: bool = False) -> SimpleNamespace:
    """An object with the fields of sensor_msgs/Image."""
    return SimpleNamespace(
        header=SimpleNamespace(stamp=STAMP, frame_id="cam"),
        height=height,
        width=width,
        encoding=encoding,
        step=step,
        is_bigendian=int(big),
        data=array.array("B", data),
    )


def encode(image: np.ndarray, encoding: str, pad: int = 0, big: bool = False) -> SimpleNamespace:
    """A message of this image with `pad` bytes of rubbish after every row."""
    wire = image.astype(image.dtype.newbyteorder(">" if big else "<"))
    rows = wire.reshape(image.shape[0], -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, pad)), constant_values=0xAB)
    return message(padded.tobytes(), encoding, image.shape[0], image.shape[1], padded.shape[1], big)


def compressed(image: np.ndarray, kind: str) -> SimpleNamespace:
    buffer = io.BytesIO()
    PilImage.fromarray(image).save(buffer, kind)
    return raw_compressed(buffer.getvalue(), kind)


def raw_compressed(data: bytes, kind: str) -> SimpleNamespace:
    header = SimpleNamespace(stamp=STAMP, frame_id="cam")
    return SimpleNamespace(header=header, format=kind, data=array.array("B", data))


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("pad", [0, 1, 9])
@pytest.mark.parametrize("encoding", COLOR)
def test_colour_encodings(picture, encoding, pad):
    alpha = np.full((5, 7, 1), 77, np.uint8)
    bgr = picture[..., ::-1]
    sent, expected = {
        "rgb8": (picture, picture),
        "bgr8": (bgr, picture),
        "8UC3": (bgr, picture),
        "rgba8": (np.concatenate([picture, alpha], 2), picture),
        "bgra8": (np.concatenate([bgr, alpha], 2), picture),
        "8UC4": (np.concatenate([bgr, alpha], 2), picture),
        "mono8": (picture[..., 0], picture[..., [0, 0, 0]]),
        "8UC1": (picture[..., 0], picture[..., [0, 0, 0]]),
    }[encoding]
    out = parse(encode(sent, encoding, pad), "rgb", TOPIC).rgb()
    assert out.dtype == np.uint8 and np.array_equal(out, expected)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("pad", [0, 4, 3])
@pytest.mark.parametrize("encoding", THERMAL)
def test_thermal_encodings(encoding, pad, big):
    dtype = np.dtype(THERMAL[encoding])
    values = (np.arange(35).reshape(5, 7) * (7 if dtype.itemsize == 1 else 1000)).astype(dtype)
    out = parse(encode(values, encoding, pad, big), "thermal", TOPIC).thermal()
    assert out.dtype == values.dtype and out.dtype.isnative and np.array_equal(out, values)


def test_views_share_the_messages_memory(picture):
    sent = encode(picture, "rgb8")
    view = parse(sent, "rgb", TOPIC).rgb()
    assert np.shares_memory(view, np.frombuffer(sent.data, np.uint8)) and not view.flags.writeable
    counts = encode(np.zeros((5, 7), np.uint16), "16UC1")
    assert np.shares_memory(parse(counts, "thermal", TOPIC).thermal(), np.frombuffer(counts.data, np.uint8))


def test_scale_and_offset_make_float32():
    counts = np.full((5, 7), 29815, np.uint16)
    out = parse(encode(counts, "mono16"), "thermal", TOPIC).thermal(scale=0.01, offset=-273.15)
    assert out.dtype == np.float32 and out == pytest.approx(25.0, abs=0.01)


def test_header_size_and_stamp(picture):
    frame = parse(encode(picture, "rgb8"), "rgb", TOPIC)
    assert (frame.height, frame.width, frame.stamp_ns, frame.header.frame_id) == (5, 7, 12_000_000_345, "cam")


def test_the_last_row_may_lack_its_padding(picture):
    sent = encode(picture, "rgb8", pad=9)
    del sent.data[-9:]
    assert np.array_equal(parse(sent, "rgb", TOPIC).rgb(), picture)


@pytest.mark.parametrize(
    ("role", "wrong", "part"),
    [
        ("rgb", {"width": 0}, "0x5"),
        ("rgb", {"height": 0}, "expected a width and a height"),
        ("rgb", {"width": 4_000_000_000}, "expected a width and a height"),
        ("rgb", {"step": 20}, "step is 20 bytes; expected at least 21"),
        ("rgb", {"step": 0}, "step is 0"),
        ("rgb", {"step": 10**9}, "expected 5000000000"),
        ("rgb", {"data": array.array("B", bytes(104))}, "data has 104 bytes; expected 105"),
        ("rgb", {"data": array.array("B")}, "data has 0 bytes"),
        ("rgb", {"encoding": ""}, "encoding ''"),
        ("thermal", {}, "expected one of mono8"),
        ("thermal", {"encoding": "64FC1"}, "'64FC1'"),
        ("thermal", {"encoding": "32FC1"}, "step is 21 bytes; expected at least 28"),
    ],
)
def test_messages_that_lie_are_refused_by_topic_encoding_and_size(picture, role, wrong, part):
    sent = encode(picture, "rgb8")
    vars(sent).update(wrong)
    with pytest.raises(ImageError) as error:
        parse(sent, role, TOPIC)
    text = str(error.value)
    assert text.startswith(f"{TOPIC}: image {sent.width}x{sent.height}, encoding '{sent.encoding}'") and part in text
    assert error.value.topic == TOPIC


def test_temperatures_that_are_all_nan_are_refused_and_one_value_is_enough():
    values = np.full((40, 50), np.nan, np.float32)
    with pytest.raises(ImageError, match="NaN"):
        parse(encode(values, "32FC1"), "thermal", TOPIC)
    values[3, 5] = 300.0  # between the probed pixels
    out = parse(encode(values, "32FC1"), "thermal", TOPIC).thermal()
    assert np.nanmax(out) == 300.0


def test_other_encodings_name_cv_bridge(picture, monkeypatch):
    if importlib.util.find_spec("cv_bridge") is not None:
        pytest.skip("cv_bridge is installed here")
    with pytest.raises(ImageError, match="cv_bridge"):
        parse(encode(picture[..., 0], "bayer_rggb8"), "rgb", TOPIC)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_compressed_colour(kind):
    image = np.full((16, 24, 3), (200, 60, 20), np.uint8)
    frame = parse(compressed(image, kind), "rgb", TOPIC)
    assert (frame.height, frame.width) == (16, 24)
    assert np.abs(frame.rgb().astype(int) - image).max() <= (3 if kind == "jpeg" else 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_compressed_thermal(dtype):
    values = (np.arange(384).reshape(16, 24) * (170 if dtype == np.uint16 else 0.5)).astype(dtype)
    out = parse(compressed(values, "png"), "thermal", TOPIC).thermal()
    assert out.dtype == dtype and np.array_equal(out, values)


def test_compressed_rubbish_is_refused():
    for data in (b"", b"not a picture"):
        with pytest.raises(ImageError, match=f"{TOPIC}.*JPEG or PNG"):
            parse(raw_compressed(data, "jpeg"), "rgb", TOPIC)
    whole = compressed(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), "png")
    frame = parse(raw_compressed(whole.data.tobytes()[:500], "png"), "rgb", TOPIC)
    with pytest.raises(ImageError, match="cannot decode 500 bytes"):
        frame.rgb()
    with pytest.raises(ImageError, match="mode RGB"):
        parse(whole, "thermal", TOPIC)


@settings(max_examples=300, deadline=None)
@given(
    role=st.sampled_from(["rgb", "thermal"]),
    encoding=st.sampled_from([*COLOR, *THERMAL, "", "yuv422", "x" * 50]),
    height=st.integers(0, 2**32 - 1) | st.integers(0, 8),
    width=st.integers(0, 2**32 - 1) | st.integers(0, 8),
    step=st.integers(0, 2**32 - 1) | st.integers(0, 64),
    data=st.binary(max_size=300),
    big=st.booleans(),
)
def test_any_message_gives_an_image_or_an_image_error(role, encoding, height, width, step, data, big):
    try:
        frame = parse(message(data, encoding, height, width, step, big), role, TOPIC)
        out = frame.rgb() if role == "rgb" else frame.thermal()
    except ImageError as error:
        assert TOPIC in str(error)
    else:
        assert out.shape[:2] == (height, width)


def test_written_messages_read_back():
    sensor_msgs = pytest.importorskip("sensor_msgs.msg", reason="sensor_msgs is not installed")
    std_msgs = pytest.importorskip("std_msgs.msg", reason="std_msgs is not installed")
    header = std_msgs.Header(frame_id="rgb_optical")
    header.stamp.sec, header.stamp.nanosec = 5, 6
    mask = np.arange(35, dtype=np.uint8).reshape(5, 7)
    for image, encoding in ((mask, "mono8"), (mask.T[:, ::-1], "mono8"), (np.stack([mask] * 3, 2), "rgb8")):
        out = fill(sensor_msgs.Image(), image, header)
        assert (out.encoding, out.height, out.width) == (encoding, *image.shape[:2])
        assert out.step == len(out.data) // out.height and out.header == header
        back = parse(out, "rgb", TOPIC).rgb()
        assert np.array_equal(back if encoding == "rgb8" else back[..., 0], image)


@pytest.mark.parametrize("image", [np.zeros((5, 7)), np.zeros((5, 7, 4), np.uint8), np.zeros(5, np.uint8)])
def test_only_ids_and_colour_are_written(image):
    with pytest.raises(ValueError, match="expected"):
        fill(SimpleNamespace(), image, None)
