"""JPEG and PNG in CompressedImage: what cameras send, what image_transport names it, bombs, and files cut off."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

from sartm_ros.frames.compressed import png
from sartm_ros.frames.images import Crop, ImageError, parse
from test.ros.fake_messages import TOPIC, compressed, picture_bytes, raw_compressed

NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
COUNTS = (np.arange(768).reshape(24, 32) * 85).astype(np.uint16)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_claiming(width: int, height: int, extra: bytes = b"") -> bytes:
    """A small PNG whose header claims another size than its few bytes of pixels have."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_colour(kind):
    image = np.full((16, 24, 3), (200, 60, 20), np.uint8)
    frame = parse(compressed(image, kind), "rgb", TOPIC)
    assert (frame.height, frame.width, frame.kind) == (16, 24, f"24x16 {kind}")
    assert np.abs(frame.rgb().astype(int) - image).max() <= (3 if kind == "jpeg" else 0)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_any_mode_becomes_rgb(mode, recwarn):
    image = np.full((16, 24, 3), 255, np.uint8)
    source = PilImage.fromarray(image).convert(mode)
    buffer = io.BytesIO()
    source.save(buffer, "JPEG" if mode == "CMYK" else "PNG", **({"transparency": b"\0\1"} if mode == "P" else {}))
    assert np.array_equal(parse(raw_compressed(buffer.getvalue(), "png"), "rgb", TOPIC).rgb(), image)
    assert not recwarn.list


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_thermal(dtype):
    values = (COUNTS if dtype == np.uint16 else COUNTS // 257).astype(dtype)
    frame = parse(compressed(values, "png"), "thermal", TOPIC, Crop(top=2, right=1))
    out = frame.thermal()
    assert out.dtype == dtype and np.array_equal(out, values[2:, :-1])
    assert (frame.height, frame.width) == out.shape and frame.warning == ""
    assert frame.thermal(0.01, -273.15).dtype == np.float32


def test_thermal_jpeg_in_grey_has_no_warning():
    frame = parse(compressed(np.full((16, 24), 77, np.uint8), "jpeg"), "thermal", TOPIC)
    assert np.all(frame.thermal() == 77) and frame.warning == ""


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_false_colour_thermal_gives_brightness_and_a_warning(kind):
    frame = parse(compressed(np.full((16, 24, 3), (200, 60, 20), np.uint8), kind), "thermal", TOPIC)
    assert frame.thermal().shape == (16, 24) and np.abs(frame.thermal().astype(int) - 97).max() <= 3
    assert "false colour" in frame.warning


@pytest.mark.parametrize(
    ("name", "image", "role"),
    [
        ("rgb8; jpeg compressed bgr8", NOISE, "rgb"),
        ("bgr8; png compressed bgr8", NOISE, "rgb"),
        ("jpg", NOISE, "rgb"),
        ("", NOISE, "rgb"),
        ("16UC1; png compressed ", COUNTS, "thermal"),
        ("mono16; png compressed mono16", COUNTS, "thermal"),
        ("mono8; jpeg compressed ", COUNTS.astype(np.uint8), "thermal"),
    ],
)
def test_format_strings_of_image_transport(name, image, role):
    data = picture_bytes(image, "jpeg" if "jp" in name else "png")
    frame = parse(raw_compressed(data, name), role, TOPIC)
    out = frame.rgb() if role == "rgb" else frame.thermal()
    assert out.shape == image.shape and out.dtype == image.dtype
    assert frame.kind == f"32x24 {name.strip()}" and frame.nbytes == len(data)


@pytest.mark.parametrize("name", ["16UC1; compressedDepth", "16UC1; compressedDepth png"])
def test_compressed_depth_transport(name):
    sent = raw_compressed(bytes(12) + picture_bytes(COUNTS, "png"), name)
    assert np.array_equal(parse(sent, "thermal", TOPIC).thermal(), COUNTS)


@pytest.mark.parametrize("name", ["32FC1; compressedDepth", "16UC1; compressedDepth rvl"])
def test_compressed_depth_that_changes_the_numbers_is_refused(name):
    sent = raw_compressed(bytes(12) + picture_bytes(COUNTS, "png"), name)
    with pytest.raises(ImageError, match="expected 16UC1 as PNG"):
        parse(sent, "thermal", TOPIC)


def test_case_20_compressed_depth_without_its_header():
    sent = raw_compressed(picture_bytes(COUNTS, "png"), "16UC1; compressedDepth")
    assert np.array_equal(parse(sent, "thermal", TOPIC).thermal(), COUNTS)
    with pytest.raises(ImageError, match="of compressedDepth a PNG is expected after a header of 12 bytes, or at once"):
        parse(raw_compressed(bytes(40), "16UC1; compressedDepth"), "thermal", TOPIC)


def deep_png(image: np.ndarray) -> bytes:
    """(H, W, C) uint16, C = 1 grey, 2 with alpha, 3 colour, 4 with alpha."""
    height, width, channels = image.shape
    rows = np.zeros((height, 1 + 2 * width * channels), np.uint8)
    rows[:, 1:] = image.astype(">u2").reshape(height, -1).view(np.uint8)
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows.tobytes()))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_case_05_thermal_counts_in_16_bit_colour_stay_counts(channels):
    image = np.repeat(COUNTS[..., None], channels, axis=2)
    image[..., channels - (channels in (2, 4)) :] = 65535
    frame = parse(raw_compressed(deep_png(image), "mono16; png compressed "), "thermal", TOPIC)
    out = frame.thermal()
    assert out.dtype == np.uint16 and np.array_equal(out, COUNTS) and frame.warning == ""
    with pytest.raises(ImageError, match="16 bits a channel; expected 8 of a colour camera"):
        parse(raw_compressed(deep_png(image), "bgr16; png"), "rgb", TOPIC)


