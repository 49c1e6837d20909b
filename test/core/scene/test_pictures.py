"""Masks for consumers: chosen classes and exact colours."""

from __future__ import annotations

import numpy as np
import pytest

from sartm_core.scene.pictures import color_mask, selected_mask, selection
from sartm_core.support.classes import MFNET, ids_from_colors

EVERY = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_chosen_classes_are_255_and_all_else_0() -> None:
    mask = selected_mask(EVERY, selection(MFNET.names, ("person", "car")))
    assert mask.dtype == np.uint8 and np.flatnonzero(mask).tolist() == [1, 2] and set(np.unique(mask)) == {0, 255}
    assert not selected_mask(EVERY, selection(MFNET.names, ())).any()


def test_a_wrong_name_is_told_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="selected_classes: got 'persn'.*did you mean 'person'"):
        selection(MFNET.names, ("car", "persn"))


def test_colours_lead_back_to_the_ids() -> None:
    mask = np.random.default_rng(0).integers(0, len(MFNET.names), (9, 7), dtype=np.uint8)
    assert (ids_from_colors(color_mask(mask, MFNET.palette), MFNET) == mask).all()


def test_unsure_pixels_have_a_colour_that_readers_know() -> None:
    colors = color_mask(np.array([[255, 0]], np.uint8), MFNET.palette)
    assert colors.tolist() == [[list(MFNET.palette[0])] * 2]
