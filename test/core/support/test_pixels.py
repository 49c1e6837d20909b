"""The door for pictures: the stored numbers come through exactly, upright, or a ValueError names the file and why."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image, ImageOps

from sartm_core.data.images import files_by_name, read_label, read_rgb, read_thermal
from sartm_core.support import pixels
from sartm_core.support.classes import MFNET
from sartm_core.support.orientation import ORIENTATION, upright

RNG = np.random.default_rng(0)
COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Of PNG, by channels."""


def png16(array: np.ndarray, orientation: int = 1) -> bytes:
    """(H, W) or (H, W, C) uint16 -> a PNG of 16 bits a channel; Pillow writes grey ones only."""
    stack = array if array.ndim == 3 else array[..., None]
    height, width, channels = stack.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in stack)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, COLOR_TYPES[channels], 0, 0, 0)),
        *([(b"eXIf", exif.tobytes()[6:])] if orientation != 1 else []),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@settings(max_examples=40, deadline=None)
@given(
    npst.arrays(
        np.uint16, st.sampled_from([(3, 5), (3, 5, 2), (4, 3, 3), (2, 5, 4)]), elements=st.integers(0, 2**16 - 1)
    ),
    st.integers(1, 8),
)
def test_16_bit_pngs_of_every_kind_and_turn_come_through(array: np.ndarray, orientation: int) -> None:
    """Regression: Pillow keeps the high byte of 16-bit colour, and nothing tells."""
    read = pixels.read_stored(png16(array, orientation))
    assert read.dtype == np.uint16 and np.array_equal(read, upright(array, orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_turned_pictures_are_upright_as_pillow_turns_them(tmp_path: Path, suffix: str, orientation: int) -> None:
    image = Image.fromarray(RNG.integers(0, 256, (16, 24, 3), np.uint8))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"x{suffix}"
    image.save(path, exif=exif, quality=100, **({"lossless": True} if suffix == ".webp" else {}))
    with Image.open(path) as stored:
        stored.load()
        expected = np.array(ImageOps.exif_transpose(stored))
    assert np.array_equal(read_rgb(path), expected)
    assert np.array_equal(pixels.read_stored(path), expected)
    assert pixels.read_head(path).size == expected.shape[:2]


def test_metadata_that_is_broken_turns_nothing(tmp_path: Path) -> None:
    path, image = tmp_path / "x.jpg", Image.new("RGB", (8, 4))
    image.save(path, exif=b"Exif\0\0MM\0*nonsense")
    assert read_rgb(path).shape == (4, 8, 3)


def test_thermal_counts_in_grey_stored_as_colour(tmp_path: Path) -> None:
    counts = RNG.integers(29_500, 29_820, (6, 8)).astype(np.uint16)
    (tmp_path / "x.png").write_bytes(png16(np.dstack([counts] * 3)))
    assert np.array_equal(read_thermal(tmp_path / "x.png"), counts)


@pytest.mark.parametrize("factor", [1, 256, 257])
@pytest.mark.parametrize("colors", [False, True])
def test_labels_of_16_bits_are_read_however_they_were_widened(tmp_path: Path, factor: int, colors: bool) -> None:
    ids = RNG.integers(0, 9, (6, 8)).astype(np.uint16)
    stored = np.array(MFNET.palette, np.uint16)[ids] if colors else np.dstack([ids] * 3)
    (tmp_path / "x.png").write_bytes(png16(stored * factor))
    assert np.array_equal(read_label(tmp_path / "x.png", MFNET), ids)


def test_other_labels_of_16_bits_are_named_with_their_bits(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png16(RNG.integers(256, 2**16, (6, 8, 3)).astype(np.uint16)))
    with pytest.raises(ValueError, match=r"x\.png: 16 bits a channel"):
        read_label(tmp_path / "x.png", MFNET)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("suffix,words", [(".jpg", {"quality": 95}), (".webp", {"quality": 80}), (".png", {})])
def test_labels_saved_with_loss_are_named_whatever_the_file_is_called(
    tmp_path: Path, mode: str, suffix: str, words
) -> None:
    path = tmp_path / "x.png"
    Image.new(mode, (16, 16)).save(path, format={".jpg": "JPEG", ".webp": "WEBP", ".png": "PNG"}[suffix], **words)
    if suffix == ".png":
        assert not read_label(path, MFNET).any()
    else:
        with pytest.raises(ValueError, match=r"x\.png: JPEG or WebP with loss changes ids"):
            read_label(path, MFNET)


def test_lossless_webp_labels_are_ids(tmp_path: Path) -> None:
    ids = RNG.integers(0, 9, (6, 8)).astype(np.uint8)
    Image.fromarray(np.dstack([ids] * 3)).save(tmp_path / "x.webp", lossless=True, exact=True)
    assert np.array_equal(read_label(tmp_path / "x.webp", MFNET), ids)


def test_colour_of_more_than_8_bits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png16(RNG.integers(0, 4096, (6, 8, 3)).astype(np.uint16)))
    (tmp_path / "x.ppm").write_bytes(b"P6\n2 1\n65535\n" + b"\x12\x34" * 6)
    for name in ("x.png", "x.ppm"):
        with pytest.raises(ValueError, match=rf"{name}: 16 bits a channel"):
            read_rgb(tmp_path / name)
    with pytest.raises(ValueError, match=r"x\.ppm.*16 bits a channel in colour in a PPM; save it as PNG"):
        read_thermal(tmp_path / "x.ppm")


@pytest.mark.parametrize("largest", [1, 3, 15, 100, 255, 1000, 4095, 16383, 65535])
def test_pgm_numbers_are_those_of_the_file(tmp_path: Path, largest: int) -> None:
    """Regression: Pillow stretches them to 0..255 or 0..65535."""
    values = np.linspace(0, largest, 12).astype(np.uint16).reshape(3, 4)
    data = values.astype(">u2").tobytes() if largest > 255 else values.astype(np.uint8).tobytes()
    (tmp_path / "x.pgm").write_bytes(b"P5\n4 3\n%d\n" % largest + data)
    assert np.array_equal(read_thermal(tmp_path / "x.pgm"), values)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint16, np.uint8, np.int64])