def test_thermal_in_16_bit_colour_that_is_no_grey_is_refused():
    image = np.stack([COUNTS, COUNTS, COUNTS + np.uint16(1)], axis=2)
    with pytest.raises(ImageError, match="the channels differ"):
        parse(raw_compressed(deep_png(image), "png"), "thermal", TOPIC).thermal()


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png"])
@pytest.mark.parametrize("role", ["rgb", "thermal"])
def test_pictures_are_turned_as_exif_says(turned, kind, role):
    image = np.kron(NOISE[:3, :4], np.ones((8, 8, 1), np.uint8))
    image = image if role == "rgb" else image[..., 0]
    exif, buffer = PilImage.Exif(), io.BytesIO()
    exif[274] = turned
    PilImage.fromarray(image).save(buffer, kind, exif=exif.tobytes())
    frame = parse(raw_compressed(buffer.getvalue(), kind), role, TOPIC)
    out = frame.rgb() if role == "rgb" else frame.thermal()
    stored = np.asarray(PilImage.open(buffer))
    flips = {1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}[turned]
    expected = (stored.swapaxes(0, 1) if turned > 4 else stored)[:: flips[0], :: flips[1]]
    assert (frame.height, frame.width) == out.shape[:2] and np.array_equal(out, expected)


@pytest.mark.parametrize(("begin", "name"), [(b"II*\0", "a TIFF"), (b"\0\0\0\x01\x67", "H.264"), (b"RIFF", "a WebP")])
def test_what_else_bridges_send_is_named(begin, name):
    with pytest.raises(ImageError, match=f"no readable JPEG or PNG \\(but {name}"):
        parse(raw_compressed(begin + bytes(40), "rgb8"), "rgb", TOPIC)


def test_rubbish_is_refused():
    other = io.BytesIO()
    PilImage.fromarray(NOISE).save(other, "BMP")
    for data in (b"", b"not a picture", other.getvalue(), b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(ImageError) as error:
            parse(raw_compressed(data, "jpeg"), "rgb", TOPIC)
        assert str(error.value).startswith(f"{TOPIC}: compressed image, format 'jpeg', {len(data)} bytes: ")
        assert "JPEG or PNG" in str(error.value)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (png_claiming(7680, 4320), "claims 7680x4320 pixels"),
        (png_claiming(16384, 16384), "picture is 16384x16384"),
        (png_claiming(30000, 20), "picture is 30000x20"),
        (png_claiming(2**31 - 1, 2**31 - 1), "picture is 2147483647x2147483647"),
        (png_claiming(0, 5), "no readable"),
    ],
    ids=["8k", "16k", "wide", "huge", "empty"],
)
def test_decompression_bombs_are_refused_before_memory_is_taken(data, part, recwarn):
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=part):
            parse(raw_compressed(data, "png"), "rgb", TOPIC)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert not recwarn.list


