"""JPEG and PNG, the pictures inside `sensor_msgs/CompressedImage`: decode what cameras send, encode masks without loss.

`header` reads the size without decoding; `rgb` and `thermal` decode. What cannot be used is a `PictureError`; Pillow's
other exceptions and warnings never come out of here.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image as PilImage
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

MAX_SIDE = 16384
"""Largest width or height believed, pixels."""
MAX_PIXELS = 1 << 26
"""Largest picture decoded (8K has half as many pixels); below the size that Pillow warns of."""
MAX_PIXELS_PER_BYTE = 1032
"""What DEFLATE reaches at the very most, with one byte a pixel; JPEG stays below. More is a lie or a bomb."""
DEPTH_HEADER_BYTES = 12
"""What compressed_depth_image_transport puts before the PNG."""
GRAY = ("L", "I;16", "I;16B", "I")
"""Pillow's modes of one channel of 8 or 16 bits."""
MASK_FORMAT = "mono8; png compressed "
"""`CompressedImage.format` of masks, as image_transport writes it."""
ZLIB_LEVEL = 1
"""Class ids have large equal areas: higher levels cost three times as long for a tenth less."""
PNG_MAGIC, JPEG_MAGIC = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
"""How the files begin."""


class PictureError(ValueError):
    """Bytes that are no usable picture; the text says what was found and what was expected."""


def header(data: Any, kind: str) -> tuple[int, int, bool]:
    """Height, width and whether it has colour, of the bytes `data` of a message with the format `kind`."""
    with _opened(data, kind) as picture:
        return picture.height, picture.width, picture.mode not in GRAY


def rgb(data: Any, kind: str) -> np.ndarray:
    """Decode to (H, W, 3) uint8 in R, G, B order; of 16-bit grey the high byte."""
    with _opened(data, kind) as picture:
        if picture.mode.startswith("I"):
            return np.repeat((_gray(picture) >> 8).astype(np.uint8)[..., None], 3, axis=2)
        return np.asarray(picture.convert("RGB"))


def thermal(data: Any, kind: str) -> np.ndarray:
    """Decode to (H, W) uint8 or uint16; of a colour picture the brightness."""
    with _opened(data, kind) as picture:
        return _gray(picture if picture.mode in GRAY else picture.convert("RGB").convert("L"))


def _gray(picture: PilImage.Image) -> np.ndarray:
    values = np.asarray(picture)
    return values if values.dtype == np.uint8 else values.astype(np.uint16)


@contextmanager
def _opened(data: Any, kind: str) -> Iterator[PilImage.Image]:
    """The picture, its size checked, not yet decoded. Whatever goes wrong here or inside `with` is a PictureError."""
    if "compresseddepth" in kind.lower():
        data = _without_depth_header(data, kind)
    content = bytes(data)
    stage = "they are no readable JPEG or PNG"
    try:
        with _plugin(content) as picture:
            _check_size(picture.width, picture.height, len(content))
            picture.info.pop("transparency", None)  # a palette's, which `convert` warns of
            stage = f"cannot decode {len(content)} bytes"
            yield picture
    except PictureError:
        raise
    except Exception as error:  # Pillow raises many types for broken files
        raise PictureError(f"{stage} ({type(error).__name__}: {error})") from None


def _plugin(content: bytes) -> PilImage.Image:
    """The header of the file, read. Not by `Image.open`, which warns on stderr and knows formats no camera sends."""
    if content.startswith(PNG_MAGIC):
        if b"acTL" in content[: content.find(b"IDAT")]:
            raise PictureError("it is an animated PNG; expected a single picture")
        return PngImageFile(io.BytesIO(content))
    if content.startswith(JPEG_MAGIC):
        return JpegImageFile(io.BytesIO(content.replace(b"Exif\0\0", b"Skip\0\0")))  # broken EXIF gives warnings
    raise PictureError("they are no readable JPEG or PNG (neither begins like this)")


def _check_size(width: int, height: int, size: int) -> None:
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise PictureError(
            f"picture is {width}x{height}; expected sides of 1 to {MAX_SIDE}, at most {MAX_PIXELS} pixels"
        )
    if width * height > size * MAX_PIXELS_PER_BYTE:
        raise PictureError(
            f"picture claims {width}x{height} pixels in {size} bytes, more than any compression; cut off?"
        )


def _without_depth_header(data: Any, kind: str) -> memoryview:
    """The PNG in a message of compressed_depth_image_transport; only 16-bit ones hold the camera's numbers."""
    if kind.lower().startswith("32f") or "rvl" in kind.lower():
        raise PictureError("expected 16UC1 as PNG from compressedDepth (32FC1 and RVL change or hide the numbers)")
    return memoryview(data)[DEPTH_HEADER_BYTES:]


def fill_png(message: Any, mask: np.ndarray, camera_header: Any) -> Any:
    """Write a mask (H, W) uint8 as PNG into a fresh sensor_msgs/CompressedImage; returns that message."""
    message.header = camera_header
    message.format = MASK_FORMAT
    message.data.frombytes(png(mask))
    return message


def png(image: np.ndarray) -> bytes:
    """(H, W) uint8 -> the bytes of a grey 8-bit PNG without loss.

    Written by hand: Pillow's row filters cost most of the time and gain nothing on class ids.
    """
    if image.ndim != 2 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"png: got {image.shape} {image.dtype}; expected (H, W) uint8")
    height, width = image.shape
    rows = np.zeros((height, width + 1), np.uint8)  # filter type 0 (none) before every row
    rows[:, 1:] = image
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.data, ZLIB_LEVEL)),
        (b"IEND", b""),
    )
    return PNG_MAGIC + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
