"""Objects of a mask against numpy on each of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartm_core.preprocess.registration import Registration
from sartm_core.scene.components import components
from sartm_core.scene.objects import objects

CLASSES = ("unlabeled", "car", "person")
DOUBLE = Registration((2, 0, 3, 0, 2, -1, 0, 0, 1))
"""Thermal pixel (x, y) sees rgb pixel (2 x + 3, 2 y - 1)."""


def scene(seed: int, shape: tuple[int, int] = (14, 19)) -> tuple[np.ndarray, np.ndarray]:
    """Mask and confidence (H, W) uint8 with a few blobs."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice(np.array([0, 0, 1, 2, 255], np.uint8), (-(-shape[0] // 3), -(-shape[1] // 3)))
    mask = coarse.repeat(3, 0).repeat(3, 1)[: shape[0], : shape[1]]
    return mask, rng.integers(0, 256, shape, dtype=np.uint8)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_each_object_is_what_numpy_says_of_its_pixels(seed: int) -> None:
    mask, confidence = scene(seed)
    kelvin = np.random.default_rng(seed).uniform(250, 400, (7, 9)).astype(np.float32)
    kelvin[2, 3] = np.nan
    labels = components(mask).labels()
    found = objects(mask, CLASSES, confidence, kelvin, DOUBLE)
    assert len(found) == labels.max() + 1
    y, x = np.mgrid[:7, :9]
    u, v = 2 * x + 3, 2 * y - 1
    inside = (u < mask.shape[1]) & (v >= 0) & (v < mask.shape[0])
    for n, one in enumerate(found):
        assert one.score == pytest.approx(confidence[labels == n].mean() / 255, rel=1e-12)
        assert CLASSES[one.id] == one.name and one.pixels == (labels == n).sum()
        seen = [
            float(kelvin[j, i]) for j, i in np.argwhere(inside)
            if labels[v[j, i], u[j, i]] == n and np.isfinite(kelvin[j, i])
        ]  # fmt: skip
        if not seen:
            assert one.kelvin is None
            continue
        assert one.kelvin is not None
        told = (one.kelvin.minimum, one.kelvin.median, one.kelvin.maximum, one.kelvin.pixels)
        assert told == (min(seen), np.median(seen), max(seen), len(seen))


def test_thermal_is_read_at_its_own_pixels() -> None:
    """One hot thermal pixel among cold ones: no mixture of the two is ever told."""
    mask = np.zeros((48, 64), np.uint8)
    mask[8:40, 8:56] = 2
    kelvin = np.full((12, 16), 280, np.float32)
    kelvin[5, 7] = 400
    (person,) = objects(mask, CLASSES, kelvin=kelvin)
    assert person.kelvin is not None and person.kelvin.pixels == 8 * 12
    assert (person.kelvin.minimum, person.kelvin.median, person.kelvin.maximum) == (280, 280, 400)


def test_without_temperatures_or_confidence_there_are_none() -> None:
    mask = np.full((4, 4), 1, np.uint8)
    (car,) = objects(mask, CLASSES)
    assert car.kelvin is None and car.score is None and car.centroid == (1.5, 1.5)
    (car,) = objects(mask, CLASSES, kelvin=np.full((4, 4), np.nan, np.float32))
    assert car.kelvin is None


def test_json_has_every_field_and_no_nan() -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[1:3, 2:5] = 1
    kelvin = np.full((4, 6), 300.0004, np.float32)
    (car,) = objects(mask, CLASSES, np.full((4, 6), 255, np.uint8), kelvin)
    assert json.loads(json.dumps(car.to_json(), allow_nan=False)) == {
        "class": "car", "id": 1, "score": 1.0, "box": [2, 1, 3, 2], "pixels": 6, "centroid": [3.0, 1.5],
        "kelvin": {"min": 300.0, "median": 300.0, "max": 300.0, "pixels": 6},
    }  # fmt: skip


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"confidence: got \(2, 2\)"):
        objects(np.ones((3, 3), np.uint8), CLASSES, np.ones((2, 2), np.uint8))
    with pytest.raises(ValueError, match="mask: got id 7"):
        objects(np.full((3, 3), 7, np.uint8), CLASSES)
