"""What people see: bright distinct colours, outlines, dark frames lightened, captions and a legend."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sartm_core.support.classes import FMB, MFNET, PST900
from sartm_core.support.visualize import (
    DISTINCT,
    caption_height,
    contact_sheet,
    display_colors,
    distance,
    legend_of,
    lightened,
    outline,
    overlay,
)  # fmt: skip

PALETTE = ((0, 0, 0), (64, 64, 0), (128, 128, 0), (0, 0, 0))


@pytest.mark.parametrize("palette", [MFNET.palette, PST900.palette, PALETTE, ((9, 9, 9),), ()])
def test_display_colours_are_bright_and_tell_classes_apart(palette) -> None:
    """Regression: person is (64, 64, 0), which on a night frame is black on black."""
    shown = display_colors(tuple(palette))
    assert len(shown) == len(palette) and shown[:1] == tuple(palette)[:1]
    assert all(max(color) == 255 for color in shown[1:])
    assert all(distance(a, b) >= DISTINCT for a, b in itertools.combinations(shown, 2))


def test_fifteen_classes_stay_apart_too() -> None:
    shown = display_colors(tuple(FMB.palette))
    assert len(set(shown)) == 15 and all(distance(a, b) >= DISTINCT / 2 for a, b in itertools.combinations(shown, 2))


def test_an_outline_is_where_ids_change() -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[2:5, 3:7] = 1
    inside = outline(mask) & (mask == 1)
    assert inside.sum() == 3 * 4 - 1 * 2  # all of the block but its inner pixels
    assert not outline(np.ones((6, 8), np.uint8)).any()


def test_an_overlay_outlines_in_full_colour_and_leaves_class_0_and_ignored_pixels() -> None:
    rgb = np.full((6, 8, 3), 200, np.uint8)
    mask = np.zeros((6, 8), np.uint8)
    mask[1:6, 2:7] = 1
    mask[0, 0] = 255
    out = overlay(rgb, mask, PALETTE)
    assert tuple(out[1, 2]) == (255, 255, 0) and tuple(out[3, 4]) == (227, 227, 100)
    assert tuple(out[0, 0]) == tuple(out[0, 4]) == (200, 200, 200)
    assert np.array_equal(overlay(rgb, mask, PALETTE, alpha=0.0), rgb)


def test_dark_frames_are_lightened_and_light_ones_left() -> None:
    dark, light = np.full((16, 16, 3), 20, np.uint8), np.full((16, 16, 3), 120, np.uint8)
    assert 60 < lightened(dark).mean() <= 90 and np.array_equal(lightened(light), light)
    assert np.array_equal(lightened(np.zeros((16, 16, 3), np.uint8)), np.zeros((16, 16, 3), np.uint8))
    result = lightened(light)
    result[:] = 0
    assert light.min() == 120, "a copy"


def test_a_sheet_has_room_for_captions_and_a_legend_that_wraps() -> None:
    picture = np.zeros((36, 60, 3), np.uint8)
    plain = contact_sheet([[picture, picture]] * 2, ("a", "b"))
    assert plain.size == (120, 2 * (36 + caption_height(36)))
    legend = legend_of(MFNET.names, MFNET.palette)
    assert list(legend) == list(MFNET.names[1:])
    tall = contact_sheet([[picture, picture]] * 2, ("a", "b"), legend=legend)
    lines = (tall.height - plain.height) / caption_height(36)
    assert lines == round(lines) and lines > 1
    pixels = {tuple(pixel) for pixel in np.asarray(tall)[plain.height :].reshape(-1, 3).tolist()}
    assert set(legend.values()) <= pixels
