"""Data sets on disk: every layout, its splits and its classes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from sartm_core.data.datasets import detect_dataset, open_dataset, open_pairs
from sartm_core.data.pairs import Pairs
from sartm_core.data.splits import hold_out, read_split
from sartm_core.support.classes import FMB, MFNET, PST900, LabelSet
from test.core.layouts import (
    FMB_NAMES,
    MFNET_NAMES,
    MFNET_SPLIT_FOLDERS,
    OWN,
    PST900_NAMES,
    WRITERS,
    label_of,
    rgb_of,
    save,
    thermal_of,
    write_fmb,
    write_folder_with_classes,
    write_mfnet,
    write_mfnet_split,
    write_pst900,
)


def assert_holds(frames: Pairs, names: tuple[str, ...], classes: int, bits: int = 8) -> None:
    """Exactly these frames, each with the pixels that were written."""
    assert tuple(frames.names) == names and len(frames) == len(names)
    for sample, name in zip(frames, names, strict=True):
        assert sample.name == name
        np.testing.assert_array_equal(sample.rgb, rgb_of(name))
        np.testing.assert_array_equal(sample.thermal, thermal_of(name, bits=bits))
        assert sample.thermal.dtype == (np.uint8 if bits == 8 else np.uint16)
        np.testing.assert_array_equal(sample.label, label_of(name, classes))
        assert sample.rgb.flags.c_contiguous and sample.thermal.flags.c_contiguous


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_mfnet_original_gives_the_pixels_written(tmp_path: Path, split: str) -> None:
    frames = open_dataset("mfnet", write_mfnet(tmp_path), split)
    assert_holds(frames, MFNET_NAMES[split], len(MFNET.names))
    assert frames.label_set == MFNET and frames.root == tmp_path
    np.testing.assert_array_equal(frames.thermal_of(frames.names[0]), frames[0].thermal)
    np.testing.assert_array_equal(frames.rgb_of(frames.names[0]), frames[0].rgb)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("style", MFNET_SPLIT_FOLDERS)
def test_mfnet_split_layouts_give_the_pixels_written(tmp_path: Path, style: str, bits: int) -> None:
    root = write_mfnet_split(tmp_path, style=style, bits=bits)
    for split, names in MFNET_NAMES.items():
        assert_holds(open_dataset("mfnet", root, split), names, len(MFNET.names), bits)
    assert open_dataset("mfnet", root, None).names == sorted(sum(MFNET_NAMES.values(), ()))


@pytest.mark.parametrize("bits", [8, 16])
def test_pst900_gives_the_pixels_written(tmp_path: Path, bits: int) -> None:
    """With 16 bits there is no thermal/ but thermal_raw/."""
    root = write_pst900(tmp_path, bits=bits)
    assert_holds(open_dataset("pst900", root, "test"), PST900_NAMES["test"], len(PST900.names), bits)
    assert_holds(open_dataset("pst900", root, "trainval"), PST900_NAMES["train"], len(PST900.names), bits)
    assert open_dataset("pst900", root, "val").label_set == PST900


def test_pst900_prefers_thermal_to_thermal_raw(tmp_path: Path) -> None:
    root = write_pst900(write_pst900(tmp_path), bits=16)
    assert open_dataset("pst900", root, "test")[0].thermal.dtype == np.uint8


@pytest.mark.parametrize("bits", [8, 16])
def test_fmb_gives_the_pixels_written(tmp_path: Path, bits: int) -> None:
    root = write_fmb(tmp_path, bits=bits)
    assert_holds(open_dataset("fmb", root, "test"), FMB_NAMES["test"], len(FMB.names), bits)
    assert_holds(open_dataset("fmb", root, "trainval"), FMB_NAMES["train"], len(FMB.names), bits)
    assert open_dataset("fmb", root, "train").label_set == FMB


def test_fmb_reads_color_where_label_is_missing(tmp_path: Path) -> None:
    root = write_fmb(tmp_path)
    for part, names in FMB_NAMES.items():
        (root / part / "Label").rename(root / part / "ids")
        for name in names:
            ids = label_of(name, len(FMB.names)) % 255
            save(root / part / "color" / f"{name}.png", np.array(FMB.palette, np.uint8)[ids])
    sample = open_dataset("fmb", root, "test")[0]
    np.testing.assert_array_equal(sample.label, label_of(sample.name, len(FMB.names)) % 255)


@pytest.mark.parametrize("bits", [8, 16])
def test_folder_gives_the_pixels_written_and_its_own_classes(tmp_path: Path, bits: int) -> None:
    frames = open_dataset("folder", write_folder_with_classes(tmp_path, bits=bits), "train")
    assert_holds(frames, MFNET_NAMES["train"], len(OWN.names), bits)
    assert frames.label_set == OWN


def test_folder_labels_may_hold_the_palettes_colours(tmp_path: Path) -> None:
    for sample in open_dataset("folder", write_folder_with_classes(tmp_path, colors=True), "val"):
        np.testing.assert_array_equal(sample.label, label_of(sample.name, len(OWN.names)) % 255)


@pytest.mark.parametrize("dataset", WRITERS)
def test_open_pairs_knows_each_layout_by_its_folders(tmp_path: Path, dataset: str) -> None:
    root = WRITERS[dataset](tmp_path)
    assert detect_dataset(root) == dataset
    found, named = open_pairs(root), open_dataset(dataset, root, None)
    assert type(found) is type(named) and found.names == named.names and found.label_set == named.label_set
    assert open_pairs(root, "test").names == open_dataset(dataset, root, "test").names
    assert pickle.loads(pickle.dumps(found)).names == found.names, "loader processes get a copy"


@pytest.mark.parametrize("style,dataset", [("ther", "mfnet"), ("modal", "mfnet"), ("separated", "mfnet")])
def test_open_pairs_knows_the_split_layouts(tmp_path: Path, style: str, dataset: str) -> None:
    assert detect_dataset(write_mfnet_split(tmp_path, style=style)) == dataset


@pytest.mark.parametrize("dataset", WRITERS)
def test_splits_joined_by_plus_hold_each_frame_once(tmp_path: Path, dataset: str) -> None:
    root = WRITERS[dataset](tmp_path)
    parts = [open_dataset(dataset, root, split).names for split in ("train", "val")]
    both = open_dataset(dataset, root, "train+val")
    assert both.names == [*parts[0], *parts[1]] and both[len(parts[0])].name == parts[1][0]
    assert open_dataset(dataset, root, "train+val+train").names == both.names
    with pytest.raises(ValueError, match="tset"):
        open_dataset(dataset, root, "train+tset")


def test_equal_names_of_two_parts_are_two_frames(tmp_path: Path) -> None:
    root = write_fmb(tmp_path)
    for folder in ("Visible", "Infrared", "Label"):
        (root / "test" / folder / "00002.png").rename(root / "test" / folder / "00001.png")
    frames = open_dataset("fmb", root, "train+val+test")
    assert "00001" in frames.names and "test_00001" in frames.names and len(frames) == 6


def test_hold_out_is_the_same_everywhere() -> None:
    names = [f"{i:05d}" for i in range(1, 31)]
    train, val = hold_out(names)
    assert val == ["00009", "00014", "00015"], "fixed for ever: scores of different runs are compared on it"
    assert hold_out(names[::-1]) == (train, val) and sorted(train + val) == names
    assert set(hold_out(names[:-1])[1]) >= set(val) - {names[-1]}, "a missing frame does not reshuffle"


@pytest.mark.parametrize("total,held", [(597, 60), (1220, 122), (2, 1), (1, 0), (0, 0)])
def test_hold_out_takes_a_tenth_and_leaves_something_to_train_on(total: int, held: int) -> None:
    train, val = hold_out([f"{i:05d}" for i in range(total)])
    assert (len(train), len(val)) == (total - held, held)


@pytest.mark.parametrize("dataset,names", [("pst900", PST900_NAMES), ("fmb", FMB_NAMES)])
def test_train_and_val_share_the_train_folder(tmp_path: Path, dataset: str, names: dict) -> None:
    root = WRITERS[dataset](tmp_path)
    train, val = (open_dataset(dataset, root, split).names for split in ("train", "val"))
    assert sorted(train + val) == sorted(names["train"]) and len(val) == 1
    assert (train, val) == hold_out(names["train"])


def test_an_own_val_folder_replaces_the_hold_out(tmp_path: Path) -> None:
    root = write_fmb(tmp_path)
    (root / "test").rename(root / "val")
    assert open_dataset("fmb", root, "val").names == list(FMB_NAMES["test"])
    assert open_dataset("fmb", root, "train").names == list(FMB_NAMES["train"])


def test_all_frames_keep_apart_where_parts_share_names(tmp_path: Path) -> None:
    root = write_fmb(tmp_path)
    for kind in ("Visible", "Infrared", "Label"):
        (root / "test" / kind / "00002.png").rename(root / "test" / kind / "00001.png")
    frames = open_dataset("fmb", root, None)
    assert frames.names == [*FMB_NAMES["train"], "test_00001", "00005"]
    np.testing.assert_array_equal(frames[0].rgb, rgb_of("00001"))
    np.testing.assert_array_equal(frames[4].rgb, rgb_of("00002"))


def test_a_folder_without_lists_holds_a_tenth_out(tmp_path: Path) -> None:
    root = write_folder_with_classes(tmp_path)
    for split in MFNET_NAMES:
        (root / f"{split}.txt").unlink()
    names = sorted(sum(MFNET_NAMES.values(), ()))
    assert (open_dataset("folder", root, "train").names, open_dataset("folder", root, "val").names) == hold_out(names)
    with pytest.raises(ValueError, match=r"test\.txt: no such file.*has no list at all"):
        open_dataset("folder", root, "test")
    write_mfnet(tmp_path / "mfnet")
    (tmp_path / "mfnet" / "val.txt").unlink()
    with pytest.raises(ValueError, match=r"val\.txt: no such file.*has test\.txt, train\.txt"):
        open_dataset("mfnet", tmp_path / "mfnet", "val")


def test_split_lists_in_other_peoples_notations(tmp_path: Path) -> None:
    lines = ["00001D", "", "00002N.png", "RGB/00003D.jpg Label/00003D.png", "images\\00004N.PNG", "2024.10.02", "a b"]
    (tmp_path / "train.txt").write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    assert read_split(tmp_path, "train") == ["00001D", "00002N", "00003D", "00004N", "2024.10.02", "a b"]
    (tmp_path / "val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"val\.txt: not UTF-8"):
        read_split(tmp_path, "val")


def test_an_unknown_folder_says_what_it_holds_and_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(ValueError, match=r"holds pictures/; expected\n.*rgb/ and thermal/(.*\n)*.*FMB"):
        open_pairs(tmp_path)
    with pytest.raises(ValueError, match=r"holds pictures/; expected\n  images/ with 4-channel"):
        open_dataset("mfnet", tmp_path, "train")
    with pytest.raises(ValueError, match=r"train: no such folder; expected train/ and test/ with Visible/"):
        open_dataset("fmb", tmp_path, "train")
    with pytest.raises(ValueError, match=r"nowhere: no such folder"):
        open_dataset("folder", tmp_path / "nowhere", "train")
    with pytest.raises(ValueError, match="did you mean 'mfnet'"):
        open_dataset("mfnt", tmp_path, None)
    with pytest.raises(ValueError, match="did you mean 'fmb'"):
        open_dataset("fmb", tmp_path, None, "fmbs")


def test_missing_images_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    root = write_pst900(tmp_path)
    for name in PST900_NAMES["test"]:
        (root / "test" / "thermal" / f"{name}.png").unlink()
    with pytest.raises(ValueError, match=rf"thermal: no image for 2 of 2 names, first '{PST900_NAMES['test'][0]}'"):
        open_dataset("pst900", root, "test")
    assert len(open_dataset("pst900", root, "test", check=False)) == 2
    (tmp_path / "own" / "rgb").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"no frames found; expected rgb/ and thermal/"):
        open_dataset("folder", tmp_path / "own", None)
    save(tmp_path / "own" / "rgb" / "1.png", rgb_of("1"))
    assert open_dataset("folder", tmp_path / "own", None).cameras == ("rgb",)
    (tmp_path / "own" / "thermal").mkdir()
    with pytest.raises(ValueError, match=r"own.thermal: no image for 1 of 1 names"):
        open_dataset("folder", tmp_path / "own", None)


def write_classes(root: Path, text: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    save(root / "rgb" / "1.png", rgb_of("1"))
    save(root / "thermal" / "1.png", thermal_of("1"))
    (root / "classes.yaml").write_text(text)
    return root


@pytest.mark.parametrize(
    "text,message",
    [
        ("palette: [[0, 0, 0]]", r"names: missing; expected names: \[unlabeled"),
        ("[a, b]", r"names: missing"),
        ("names: {0: a, 1: b}", r"names: got \{0: 'a', 1: 'b'\}, expected a list"),
        ("names: [a, on]", r"names\[1\]: got True \(bool\), expected text; put it in quotes"),
        ("names: [a, b, a]", r"names: LabelSet: names repeat"),
        ("names: [a]", r"names: LabelSet: 1 classes"),
        ("names: [a, b]\npalete: []", r"palete: unknown key; did you mean 'palette'"),
        ("names: [a, b]\npalette: [[0, 0, 0]]", r"palette: got 1 colours for 2 names"),
        ("names: [a, b]\npalette: red", r"palette: got 'red' for 2 names"),
        ("names: [a, b]\npalette: [[0, 0, 0], [0, 0, 256]]", r"palette\[1\]: got \[0, 0, 256\], expected \[r, g, b\]"),
        ("names: [a, b]\npalette: [[1, 2, 3], [1, 2, 3]]", r"palette\[1\]: \(1, 2, 3\) is the colour of class 0"),
        ("names: [a, b", r"not YAML"),
    ],
)
def test_errors_in_classes_yaml_name_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"classes\.yaml: " + message):
        open_dataset("folder", write_classes(tmp_path, text), None)


def test_classes_without_palette_get_known_or_voc_colours(tmp_path: Path) -> None:
    known = open_dataset("folder", write_classes(tmp_path / "a", "names: [unlabeled, person, car]"), None).label_set
    assert known == MFNET.subset(("unlabeled", "person", "car"))
    own = open_dataset("folder", write_classes(tmp_path / "b", "names: [x, y, z]"), None).label_set
    assert own == LabelSet(("x", "y", "z"), ((0, 0, 0), (128, 0, 0), (0, 128, 0)))


def test_label_set_and_classes_yaml_must_not_disagree(tmp_path: Path) -> None:
    root = write_folder_with_classes(tmp_path)
    with pytest.raises(ValueError, match=r"label_set: 'mfnet' was given, but .*classes\.yaml lists other classes"):
        open_dataset("folder", root, "train", "mfnet")
    (root / "classes.yaml").write_text(f"names: [{', '.join(MFNET.names)}]")
    assert open_dataset("folder", root, "train", "mfnet").label_set == MFNET
    (root / "classes.yaml").unlink()
    assert open_dataset("folder", root, "train").label_set == MFNET
    assert open_dataset("folder", root, "train", "pst900").label_set == PST900
    assert open_pairs(root, "train", "fmb").label_set == FMB


def test_names_with_what_is_legal_in_one_survive_a_list(tmp_path: Path) -> None:
    names = ["a b", "c,d", "e;f", "x.y", "\u00fc \u00df", "100%", "a\u2028b", "q'uote", "tab\there", "f\x0cg"]
    (tmp_path / "train.txt").write_text("\n".join(names), encoding="utf-8")
    assert read_split(tmp_path, "train") == names
    one_word = [name for name in names if len(name.split()) == 1]
    (tmp_path / "val.txt").write_text("\n".join(f"rgb/{n}.png labels/{n}.png" for n in one_word), encoding="utf-8")
    assert read_split(tmp_path, "val") == one_word
