"""`class_remap`: what it gives, and what it says when it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartm_core.support.classes import MFNET
from sartm_core.support.visualize import IGNORE_COLOR
from sartm_ros.node.class_map import ClassMap

CLASSES, PALETTE = MFNET.names, MFNET.palette
CAR, PERSON, BIKE, CURVE = 1, 2, 3, 4
IDS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def parse(text: str) -> ClassMap:
    return ClassMap.parse(text, CLASSES, PALETTE)


@pytest.mark.parametrize("text", ["none", "", " none ", "car=1", "bike=bike"])
def test_without_a_change_masks_are_not_touched(text):
    plain = parse(text)
    assert plain.lut is None and plain.apply(IDS) is IDS
    assert [(e.id, e.name, e.color) for e in plain.entries] == list(zip(range(9), CLASSES, PALETTE, strict=True))
    assert plain.palette == PALETTE


def test_to_another_class_to_an_id_and_to_ignore():
    remap = parse("bike=person, car = 10 ,curve=ignore")
    out = remap.apply(IDS).ravel()
    assert (out[BIKE], out[CAR], out[CURVE], out[255]) == (PERSON, 10, 255, 255)
    assert list(out[[0, 2, 5, 6, 7, 8]]) == [0, 2, 5, 6, 7, 8] and out.dtype == np.uint8
    assert {e.id: e.name for e in remap.entries} == {
        0: "unlabeled", 2: "person+bike", 5: "car_stop", 6: "guardrail", 7: "color_cone", 8: "bump", 10: "car",
    }  # fmt: skip


def test_colours_follow_the_published_ids():
    remap = parse("bike=person, car=10, curve=ignore")
    assert len(remap.palette) == 11
    assert remap.palette[PERSON] == PALETTE[PERSON] and remap.palette[10] == PALETTE[CAR]
    assert remap.palette[CAR] == remap.palette[9] == IGNORE_COLOR
    assert {e.id: e.color for e in remap.entries}[10] == PALETTE[CAR]


def test_the_class_an_id_belongs_to_gives_name_and_colour_first():
    entry = next(e for e in parse("car=person").entries if e.id == PERSON)
    assert (entry.name, entry.color) == ("person+car", PALETTE[PERSON])
    entry = next(e for e in parse("bike=20, car=20").entries if e.id == 20)
    assert (entry.name, entry.color) == ("car+bike", PALETTE[CAR])


def test_a_class_on_the_right_means_its_id_in_the_model():
    swapped = parse("car=person, person=car")
    assert list(swapped.apply(IDS).ravel()[[CAR, PERSON]]) == [PERSON, CAR]
    assert {e.id: e.name for e in swapped.entries}[CAR] == "person"
    assert list(parse("bike=person, person=7").apply(IDS).ravel()[[BIKE, PERSON]]) == [PERSON, 7]


def test_everything_ignored():
    remap = parse(",".join(f"{name}=ignore" for name in CLASSES))
    assert remap.entries == () and remap.palette == () and np.all(remap.apply(IDS) == 255)


def test_ids_the_model_does_not_have_become_255():
    assert np.all(parse("car=person").apply(IDS).ravel()[9:] == 255)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bycicle=person", "'bycicle=person': the model has no class 'bycicle'"),
        ("car=lorry", "'car=lorry': got 'lorry'; expected a class, an id of 0 to 254 or ignore"),
        ("car=255", "'car=255': got '255'"),
        ("car=-1", "got '-1'"),
        ("car=1.5", "got '1.5'"),
        ("car=²", "got '²'"),
        ("car", "'car' is no CLASS=TARGET"),
        ("car=", "'car=' is no CLASS=TARGET"),
        ("=3", "'=3' is no CLASS=TARGET"),
        ("car=1,", "'' is no CLASS=TARGET"),
        ("car=3, car=4", "'car=4': car has 'car=3' already"),
    ],
)
def test_errors_name_the_entry_and_the_known_classes(text, part):
    with pytest.raises(ValueError) as error:
        parse(text)
    assert str(error.value).startswith("class_remap: ") and part in str(error.value)
    assert "already" in part or "known classes: unlabeled, car, person" in str(error.value)


TARGETS = st.sampled_from([*CLASSES, "ignore"]) | st.integers(0, 254).map(str)


@given(st.dictionaries(st.sampled_from(CLASSES), TARGETS, min_size=1))
def test_entries_and_table_agree(wanted):
    remap = parse(",".join(f"{name}={target}" for name, target in wanted.items()))
    published = remap.apply(np.arange(len(CLASSES), dtype=np.uint8))
    names = {e.id: e.name.split("+") for e in remap.entries}
    for name, target in zip(CLASSES, published, strict=True):
        assert target == 255 or (name in names[target] and remap.palette[target] in PALETTE)
    assert sum(len(group) for group in names.values()) == np.count_nonzero(published != 255)


@given(st.text())
def test_any_text_is_a_map_or_a_value_error(text):
    try:
        parse(text)
    except ValueError as error:
        assert str(error).startswith("class_remap: ")