def test_broken_exif_of_a_jpeg_is_quiet(recwarn):
    data = picture_bytes(NOISE, "jpeg")
    exif = b"Exif\0\0II*\0\x08\0\0\0" + bytes([200, 1]) + bytes(range(1, 240))
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert parse(raw_compressed(data, "jpeg"), "rgb", TOPIC).rgb().shape == NOISE.shape
    assert not recwarn.list


def test_text_bombs_and_broken_animations_are_quiet(recwarn, capfd):
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000)))
    for extra in (bomb, chunk(b"acTL", bytes(8)), chunk(b"eXIf", b"II*\0\xff\xff\xff\xff")):
        with pytest.raises(ImageError):
            parse(raw_compressed(png_claiming(64, 64, extra), "png"), "rgb", TOPIC).rgb()
    assert not recwarn.list and capfd.readouterr().err == ""


@pytest.mark.parametrize("role", ["rgb", "thermal"])
@pytest.mark.parametrize("kind", ["jpeg", "png", "progressive"])
def test_files_cut_off_anywhere_are_refused_or_whole(kind, role, capfd, recwarn):
    options = {"progressive": True} if kind == "progressive" else {}
    image = NOISE if role == "rgb" else NOISE[..., 0]
    data = picture_bytes(image, "png" if kind == "png" else "jpeg", **options)

    def read(part: bytes) -> np.ndarray:
        frame = parse(raw_compressed(part, kind), role, TOPIC)
        return frame.rgb() if role == "rgb" else frame.thermal()

    whole, refused = read(data), 0
    for end in range(0, len(data), 7):
        try:
            assert np.array_equal(read(data[:end]), whole)  # only the file's last bytes may be missing
        except ImageError:
            refused += 1
    assert refused >= len(data) // 7 - 3
    assert not recwarn.list and capfd.readouterr().err == ""


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(["png", "jpeg"]),
    name=st.sampled_from(["", "16UC1; compressedDepth"]) | st.text(st.characters(), max_size=80),
    role=st.sampled_from(["rgb", "thermal"]),
    changes=st.lists(st.tuples(st.integers(0, 2500), st.integers(0, 255)), max_size=8),
    extra=st.binary(max_size=20),
)
def test_any_bytes_give_an_image_or_an_image_error(kind, name, role, changes, extra):
    data = bytearray(picture_bytes(NOISE, kind))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        frame = parse(raw_compressed(bytes(data) + extra, name), role, TOPIC)
        out = frame.rgb() if role == "rgb" else frame.thermal()
    except ImageError as error:
        assert str(error).startswith(TOPIC) and str(error).isprintable()
    else:
        assert out.shape == (frame.height, frame.width, 3)[: out.ndim] and frame.kind.isprintable()


def test_the_fingerprint_is_of_all_bytes():
    one = compressed(COUNTS, "png")
    other = compressed(COUNTS + np.uint16(1), "png")
    marks = [parse(sent, "thermal", TOPIC).fingerprint() for sent in (one, compressed(COUNTS, "png"), other)]
    assert marks[0] == marks[1] != marks[2]


@settings(max_examples=50, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_masks_survive_png_exactly(height, width, seed):
    mask = np.random.default_rng(seed).integers(0, 256, (width, height), dtype=np.uint8).T  # not contiguous
    with PilImage.open(io.BytesIO(png(mask))) as picture:
        picture.verify()  # checksums
    assert np.array_equal(np.asarray(PilImage.open(io.BytesIO(png(mask)))), mask)


@pytest.mark.parametrize("image", [np.zeros((5, 7)), np.zeros((5, 7, 3), np.uint8), np.zeros((0, 7), np.uint8)])
def test_only_masks_become_png(image):
    with pytest.raises(ValueError, match="expected"):
        png(image)


@pytest.mark.parametrize("claimed", ["16UC1; png compressed ", "mono16; jpeg compressed", "mono16"])
def test_a_format_that_claims_more_bits_than_the_picture_has_is_told(claimed):
    """cv_bridge's toCompressedImageMsg writes 8 bits of 16, and the name stays."""
    shallow = parse(raw_compressed(picture_bytes((COUNTS >> 8).astype(np.uint8), "png"), claimed), "thermal", TOPIC)
    assert "its picture has 8 bits a channel" in shallow.warning and claimed.split(";")[0] in shallow.warning
    assert not parse(raw_compressed(picture_bytes(COUNTS, "png"), claimed), "thermal", TOPIC).warning
    assert not parse(raw_compressed(picture_bytes(NOISE[..., 0], "png"), "mono8; png"), "thermal", TOPIC).warning
