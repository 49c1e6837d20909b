"""Any depth, kind of channels, order of rows and turn, written by hand: the numbers of the file come through."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sartm_core.support import pixels
from sartm_core.support.orientation import ORIENTATION, upright

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Passes of an interlaced PNG: first column and row, step of columns and rows."""
PNG_KINDS = {"grey": (0, 1), "rgb": (2, 3), "index": (3, 1), "grey and alpha": (4, 2), "rgb and alpha": (6, 4)}
"""Colour type and channels."""
PNG_DEPTHS = {"grey": (1, 2, 4, 8, 16), "index": (1, 2, 4, 8)}
TIFF_NUMBERS = {1: "u", 2: "i", 3: "f"}
"""SampleFormat."""


@dataclass(frozen=True, eq=False)
class Stored:
    """What is in a file."""

    array: np.ndarray
    """(H, W, C), small numbers in uint8."""
    bits: int
    turned: int
    """1 to 8."""

    @property
    def expected(self) -> np.ndarray:
        """(H, W) or (H, W, C), upright."""
        array = upright(self.array, self.turned)
        return array[..., 0] if array.shape[2] == 1 else array


def row(values: np.ndarray, bits: int, order: str = ">") -> bytes:
    """One row (W, C), its bits side by side."""
    if bits >= 8:
        return values.astype(values.dtype.newbyteorder(order)).tobytes()
    return np.packbits(np.unpackbits(values.reshape(-1, 1), axis=1)[:, 8 - bits :].ravel()).tobytes()


@st.composite
def stored(draw: st.DrawFn, bits: int, channels: int, kind: str = "u") -> Stored:
    height, width = draw(st.integers(1, 11)), draw(st.integers(1, 11))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if kind == "f":
        array = rng.normal(300, 20, (height, width, channels)).astype(f"f{bits // 8}")
    else:
        low, high = (0, 2**bits) if kind == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        high = min(high, 2**16) if draw(st.booleans()) else high  # of 32 bits, what fits into 16 too
        array = rng.integers(low, high, (height, width, channels)).astype(f"{kind}{max(bits, 8) // 8}")
    return Stored(array, bits, draw(st.integers(1, 8)))


def png(picture: Stored, kind: str, interlaced: bool, transparent: bool) -> bytes:
    color, channels = PNG_KINDS[kind]
    array, depth = picture.array, picture.bits
    passes = [array[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [array]
    rows = b"".join(b"\0" + row(line, depth) for part in passes if part.size for line in part)
    exif = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, 3, 1, picture.turned, 0, 0)
    seen = {"grey": struct.pack(">H", 0), "rgb": struct.pack(">HHH", 0, 0, 0), "index": b"\0\x80"}
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", array.shape[1], array.shape[0], depth, color, 0, 0, interlaced)),
        *([(b"PLTE", bytes(range(256))[: 3 * 2**depth].ljust(3 * 2**depth, b"\7"))] if kind == "index" else []),
        *([(b"tRNS", seen[kind])] if transparent and kind in seen else []),
        *([(b"eXIf", exif)] if picture.turned != 1 else []),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tiff(picture: Stored, number: int, order: str, white_is_zero: bool, strip: int) -> bytes:
    """Uncompressed; `strip`: rows of each."""
    height, width, channels = picture.array.shape
    strips = [
        b"".join(row(line, picture.bits, order) for line in picture.array[at : at + strip])
        for at in range(0, height, strip)
    ]
    photometric = 2 if channels == 3 else 0 if white_is_zero else 1
    offsets = [8 + sum(map(len, strips[:k])) for k in range(len(strips))]
    tags = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [picture.bits] * channels), 259: (3, [1]),
        262: (3, [photometric]), 273: (4, offsets), ORIENTATION: (3, [picture.turned]), 277: (3, [channels]),
        278: (4, [strip]), 279: (4, [len(s) for s in strips]), 284: (3, [1]), 339: (3, [number] * channels),
    }  # fmt: skip
    body = b"".join(strips)
    body += b"\0" * (len(body) % 2)
    extra_at, entries, extra = 8 + len(body), b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            place = struct.pack(f"{order}I", extra_at + len(extra))
            extra += packed
        else:
            place = packed.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + place
    magic = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    return magic + struct.pack(f"{order}I", extra_at + len(extra)) + body + extra + directory


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(sorted(PNG_KINDS)), st.booleans(), st.booleans())
def test_any_png(data: st.DataObject, kind: str, interlaced: bool, transparent: bool) -> None:
    bits = data.draw(st.sampled_from(PNG_DEPTHS.get(kind, (8, 16))))
    picture = data.draw(stored(bits, PNG_KINDS[kind][1]))
    read = pixels.read_stored(png(picture, kind, interlaced, transparent))
    assert read.dtype == picture.array.dtype and np.array_equal(read, picture.expected)


@settings(max_examples=150, deadline=None)
@given(
    st.data(), st.sampled_from([(4, 1), (8, 1), (16, 1), (32, 1), (16, 2), (32, 2), (32, 3)]), st.sampled_from("<>"),
    st.booleans(), st.sampled_from([1, 3]), st.integers(1, 12),
)  # fmt: skip
def test_any_tiff(
    data: st.DataObject, number: tuple[int, int], order: str, white_is_zero: bool, channels: int, strip: int
) -> None:
    """Of numbers that neither uint8 nor uint16 holds, float32 has the nearest."""
    bits, kind = number
    channels = channels if kind == 1 and bits in (8, 16) else 1
    picture = data.draw(stored(bits, channels, TIFF_NUMBERS[kind]))
    read = pixels.read_stored(tiff(picture, kind, order, white_is_zero, strip), "x.tif")
    assert read.dtype in (np.uint8, np.uint16, np.float32)
    assert np.array_equal(read, picture.expected.astype(read.dtype))
    if bits <= 16 and kind == 1:
        assert read.dtype == (np.uint8 if bits <= 8 else np.uint16)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 2**16 - 1), st.sampled_from([1, 3]))
def test_any_pgm_and_ppm(data: st.DataObject, white: int, channels: int) -> None:
    picture = data.draw(stored(8 if white < 256 else 16, channels))
    array = np.minimum(picture.array, white).astype(picture.array.dtype)
    head = f"P{5 if channels == 1 else 6}\n{array.shape[1]} {array.shape[0]}\n{white}\n".encode()
    content = head + array.astype(array.dtype.newbyteorder(">")).tobytes()
    expected = array[..., 0] if channels == 1 else array
    try:
        read = pixels.read_stored(content, "x.ppm")
    except ValueError as error:  # colour of more than 8 bits
        assert channels == 3 and white > 255 and "bits a channel" in str(error)
    else:
        assert np.array_equal(read, expected)
