"""What tells a frozen camera: equal numbers for equal pictures, none for pictures without detail."""

from __future__ import annotations

import numpy as np
import pytest

from sartm_ros.frames.images import NO_CROP, THERMAL, Crop, parse
from test.ros.fake_messages import TOPIC, compressed, encode


@pytest.mark.parametrize(("encoding", "dtype"), [("mono8", "u1"), ("16UC1", "u2"), ("32FC1", "f4")])
def test_the_fingerprint_follows_the_pixels(encoding, dtype):
    values = np.random.default_rng(1).integers(100, 120, (480, 640)).astype(dtype)

    def mark(image: np.ndarray, pad: int, crop: Crop = NO_CROP) -> int:
        return parse(encode(image, encoding, pad), "thermal", TOPIC, crop).fingerprint()

    noise = np.random.default_rng(2).random(values.shape) < 0.01
    assert mark(values, 0) == mark(values, 7), "padding is no content"
    assert mark(values, 0) != mark(values + noise.astype(dtype), 0)
    telemetry = values.copy()
    telemetry[-2:] = 0
    assert mark(values, 0, Crop(bottom=2)) == mark(telemetry, 0, Crop(bottom=2)), "a frame counter is cropped away"


def test_the_fingerprint_of_a_tiny_colour_frame():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    other = picture.copy()
    other[2, 3, 1] ^= 1
    first, second = (parse(encode(image, "rgb8"), "rgb", TOPIC).fingerprint() for image in (picture, other))
    assert first != second and first == parse(encode(picture, "rgb8"), "rgb", TOPIC).fingerprint()


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize(
    ("encoding", "role"), [("rgb8", "rgb"), ("mono8", "rgb"), ("mono16", "thermal"), ("32FC1", "thermal")]
)
def test_a_picture_without_detail_has_no_fingerprint(encoding, role, value):
    """Regression: a dark or saturated camera counted as frozen."""
    shape = (480, 640, 3) if encoding == "rgb8" else (480, 640)
    flat = np.full(shape, value, THERMAL.get(encoding, "u1"))
    assert parse(encode(flat, encoding), role, TOPIC).fingerprint() is None
    flat[240:250] += 1
    assert parse(encode(flat, encoding), role, TOPIC).fingerprint() is not None


def test_one_colour_of_three_numbers_is_no_detail():
    flat = np.full((48, 64, 3), (3, 200, 90), np.uint8)
    assert parse(encode(flat, "rgb8", pad=5), "rgb", TOPIC).fingerprint() is None
    assert parse(encode(np.full((1, 1), 7, np.uint8), "mono8"), "rgb", TOPIC).fingerprint() is None


@pytest.mark.parametrize("kind", ["jpeg", "png"])
@pytest.mark.parametrize("size", [(256, 320), (480, 640)])
def test_a_compressed_picture_without_detail_has_no_fingerprint(kind, size):
    def mark(image: np.ndarray, role: str) -> int | None:
        return parse(compressed(image, kind), role, TOPIC).fingerprint()

    assert mark(np.full((*size, 3), (12, 200, 77), np.uint8), "rgb") is None
    assert mark(np.full(size, 77, np.uint8), "thermal") is None
    noise = np.random.default_rng(0).integers(0, 9, (*size, 3), dtype=np.uint8)
    assert mark(noise, "rgb") is not None and mark(noise, "rgb") == mark(noise, "rgb") != mark(noise[::-1], "rgb")
    assert mark(noise[:16, :16], "rgb") is not None
