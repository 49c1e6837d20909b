"""The shift between the cameras, measured from their images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sartm_core.check_data import __main__ as check_data
from sartm_core.check_data.shift import CONFIDENT, estimate_shift, odd_shifts
from sartm_core.support.classes import MFNET
from test.core.layouts import label_of, save


def scene(seed: int, height: int = 120, width: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Rectangles seen by both cameras, each with its own brightness and noise: rgb (H, W, 3), thermal (H, W), uint8."""
    rng = np.random.default_rng(seed)
    light, heat = np.full((height, width), 90.0), np.full((height, width), 60.0)
    for _ in range(25):
        top, left = int(rng.integers(0, height - 20)), int(rng.integers(0, width - 20))
        area = np.s_[top : top + int(rng.integers(8, 40)), left : left + int(rng.integers(8, 40))]
        light[area], heat[area] = rng.uniform(0, 255, 2)
    light, heat = (image + rng.normal(0, 3, image.shape) for image in (light, heat))
    return np.clip(np.dstack([light] * 3), 0, 255).astype(np.uint8), np.clip(heat, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("dx,dy", [(0, 0), (7, -4), (-10, 3), (0, 12)])
def test_a_known_shift_is_measured(dx: int, dy: int) -> None:
    rgb, thermal = scene(1)
    shift = estimate_shift(rgb, np.roll(thermal, (dy, dx), (0, 1)))
    assert abs(shift.dx - dx) <= 1 and abs(shift.dy - dy) <= 1 and shift.confidence > CONFIDENT


def test_a_smaller_thermal_image_is_measured_in_pixels_of_the_colour_image() -> None:
    rgb, thermal = scene(2)
    small = np.array(Image.fromarray(np.roll(thermal, 8, 1)).resize((80, 60), Image.Resampling.BOX)).astype(np.float32)
    small[:5, :5] = np.nan
    shift = estimate_shift(rgb, small)
    assert abs(shift.dx - 8) <= 1 and abs(shift.dy) <= 1 and shift.confidence > CONFIDENT


@pytest.mark.parametrize("seed", range(5))
def test_unrelated_dark_and_empty_images_have_no_confidence(seed: int) -> None:
    (rgb, thermal), (_, other) = scene(seed), scene(seed + 100)
    noise = np.random.default_rng(seed).integers(0, 6, rgb.shape, np.uint8)
    assert estimate_shift(rgb, other).confidence < CONFIDENT
    assert estimate_shift(noise, thermal).confidence < CONFIDENT
    assert estimate_shift(rgb, np.full_like(thermal, 7)).confidence == 0


def test_few_measurable_frames_name_no_outlier() -> None:
    shifts = [estimate_shift(*scene(seed)) for seed in range(6)]
    rgb, thermal = scene(6)
    odd = estimate_shift(rgb, np.roll(thermal, 14, 1))
    assert odd_shifts([*shifts, odd]) == []
    assert odd_shifts([*shifts, *shifts, odd]) == [12]


def findings(root: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the command finds in sound data: warnings only."""
    assert check_data.main(["--dataset", "folder", "--data", str(root)]) == 0
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]


def test_only_the_shifted_frame_is_named(tmp_path: Path, capsys) -> None:
    """And no night frame, whose shift cannot be seen."""
    root = tmp_path / "data"
    for index in range(12):
        rgb, thermal = scene(index)
        if index == 5:
            thermal = np.roll(thermal, (6, -9), (0, 1))
        if index in (2, 8):
            rgb = np.random.default_rng(index).integers(0, 4, rgb.shape, np.uint8)
        save(root / "rgb" / f"{index:02d}.png", rgb)
        save(root / "thermal" / f"{index:02d}.png", np.roll(thermal, (1, 2), (0, 1)))
        save(root / "labels" / f"{index:02d}.png", label_of(str(index), len(MFNET.names), (120, 160)))
    lines = findings(root, capsys)
    assert len(lines) == 1
    assert lines[0].startswith("warning  thermal/05.png: about (-7, +7) pixels off the rgb image, the others (+2, +1)")


def test_a_shift_of_all_frames_is_told_once(tmp_path: Path, capsys) -> None:
    root = tmp_path / "data"
    for index in range(4):
        rgb, thermal = scene(index)
        save(root / "rgb" / f"{index}.png", rgb)
        save(root / "thermal" / f"{index}.png", np.roll(thermal, 9, 1))
        save(root / "labels" / f"{index}.png", label_of(str(index), len(MFNET.names), (120, 160)))
    lines = findings(root, capsys)
    assert len(lines) == 1 and "thermal images lie (+9, +0) pixels (x, y) off the rgb images in the median" in lines[0]
