"""Messages to arrays and back: every encoding, padding and byte order, and what is said about messages that lie."""

from __future__ import annotations

import array
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from sartm_ros.frames import colors
from sartm_ros.frames.colors import COLOR, DEEP_COLOR
from sartm_ros.frames.filling import fill
from sartm_ros.frames.images import THERMAL, Crop, ImageError, parse
from test.ros.fake_messages import TOPIC, encode


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
    expected = np.float32 if encoding == "16SC1" else values.dtype  # what Segmenter takes
    assert out.dtype == expected and out.dtype.isnative and np.array_equal(out, values)


def test_signed_hundredths_of_a_degree_become_celsius():
    values = np.full((5, 7), -1250, np.int16)
    out = parse(encode(values, "16SC1", big=True), "thermal", TOPIC).thermal(scale=0.01)
    assert out.dtype == np.float32 and out == pytest.approx(-12.5)


def test_views_share_the_messages_memory(picture):
    sent = encode(picture, "rgb8")
    view = parse(sent, "rgb", TOPIC).rgb()
    assert np.shares_memory(view, np.frombuffer(sent.data, np.uint8)) and not view.flags.writeable
    counts = encode(np.zeros((5, 7), np.uint16), "16UC1", pad=2)
    for crop in (Crop(), Crop(top=2, right=1)):
        view = parse(counts, "thermal", TOPIC, crop).thermal()
        assert np.shares_memory(view, np.frombuffer(counts.data, np.uint8))


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
        ("thermal", {"encoding": "yuv422"}, "expected one of mono8"),
        ("thermal", {"encoding": "\ud800\n" * 99}, "expected one of mono8"),
        ("thermal", {"encoding": "64FC1"}, "'64FC1'"),
        ("thermal", {"encoding": "32FC1"}, "step is 21 bytes; expected at least 28"),
    ],
)
def test_messages_that_lie_are_refused_by_topic_encoding_and_size(picture, role, wrong, part, monkeypatch):
    monkeypatch.setattr(colors, "has_cv_bridge", lambda: False)
    sent = encode(picture, "rgb8")
    vars(sent).update(wrong)
    with pytest.raises(ImageError) as error:
        parse(sent, role, TOPIC)
    text = str(error.value)
    assert text.startswith(f"{TOPIC}: image {sent.width}x{sent.height}, encoding '") and part in text
    assert error.value.topic == TOPIC and text.isprintable() and (len(sent.encoding) > 9 or sent.encoding in text)


def test_temperatures_that_are_all_nan_are_refused_and_one_value_is_enough():
    values = np.full((40, 50), np.nan, np.float32)
    with pytest.raises(ImageError, match="NaN"):
        parse(encode(values, "32FC1"), "thermal", TOPIC)
    values[3, 5] = 300.0  # between the probed pixels
    out = parse(encode(values, "32FC1"), "thermal", TOPIC).thermal()
    assert np.nanmax(out) == 300.0


def test_other_encodings_name_cv_bridge(picture, monkeypatch):
    monkeypatch.setattr(colors, "has_cv_bridge", lambda: False)
    with pytest.raises(ImageError, match="cv_bridge"):
        parse(encode(picture[..., 0], "bayer_rggb8"), "rgb", TOPIC)


@pytest.mark.parametrize("encoding", ["rgb16", "bgra16", "16UC3", "32FC3", "bayer_rggb16"])
def test_colour_of_more_than_8_bits_is_refused(encoding, monkeypatch):
    monkeypatch.setattr(colors, "has_cv_bridge", lambda: True)
    sent = encode(np.zeros((4, 6), np.uint16), "mono16")
    sent.encoding = encoding
    with pytest.raises(ImageError, match="more than 8 bits a channel"):
        parse(sent, "rgb", TOPIC)


@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
def test_heat_on_the_colour_topic_asks_whether_they_are_swapped(encoding):
    with pytest.raises(ImageError, match="expected colour, as rgb8 or bgr8: are the two cameras swapped?"):
        parse(encode(np.zeros((4, 6), np.uint16), encoding), "rgb", TOPIC)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("encoding", DEEP_COLOR)
def test_counts_in_equal_channels_of_16_bits_are_counts(encoding, big):
    """What a republisher makes of mono16; as in files and in compressed messages."""
    counts = (np.arange(35).reshape(5, 7) * 1000).astype(np.uint16)
    sent = np.dstack([counts] * 3 + [np.full_like(counts, 65535)] * (DEEP_COLOR[encoding] - 3))
    frame = parse(encode(sent, encoding, 4, big), "thermal", TOPIC)
    out = frame.thermal()
    assert out.dtype == np.uint16 and out.dtype.isnative and np.array_equal(out, counts) and not frame.warning
    sent[2, 3, 1] += 1
    with pytest.raises(ImageError, match="the channels differ; expected the camera's counts"):
        parse(encode(sent, encoding, 4, big), "thermal", TOPIC).thermal()


