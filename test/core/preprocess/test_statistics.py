"""A camera in another unit than the settings expect is seen in the numbers of its normalised frames."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.preprocess.statistics import Problem, input_statistics, problems
from sartm_core.preprocess.thermal import THERMAL_MODES

RNG = np.random.default_rng(0)
STREET = np.clip(RNG.gamma(2.0, 0.15, (6, 96, 128)), 0, 1)
"""Six thermal frames, 0..1: much that is cool, little that is hot."""
COLOURS = RNG.integers(0, 256, (6, 96, 128, 3), np.uint8)
CAMERAS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "8 bit": lambda heat: (heat * 255).astype(np.uint8),
    "1,000 counts of 16 bit": lambda heat: (29000 + heat * 1000).astype(np.uint16),
    "kelvin": lambda heat: (280 + heat * 30).astype(np.float32),
    "celsius": lambda heat: (5 + heat * 30).astype(np.float32),
}


def look(camera: str, norm: ThermalNorm) -> list[Problem]:
    config = PreprocessConfig(thermal=norm)
    frames = [(rgb, CAMERAS[camera](heat)) for rgb, heat in zip(COLOURS, STREET, strict=True)]
    return problems(input_statistics(frames, config), config)


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("mode", ["percentile", "standardise"])
def test_modes_for_any_unit_suit_every_camera(mode: str, camera: str) -> None:
    assert look(camera, ThermalNorm(mode)) == []


def test_8_bits_in_unit_mode_are_fine() -> None:
    assert look("8 bit", ThermalNorm("unit")) == []


@pytest.mark.parametrize("camera,low,high", [("kelvin", 280, 310), ("1,000 counts of 16 bit", 29000, 30000)])
def test_a_range_in_the_cameras_unit_is_fine(camera: str, low: float, high: float) -> None:
    assert look(camera, ThermalNorm("range", low, high)) == []


@pytest.mark.parametrize("camera", ["kelvin", "celsius"])
def test_temperatures_in_unit_mode_are_refused_with_the_option_to_set(camera: str) -> None:
    """It used to pass kelvin as 295."""
    (problem,) = look(camera, ThermalNorm("unit"))
    assert problem.refuse and "thermal input: a mean of" in problem.message
    assert "--preprocess.thermal.mode standardise or percentile" in problem.message


def test_1000_counts_of_16_bit_in_unit_mode_are_warned_of() -> None:
    """It used to squeeze them into 1.5 % of the range without a word."""
    (problem,) = look("1,000 counts of 16 bit", ThermalNorm("unit"))
    assert not problem.refuse and "a spread of 0.003" in problem.message
    assert "--preprocess.thermal.low 290" in problem.message, "the camera's own values are told"


@pytest.mark.parametrize(
    "low,high,refuse,match",
    [
        (20, 40, True, "every pixel is cut off"),  # celsius were meant
        (280, 500, False, "a spread of 0.0"),
        (270, 276, False, "a mean of 2.99"),
        (284, 286, False, "34% of the pixels are cut off"),
    ],
)
def test_a_range_that_misses_the_scene_is_told(low: float, high: float, refuse: bool, match: str) -> None:
    (problem,) = look("kelvin", ThermalNorm("range", low, high))
    assert problem.refuse is refuse
    assert match in problem.message


def test_colours_of_one_grey_are_warned_of() -> None:
    config = PreprocessConfig()
    (problem,) = problems(input_statistics([(np.full((32, 32, 3), 90, np.uint8), None)], config), config)
    assert not problem.refuse and problem.message.startswith("rgb input: a spread of ")
    assert "between 90 and 90 of 255" in problem.message


def test_the_numbers_are_those_of_the_normalised_pixels() -> None:
    rgb = np.zeros((8, 8, 3), np.uint8)
    rgb[:, ::8] = 255  # of every 4th column every other one
    half = PreprocessConfig(rgb_mean=(0.5,) * 3, rgb_std=(0.5,) * 3, thermal=ThermalNorm("unit"))
    colour, heat = input_statistics([(rgb, np.array([[0.5, 0.5]], np.float32)), (None, None)], half)
    assert (colour.mean, colour.spread, colour.clipped, colour.frames) == (0.0, 1.0, 1.0, 1)
    assert (heat.mean, heat.spread, heat.clipped, heat.raw) == (0.5, 0.0, 0.0, (0.5, 0.5))


@pytest.mark.parametrize("mode", THERMAL_MODES)
def test_missing_pixels_and_a_closed_shutter_give_numbers_in_every_mode(mode: str) -> None:
    config = PreprocessConfig(thermal=ThermalNorm(mode))
    broken = np.full((40, 40), np.nan, np.float32)
    broken[1, 1] = 0.25
    found = input_statistics([(None, broken), (None, np.full((40, 40), 300, np.uint16))], config)
    assert len(found) == 1 and np.isfinite([found[0].mean, found[0].spread, *found[0].raw]).all()
