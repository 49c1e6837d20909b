"""Hot spots: hysteresis by region, the alarm that stays, bad pixels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartm_core.preprocess.registration import Registration
from sartm_core.scene.hot_spots import AlarmConfig, HotSpotWatch

CONFIG = AlarmConfig(temperature=350, hysteresis=5, min_pixels=2)


def frame(*blocks: tuple[int, float]) -> np.ndarray:
    """(12, 16) float32 of 300 K with 2x2 blocks: column of the left side, kelvin."""
    kelvin = np.full((12, 16), 300, np.float32)
    for column, value in blocks:
        kelvin[4:6, column : column + 2] = value
    return kelvin


@given(values=st.lists(st.integers(340, 355), min_size=1, max_size=30), reset_at=st.sets(st.integers(0, 29)))
def test_one_region_follows_a_switch_with_hysteresis(values: list[int], reset_at: set[int]) -> None:
    watch, on, latched = HotSpotWatch(CONFIG), False, False
    for step, value in enumerate(values):
        if step in reset_at:
            watch.reset()
            latched = False
        on = value > 350 or (on and value > 345)
        latched = latched or on
        spots = watch.update(frame((3, value)))
        assert [spot.maximum for spot in spots] == ([value] if on else [])
        assert watch.alarm == latched


def test_a_region_is_not_hot_because_another_one_was() -> None:
    watch = HotSpotWatch(CONFIG)
    watch.update(frame((2, 360), (10, 348)))
    assert [spot.peak for spot in watch.update(frame((2, 348), (10, 348)))] == [(2, 4)]


def test_all_of_a_spot_and_the_hottest_first() -> None:
    kelvin = frame((2, 351), (10, 349))
    kelvin[5, 11] = 360  # the pixels around it count with it from 345 K on
    hot, warm = HotSpotWatch(CONFIG).update(kelvin, (24, 32), Registration((2, 0, 0, 0, 2, 0, 0, 0, 1)))
    assert hot.to_json() == {"kelvin": 360.0, "peak": [11, 5], "box": [10, 4, 2, 2], "pixels": 4, "rgb": [22, 10]}
    assert (warm.box, warm.pixels, warm.rgb) == ((2, 4, 2, 2), 4, (4, 8))
    json.dumps(hot.to_json(), allow_nan=False)


def test_a_peak_outside_the_rgb_view_has_no_place_there() -> None:
    (spot,) = HotSpotWatch(CONFIG).update(frame((2, 360)), (24, 32), Registration((2, 0, -20, 0, 2, 0, 0, 0, 1)))
    assert spot.rgb is None


def test_bad_pixels_and_missing_ones_are_not_hot() -> None:
    kelvin = frame()
    kelvin[1, 1], kelvin[8, 8:10] = 900, np.nan
    watch = HotSpotWatch(CONFIG)
    assert watch.update(kelvin) == [] and not watch.alarm


def test_the_alarm_comes_back_while_it_is_hot() -> None:
    watch = HotSpotWatch(CONFIG)
    watch.update(frame((3, 360)))
    watch.reset()
    assert not watch.alarm
    watch.update(frame((3, 347)))  # below, but still within the hysteresis
    assert watch.alarm


def test_another_camera_starts_anew() -> None:
    watch = HotSpotWatch(CONFIG)
    watch.update(frame((3, 360)))
    assert watch.update(np.full((6, 8), 347, np.float32)) == []


@pytest.mark.parametrize(
    ("settings", "text"),
    [({"temperature": 0}, "temperature: got 0"), ({"hysteresis": -1}, "hysteresis: got -1"),
     ({"hysteresis": 350}, "hysteresis"), ({"min_pixels": 0}, "min_pixels: got 0")],
)  # fmt: skip
def test_wrong_settings_are_named(settings: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        AlarmConfig(**{"temperature": 350, **settings})