def test_bayer_and_yuv_through_cv_bridge():
    pytest.importorskip("cv_bridge", reason="cv_bridge is not installed (it comes with a ROS distro)")
    sensor_msgs = pytest.importorskip("sensor_msgs.msg", reason="sensor_msgs is not installed")

    def read(data: np.ndarray, encoding: str, height: int, width: int, step: int) -> np.ndarray:
        sent = sensor_msgs.Image(height=height, width=width, encoding=encoding, step=step)
        sent.data.frombytes(data.tobytes())
        return parse(sent, "rgb", TOPIC).rgb()

    mosaic = np.tile(np.array([[250, 100], [100, 30]], np.uint8), (8, 10))  # R G / G B
    out = read(np.pad(mosaic, ((0, 0), (0, 4))), "bayer_rggb8", 16, 20, 24)
    assert out.shape == (16, 20, 3) and np.array_equal(out[8, 10], (250, 100, 30))
    gray = np.tile(np.array([128, 90], np.uint8), (16, 20))  # U Y V Y
    assert np.abs(read(gray, "yuv422", 16, 20, 40).astype(int) - 90).max() <= 25  # full or video range
    for encoding, step in (("bayer_rggb8", 16), ("yuv422", 20), ("nonsense", 40), ("32FC4", 40), ("8UC7", 40)):
        with pytest.raises(ImageError, match="cv_bridge|do not fit"):
            read(gray, encoding, 16, 20, step)


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (
            RuntimeError("Unrecognized\nencoding \ud800"),
            "cv_bridge cannot turn it into rgb8 .RuntimeError: Unrecognized enc",
        ),
        (np.zeros((5, 6, 3), np.uint8), r"cv_bridge made \(5, 6, 3\) uint8 of it"),
        (np.zeros((5, 7), np.uint8), r"cv_bridge made \(5, 7\) uint8 of it"),
    ],
)
def test_what_cv_bridge_cannot_do_is_one_printable_line(picture, monkeypatch, answer, part):
    """Regression: an encoding of broken unicode came back in cv_bridge's own error text."""

    class CvBridge:
        def imgmsg_to_cv2(self, message, encoding):
            if isinstance(answer, Exception):
                raise answer
            return answer

    monkeypatch.setattr(colors, "has_cv_bridge", lambda: True)
    monkeypatch.setitem(sys.modules, "cv_bridge", SimpleNamespace(CvBridge=CvBridge))
    with pytest.raises(ImageError, match=part) as error:
        parse(encode(picture[..., 0], "bayer_rggb8"), "rgb", TOPIC).rgb()
    assert str(error.value).isprintable()


@pytest.mark.parametrize("encoding", [name for name in COLOR if name not in THERMAL])
def test_false_colour_thermal_is_read_as_brightness_with_a_warning(picture, encoding):
    channels, order = COLOR[encoding]
    sent = np.full((5, 7, channels), 9, np.uint8)
    for place, source in enumerate(order):
        sent[..., source] = picture[..., place]
    frame = parse(encode(sent, encoding, pad=3), "thermal", TOPIC, Crop(top=1))
    expected = picture[1:] @ np.array([0.299, 0.587, 0.114])
    out = frame.thermal()
    assert out.dtype == np.uint8 and np.abs(out - expected).max() <= 0.51
    assert "false colour" in frame.warning and "16-bit" in frame.warning
    assert frame.thermal(2.0, 1.0).dtype == np.float32


def test_grey_in_three_channels_keeps_its_values():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(parse(encode(np.stack([gray] * 3, 2), "bgr8"), "thermal", TOPIC).thermal(), gray)


@pytest.mark.parametrize("encoding", THERMAL)
def test_numbers_carry_no_warning(encoding):
    assert parse(encode(np.ones((5, 7), THERMAL[encoding]), encoding), "thermal", TOPIC).warning == ""


@pytest.mark.parametrize("big", [False, True])
def test_telemetry_rows_are_cropped(big):
    values = np.arange(35, dtype=np.uint16).reshape(5, 7)
    frame = parse(encode(values, "mono16", 5, big), "thermal", TOPIC, Crop(top=1, bottom=2, left=3, right=1))
    assert (frame.height, frame.width) == (2, 3) and np.array_equal(frame.thermal(), values[1:3, 3:6])
    assert parse(encode(values.astype(np.uint8), "mono8"), "rgb", TOPIC, Crop(top=1)).height == 5  # thermal only


def test_telemetry_is_not_taken_for_a_temperature():
    values = np.full((5, 7), np.nan, np.float32)
    values[0] = 1.0
    assert parse(encode(values, "32FC1"), "thermal", TOPIC).warning == ""
    with pytest.raises(ImageError, match="NaN"):
        parse(encode(values, "32FC1"), "thermal", TOPIC, Crop(top=1))


@pytest.mark.parametrize(
    ("crop", "part"),
    [
        (Crop(top=3, bottom=2), "thermal.crop_top 3 + thermal.crop_bottom 2 leave nothing of 5 rows (7x5)"),
        (Crop(left=9), "thermal.crop_left 9 + thermal.crop_right 0 leave nothing of 7 columns (7x5)"),
    ],
)
def test_a_crop_that_leaves_nothing_is_an_error(crop, part):
    with pytest.raises(ImageError) as error:
        parse(encode(np.zeros((5, 7), np.uint8), "mono8"), "thermal", TOPIC, crop)
    assert part in str(error.value)


def test_a_negative_crop_is_refused():
    with pytest.raises(ValueError, match="thermal.crop_left: got -1"):
        Crop(left=-1)


def test_kind_and_size_in_bytes(picture):
    frame = parse(encode(picture, "rgb8", pad=2), "rgb", TOPIC)
    assert (frame.kind, frame.nbytes) == ("7x5 rgb8", 115)


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