def test_arrays_that_numpy_saved(tmp_path: Path, dtype: type) -> None:
    values = (RNG.random((4, 6)) * 200).astype(dtype)
    np.save(tmp_path / "x.npy", values)
    read = read_thermal(tmp_path / "x.npy")
    assert read.dtype in (np.uint8, np.uint16, np.float32) and np.allclose(read, values)
    np.save(tmp_path / "rgb.npy", np.zeros((4, 6, 3), np.uint8))
    assert read_rgb(tmp_path / "rgb.npy").shape == (4, 6, 3)
    with pytest.raises(ValueError, match=r"x\.npy: \(4, 6\) .*expected \(H, W, 3\) uint8"):
        read_rgb(tmp_path / "x.npy")


def test_arrays_with_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"x\.npy: not a readable array"):
        read_thermal(tmp_path / "x.npy")


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint32])
def test_whole_numbers_of_tiffs_keep_their_sign(tmp_path: Path, dtype: type) -> None:
    """Regression: counts from 2**31 on came out negative."""
    tifffile = pytest.importorskip("tifffile", reason="no tifffile here: pip install tifffile")
    values = np.array([[np.iinfo(dtype).min, 0, 7, np.iinfo(dtype).max]], dtype)
    tifffile.imwrite(tmp_path / "x.tif", values)
    np.testing.assert_array_equal(read_thermal(tmp_path / "x.tif"), values.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint16])
def test_tiffs_that_pillow_does_not_know(tmp_path: Path, dtype: type) -> None:
    tifffile = pytest.importorskip("tifffile", reason="no tifffile here: pip install tifffile")
    values = (RNG.random((5, 7, 3) if dtype == np.uint16 else (5, 7)) * 1000).astype(dtype)
    tifffile.imwrite(tmp_path / "x.tif", values, **({"photometric": "rgb"} if values.ndim == 3 else {}))
    read = pixels.read_stored(tmp_path / "x.tif")
    assert read.dtype == (np.uint16 if dtype == np.uint16 else np.float32) and np.array_equal(
        read, values.astype(read.dtype)
    )


def test_without_tifffile_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile = pytest.importorskip("tifffile", reason="no tifffile here: pip install tifffile")
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((5, 7)))
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(ValueError, match=r"x\.tif: .*pip install tifffile, or save it as PNG or as float32"):
        read_thermal(tmp_path / "x.tif")


