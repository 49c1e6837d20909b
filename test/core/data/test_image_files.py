"""Image files in every way that people store them: labels as ids or colours, thermal of every number type."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sartm_core.data.images import read_label, read_rgb, read_thermal, unread
from sartm_core.data.layouts.folder import FolderPairs
from sartm_core.support.classes import FMB, MFNET, PST900, LabelSet, ids_from_colors
from test.core.layouts import OWN, label_of, rgb_of, save, thermal_of


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
    with pytest.raises(ValueError, match=r"x\.jpg: JPEG .*; save labels as PNG"):
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


def test_a_folder_of_other_files_says_so(tmp_path: Path) -> None:
    """A phone's HEIC: the folder is full, and there are no frames."""
    for kind in ("rgb", "thermal"):
        (tmp_path / kind).mkdir()
    (tmp_path / "classes.yaml").write_text("names: [unlabeled, car]\n")
    for name in ("a.HEIC", "b.heic", "notes.txt"):
        (tmp_path / "rgb" / name).touch()
    with pytest.raises(ValueError, match=r"no frames found; .*; rgb holds 2 \.heic, 1 \.txt files, which are not read"):
        FolderPairs(tmp_path)
    assert unread(tmp_path / "thermal") == "" == unread(tmp_path / "none")
    (tmp_path / "rgb" / "c.png").touch()
    assert unread(tmp_path / "rgb") == "", "there are frames"
