"""Units to kelvin, and the grey-body correction there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartm_core.scene.temperature import THERMAL_UNITS, Radiometry


@pytest.mark.parametrize(
    ("unit", "value", "dtype"),
    [
        ("kelvin", 300.0, np.float32),
        ("celsius", 26.85, np.float32),
        ("centikelvin", 30000, np.uint16),
        ("decikelvin", 3000, np.uint16),
    ],
)
def test_each_unit_says_the_same_temperature(unit: str, value: float, dtype: type) -> None:
    kelvin = Radiometry(unit).kelvin(np.full((2, 3), value, dtype))
    assert kelvin is not None and kelvin.shape == (2, 3) and kelvin.dtype == np.float32
    np.testing.assert_allclose(kelvin, 300, atol=1e-4)


def test_an_unknown_unit_is_never_a_number() -> None:
    assert Radiometry().kelvin(np.full((2, 2), 300, np.float32)) is None
    assert [unit for unit in THERMAL_UNITS if not Radiometry(unit).known] == ["unknown"]


@given(
    surface=st.floats(230, 1500), emissivity=st.floats(0.1, 1.0), reflected=st.floats(200, 330),
)  # fmt: skip
def test_what_a_grey_surface_sends_gives_its_temperature_back(
    surface: float, emissivity: float, reflected: float
) -> None:
    seen = (emissivity * surface**4 + (1 - emissivity) * reflected**4) ** 0.25
    kelvin = Radiometry("kelvin", emissivity, reflected).kelvin(np.array([seen]))
    assert kelvin is not None
    rounding = seen * np.finfo(np.float32).eps * (seen / surface) ** 3 / emissivity
    assert abs(kelvin[0] - surface) <= rounding + surface * np.finfo(np.float32).eps


def test_there_is_no_temperature_where_none_can_be() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 0, -5, 300], np.float32)
    kelvin = Radiometry("kelvin").kelvin(values)
    assert kelvin is not None and np.isnan(kelvin[:5]).all() and kelvin[5] == 300
    cold = Radiometry("kelvin", emissivity=0.1, reflected=300).kelvin(np.array([250], np.float32))
    assert cold is not None and np.isnan(cold[0])  # less than the reflection alone


def test_emissivity_1_is_the_camera_s_own_number() -> None:
    values = np.linspace(250, 400, 50, dtype=np.float32)
    kelvin = Radiometry("kelvin", 1.0, 250.0).kelvin(values)
    assert kelvin is not None and (kelvin == values).all()
    assert kelvin is not values


@pytest.mark.parametrize(
    ("settings", "text"),
    [({"unit": "fahrenheit"}, "thermal.unit: got 'fahrenheit'"), ({"emissivity": 0}, "emissivity: got 0"),
     ({"emissivity": 1.1}, "emissivity"), ({"reflected": float("nan")}, "reflected: got nan")],
)  # fmt: skip
def test_wrong_settings_are_named(settings: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Radiometry(**settings)
