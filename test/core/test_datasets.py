"""Data sets on disk: every layout, its splits, its classes, and the files inside."""

from __future__ import annotations

import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sartm_core.data.datasets import DISK_LAYOUTS, Pairs, detect_dataset, open_dataset, open_pairs
from sartm_core.data.files import read_label, read_rgb, read_thermal
from sartm_core.data.labels import FMB, MFNET, PST900, LabelSet, ids_from_colors
from sartm_core.data.splits import hold_out, read_split

from .layouts import (
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


@pytest.mark.parametrize("dataset", DISK_LAYOUTS)
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
    with pytest.raises(ValueError, match=r"own.thermal: no such folder"):
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
        ("names: [a, b", r"not a readable YAML file"),
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


@pytest.mark.parametrize("label_set", [MFNET, PST900, FMB, OWN])
def test_colours_become_ids_exactly(tmp_path: Path, label_set: LabelSet) -> None:
    ids = np.random.default_rng(0).integers(0, len(label_set.names), (20, 30)).astype(np.uint8)
    colors = np.array(label_set.palette, np.uint8)[ids]
    np.testing.assert_array_equal(ids_from_colors(colors, label_set), ids)
    save(tmp_path / "rgb.png", colors)
    save(tmp_path / "rgba.png", np.dstack((colors, np.full((20, 30), 9, np.uint8))))
    for name in ("rgb.png", "rgba.png"):
        np.testing.assert_array_equal(read_label(tmp_path / name, label_set), ids)


def test_an_unknown_colour_is_named_with_its_file_and_pixel_count(tmp_path: Path) -> None:
    colors = np.zeros((10, 20, 3), np.uint8)
    colors[2:4, 5:8] = (12, 34, 56)
    save(tmp_path / "x.png", colors)
    with pytest.raises(ValueError, match=r"x\.png: colour \(12, 34, 56\) on 6 pixels is not in the palette$"):
        read_label(tmp_path / "x.png", MFNET)
    colors[0, :3] = (255, 255, 255)
    save(tmp_path / "x.png", colors)
    with pytest.raises(ValueError, match=r"on 6 pixels is not in the palette, nor are 1 other colours on 3 pixels$"):
        read_label(tmp_path / "x.png", MFNET)
    Image.fromarray(colors).save(tmp_path / "x.jpg")
    with pytest.raises(ValueError, match=r"x\.jpg: colour .*; JPEG changes colours, save labels as PNG$"):
        read_label(tmp_path / "x.jpg", MFNET)


def test_colours_saved_as_bgr_are_recognised(tmp_path: Path) -> None:
    save(tmp_path / "x.png", np.array(FMB.palette, np.uint8)[None, 1:9, ::-1])
    with pytest.raises(ValueError, match="with red and blue swapped they are"):
        read_label(tmp_path / "x.png", FMB)


def test_ids_in_three_equal_channels_are_ids(tmp_path: Path) -> None:
    ids = label_of("a", len(FMB.names))
    save(tmp_path / "x.png", np.dstack([ids] * 3))
    np.testing.assert_array_equal(read_label(tmp_path / "x.png", FMB), ids)


def test_white_is_the_survivor_of_pst900_not_ignored(tmp_path: Path) -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[1] = 255
    save(tmp_path / "x.png", image)
    assert read_label(tmp_path / "x.png", PST900).tolist() == [[0] * 6, [4] * 6, [0] * 6, [0] * 6]


def write_grey_png(path: Path, bits: int, values: list[int]) -> None:
    """One row of grey values with 1, 2 or 4 bits each, as Pillow cannot write them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packed = int("".join(f"{v:0{bits}b}" for v in values), 2).to_bytes(len(values) * bits // 8, "big")
    header = struct.pack(">IIBBBBB", len(values), 1, bits, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" + packed))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("bits,values", [(1, [0, 1] * 4), (2, [0, 1, 2, 3]), (4, [0, 1, 7, 14])])
def test_ids_of_small_grey_pngs_are_not_stretched(tmp_path: Path, bits: int, values: list[int]) -> None:
    """Pillow turns a 4-bit 1 into 17."""
    write_grey_png(tmp_path / "x.png", bits, values)
    assert read_label(tmp_path / "x.png", FMB).tolist() == [values]
    brightest = 255 // (2**bits - 1)
    assert read_thermal(tmp_path / "x.png").tolist() == [[v * brightest for v in values]]


def test_labels_of_16_bit_count_while_ids_fit(tmp_path: Path) -> None:
    save(tmp_path / "x.png", np.array([[0, 3, 255]], np.uint16))
    label = read_label(tmp_path / "x.png", MFNET)
    assert label.tolist() == [[0, 3, 255]] and label.dtype == np.uint8
    save(tmp_path / "x.png", np.array([[0, 3, 256]], np.uint16))
    with pytest.raises(ValueError, match=r"x\.png: uint16 values up to 256, expected class ids 0\.\.255"):
        read_label(tmp_path / "x.png", MFNET)
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match=r"x\.tif: float32 values up to 1"):
        read_label(tmp_path / "x.tif", MFNET)


def write_tiff(path: Path, values: np.ndarray, kind: int) -> None:
    """One row as a TIFF in the byte order of its dtype; kind 1 unsigned, 2 signed, 3 float."""
    order, data = values.dtype.str[0], values.tobytes()
    tags = [
        (256, 3, values.shape[1]), (257, 3, 1), (258, 3, 8 * values.itemsize), (259, 3, 1), (262, 3, 1),
        (273, 4, 8), (277, 3, 1), (278, 3, 1), (279, 4, len(data)), (339, 3, kind),
    ]  # fmt: skip
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, size, 1) + struct.pack(f"{order}{'HH' if size == 3 else 'I'}", *value)
        for tag, size, number in tags
        for value in [(number, 0) if size == 3 else (number,)]
    )
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(data))
    path.write_bytes(head + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4))


@pytest.mark.parametrize(
    "values,kind,expected",
    [
        (np.array([[5, 40000]], ">u2"), 1, np.uint16),
        (np.array([[5, 40000]], "<u4"), 1, np.uint16),
        (np.array([[-1500, 4000]], "<i2"), 2, np.float32),
        (np.array([[20.5, 31.25]], ">f4"), 3, np.float32),
    ],
)
def test_thermal_tiffs_of_every_number_type(tmp_path: Path, values: np.ndarray, kind: int, expected: type) -> None:
    write_tiff(tmp_path / "x.tif", values, kind)
    thermal = read_thermal(tmp_path / "x.tif")
    assert thermal.dtype == expected and thermal.dtype.isnative
    np.testing.assert_array_equal(thermal, values)


def test_thermal_in_several_channels_or_with_a_palette_is_its_brightness(tmp_path: Path) -> None:
    grey = thermal_of("a")
    save(tmp_path / "rgb.png", np.dstack([grey] * 3))
    image = Image.fromarray(255 - grey)
    image.putpalette([255 - i for i in range(256) for _ in range(3)])  # index 0 is white
    image.save(tmp_path / "index.png")
    Image.fromarray(np.dstack([grey, grey]), "LA").save(tmp_path / "la.png")
    for name in ("rgb.png", "index.png", "la.png"):
        np.testing.assert_array_equal(read_thermal(tmp_path / name), grey)


@pytest.mark.parametrize("read", [read_rgb, read_thermal, lambda path: read_label(path, MFNET)])
def test_broken_files_are_named(tmp_path: Path, read) -> None:
    with pytest.raises(ValueError, match=r"none\.png: no such file"):
        read(tmp_path / "none.png")
    (tmp_path / "empty.png").touch()
    save(tmp_path / "whole.png", rgb_of("a"))
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "short.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "header.png").write_bytes(data[:30])
    for name in ("empty", "short", "header"):
        with pytest.raises(ValueError, match=rf"{name}\.png: not a readable image"):
            read(tmp_path / f"{name}.png")
