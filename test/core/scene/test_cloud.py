"""The cloud as its readers take it apart: by field name, offset and number type."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from sartm_core.preprocess.camera import Camera
from sartm_core.preprocess.registration import Registration
from sartm_core.scene.cloud import FIELDS, POINT, POINT_STEP, cloud

CAMERA = Camera.of(8, 6, (5.0, 0, 3.5, 0, 4.0, 2.5, 0, 0, 1))
FORMATS = {2: "B", 7: "f"}
"""`struct` letters of PointField's UINT8 and FLOAT32."""


def frame() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    depth = rng.integers(500, 30000, (6, 8), dtype=np.uint16)
    depth[2, 3] = 0
    return {
        "mask": rng.choice(np.array([0, 1, 2, 255], np.uint8), (6, 8)),
        "depth": depth,
        "rgb": rng.integers(0, 256, (6, 8, 3), dtype=np.uint8),
        "confidence": rng.integers(0, 256, (6, 8), dtype=np.uint8),
        "kelvin": rng.uniform(280, 320, (3, 4)).astype(np.float32),
    }


def test_every_field_is_where_a_reader_of_bytes_finds_it() -> None:
    given = frame()
    data = cloud(camera=CAMERA, registration=Registration((2, 0, 0.5, 0, 2, 0.5, 0, 0, 1)), **given).tobytes()
    assert len(data) == 6 * 8 * POINT_STEP
    for v, u in np.ndindex(6, 8):
        at = (v * 8 + u) * POINT_STEP
        point = {
            name: struct.unpack_from("=" + FORMATS[kind], data, at + offset)[0]
            for name, (offset, kind) in FIELDS.items()
        }
        metre = float(given["depth"][v, u]) / 1000
        if metre:
            expected = ((u - 3.5) / 5 * metre, (v - 2.5) / 4 * metre, metre)
            assert (point["x"], point["y"], point["z"]) == pytest.approx(expected, rel=1e-6)
        else:
            assert all(np.isnan(point[name]) for name in "xyz")
        blue, green, red, _ = struct.pack("<f", point["rgb"])  # as PCL: the lowest byte is blue
        assert [red, green, blue] == given["rgb"][v, u].tolist()
        assert point["label"] == given["mask"][v, u]
        assert point["confidence"] == given["confidence"][v, u]
        assert point["temperature"] == given["kelvin"][v // 2, u // 2]  # its own pixel, no mixture


def test_the_memory_of_the_array_is_the_message() -> None:
    points = cloud(frame()["mask"], frame()["depth"], CAMERA)
    assert points.dtype == POINT and points.flags.c_contiguous and points.dtype.itemsize == POINT_STEP
    data = points.reshape(-1).view(np.uint8)
    assert np.shares_memory(data, points) and len(data) == points.nbytes
    assert max(offset for offset, _ in FIELDS.values()) + 4 == POINT_STEP


def test_what_is_not_given_is_unknown() -> None:
    points = cloud(frame()["mask"], frame()["depth"].astype(np.float32), CAMERA)
    assert np.isnan(points["temperature"]).all() and not points["confidence"].any() and not points["rgb"].any()


def test_the_memory_of_the_last_frame_is_filled_anew() -> None:
    given, rng = frame(), np.random.default_rng(1)
    out = cloud(camera=CAMERA, **given)
    given["mask"], given["depth"] = rng.permutation(given["mask"]), rng.permutation(given["depth"])
    again = cloud(camera=CAMERA, out=out, **given | {"kelvin": None})
    assert again is out and again.tobytes() == cloud(camera=CAMERA, **given | {"kelvin": None}).tobytes()


def test_temperature_is_unknown_outside_the_thermal_view() -> None:
    given = frame()
    away = Registration((2, 0, 4.5, 0, 2, 0.5, 0, 0, 1))
    points = cloud(given["mask"], given["depth"], CAMERA, kelvin=given["kelvin"], registration=away)
    assert np.isnan(points["temperature"][:, :4]).all() and np.isfinite(points["temperature"][:, 4:]).all()


def test_another_size_is_refused() -> None:
    given = frame()
    with pytest.raises(ValueError, match="depth: got 4x3, expected the mask's 8x6; align"):
        cloud(given["mask"], given["depth"][::2, ::2], CAMERA)
    with pytest.raises(ValueError, match="confidence: got 4x6"):
        cloud(given["mask"], given["depth"], CAMERA, confidence=given["confidence"][:, ::2])
    with pytest.raises(ValueError, match="mask: got 8x6, its camera's calibration is of 1280x720"):
        cloud(given["mask"], given["depth"], Camera((1280, 720), (900, 900), (640, 360)))