def test_pages_are_counted(tmp_path: Path) -> None:
    first, second = (Image.new("L", (4, 4), value) for value in (1, 2))
    first.save(tmp_path / "x.tif", save_all=True, append_images=[second])
    assert pixels.read_head(tmp_path / "x.tif").pages == 2 and read_thermal(tmp_path / "x.tif").max() == 1


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (40, 30)).save(tmp_path / "x.png")
    np.save(tmp_path / "x.npy", np.zeros((30, 40), np.uint8))
    monkeypatch.setenv("SARTM_MAX_PIXELS", "1000")
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("decoded"))
    for name in ("x.png", "x.npy"):
        with pytest.raises(ValueError, match=rf"{name}: .*1200 pixels, at most 1000 are read; SARTM_MAX_PIXELS"):
            pixels.read_stored(tmp_path / name)


def test_pipes_and_folders_are_no_pictures(tmp_path: Path) -> None:
    """Regression: a FIFO in a folder of frames hung `predict` for ever."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name, kind in (("pipe.png", "a pipe or device"), ("folder.png", "a folder")):
        for read in (read_rgb, read_thermal, lambda path: read_label(path, MFNET)):
            with pytest.raises(ValueError, match=rf"{name}: {kind}, expected a file"):
                read(tmp_path / name)


def test_bytes_are_named_by_what_the_caller_says() -> None:
    with pytest.raises(ValueError, match="member 3: not a readable image"):
        pixels.read_stored(b"nonsense", "member 3")
    out = io.BytesIO()
    Image.new("L", (3, 2), 7).save(out, "PNG")
    assert (pixels.read_stored(out.getvalue()) == 7).all()


def test_dot_files_are_no_frames_and_names_are_composed(tmp_path: Path) -> None:
    """Regressions: a Mac's `._1.png` beside each frame doubled a data set; names from a Mac found no partner."""
    for name in ("1.png", "._1.png", ".hidden.jpg", "e\u0301t\u00e9.png", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).touch()
    assert set(files_by_name(tmp_path)) == {"1", "\u00e9t\u00e9"}


def test_planes_one_behind_the_other_are_told(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="no tifffile here: pip install tifffile")
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((3, 16, 20), np.uint16), photometric="rgb", planarconfig="separate")
    head = pixels.read_head(tmp_path / "x.tif")
    assert head.planes_apart and head.channels == 3 and head.pages == 1


@pytest.mark.parametrize("shape", [(1, 9, 8), (3, 9, 8)])
def test_arrays_with_channels_first_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Regression: the first row was taken for the picture."""
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
    for read in (read_thermal, read_rgb, lambda path: read_label(path, MFNET)):
        with pytest.raises(ValueError, match=r"x\.npy: .*channels come first"):
            read(tmp_path / "x.npy")


def test_colour_tiffs_that_pillow_does_not_know_are_told_by_their_shape(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    tifffile.imwrite(
        tmp_path / "x.TIF", np.zeros((6, 8, 10), np.uint8), photometric="minisblack", planarconfig="contig"
    )
    with pytest.raises(ValueError, match=r"x\.TIF: \(6, 8, 10\) uint8, expected \(H, W, 3\)"):
        read_rgb(tmp_path / "x.TIF")
    assert read_thermal(tmp_path / "x.TIF").shape == (6, 8)


def test_a_radiometric_jpeg_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    Image.new("L", (8, 6)).save(path)
    assert not pixels.read_head(path).radiometric
    content, part = path.read_bytes(), b"FLIR\0\1\0\0" + bytes(40)
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part + content[2:])
    assert pixels.read_head(path).radiometric


@pytest.mark.parametrize(
    "content,words",
    [
        (b"", "it is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "Git LFS, not the picture itself",
        ),
        (b"\0\0\0\x24ftypheic", "a HEIC of a phone: save it as JPEG or PNG"),
        (b"\0\0\0\x1cftypavif", "an AVIF"),
        (b"<!DOCTYPE html>", "a page or text"),
        (b"\x1b[2J\n?", r"begins with b'\\x1b\[2J\\n\?'"),
    ],
)
def test_what_is_no_picture_is_told_by_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    """An LFS pointer, a phone's HEIC or a page of errors under a name that ends in .png."""
    (tmp_path / "x.png").write_bytes(content)
    for read in (read_rgb, read_thermal, pixels.read_head):
        with pytest.raises(ValueError, match=rf"x\.png: not a readable image \(.*{words}"):
            read(tmp_path / "x.png")
