"""JPEG and PNG, the pictures inside `sensor_msgs/CompressedImage`: decode what cameras send, encode masks without loss.

`header` reads the size without decoding; `rgb` and `thermal` decode, 8-bit pictures the short way, all others through
the project's one door for pictures (`sartm_core.support.pixels`). Pictures are upright, as OpenCV's `imdecode` and so
image_transport give them. What cannot be used is a `PictureError`; nothing else of Pillow's comes out, no warnings.
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

from sartm_core.support import pixels
from sartm_core.support.limits import limits
from sartm_core.support.orientation import ORIENTATION, SIDEWAYS, UPRIGHT, upright

MAX_SIDE = 16384
"""Largest width or height believed, pixels."""
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
OTHERS = {
    b"II*\0": "a TIFF", b"MM\0*": "a TIFF", b"RIFF": "a WebP or AVI", b"BM": "a BMP", b"GIF8": "a GIF",
    b"\0\0\0\x01": "H.264 or H.265", b"\xff\x0a": "JPEG XL", b"\xff\x4f\xff\x51": "JPEG 2000",
}  # fmt: skip
"""How others begin that cameras and bridges send; not read."""
DEEP, PNG_DEPTH = 16, 24
"""Bits a channel of which Pillow keeps the high byte in colour, and where in a PNG that number stands."""
EXIF = b"Exif\0\0"
"""How a JPEG's begins."""
JPEG_PICTURE = 0xDA
"""The marker after which a JPEG has no more segments of metadata."""
ENTRY_BYTES, SHORT = 12, 3
"""Of a TIFF directory: an entry's size, the type of 16-bit numbers."""


class PictureError(ValueError):
    """Bytes that are no usable picture; the text says what was found and what was expected."""


def header(data: Any, kind: str, is_rgb: bool = False) -> tuple[int, int, bool, int]:
    """Height, width, whether it has colour, and bits a channel, of the bytes `data` of a message of the format `kind`.

    is_rgb: of a colour camera, which 16 bits a channel are refused of.
    """
    with _opened(data, kind) as (picture, content):
        height, width = picture.height, picture.width
        if orientation(content) in SIDEWAYS:
            height, width = width, height
        if is_rgb:
            _check_rgb(content)
        bits = _depth(content)
        return height, width, picture.mode not in GRAY and bits < DEEP, bits


def rgb(data: Any, kind: str) -> np.ndarray:
    """Decode to (H, W, 3) uint8 in R, G, B order."""
    with _opened(data, kind) as (picture, content):
        _check_rgb(content)
        return _upright(np.asarray(picture.convert("RGB")), content)


def thermal(data: Any, kind: str) -> np.ndarray:
    """Decode to (H, W) uint8 or uint16; of a colour picture of 8 bits the brightness, of 16 bits the equal channels."""
    with _opened(data, kind) as (picture, content):
        if picture.mode not in GRAY and _depth(content) >= DEEP:
            return equal_channels(pixels.read_stored(content))
        values = np.asarray(picture if picture.mode in GRAY else picture.convert("RGB").convert("L"))
        return _upright(values if values.dtype == np.uint8 else values.astype(np.uint16), content)


def equal_channels(values: np.ndarray) -> np.ndarray:
    """(H, W, C) uint16, C = 2 or 4 with alpha -> (H, W): a republisher made colour of the camera's counts."""
    colors = values[..., : values.shape[2] - (values.shape[2] in (2, 4))]
    if not (colors == colors[..., :1]).all():
        raise PictureError(
            "16 bits a channel in colour, and the channels differ; expected the camera's counts in one channel, or in "
            "three that are equal: publish mono16"
        )
    return np.ascontiguousarray(colors[..., 0])


def _check_rgb(content: bytes) -> None:
    if _depth(content) >= DEEP:
        raise PictureError(
            f"{_depth(content)} bits a channel; expected 8 of a colour camera, which 8 of them to show is not ours to "
            "guess: have the driver or a node before this one publish rgb8 or bgr8"
        )


def _depth(content: bytes) -> int:
    """Bits a channel."""
    return content[PNG_DEPTH] if content.startswith(PNG_MAGIC) else 8


def _upright(values: np.ndarray, content: bytes) -> np.ndarray:
    """(H, W, ...) turned as the file says."""
    turned = orientation(content)
    return values if turned == UPRIGHT else upright(values, turned)


def orientation(content: bytes) -> int:
    """1 to 8 as EXIF counts, of a JPEG or PNG; 1 where it says nothing that makes sense. Costs microseconds."""
    at = _exif_of_png(content) if content.startswith(PNG_MAGIC) else _exif_of_jpeg(content)
    if not at:
        return UPRIGHT
    order = {b"II": "<", b"MM": ">"}.get(content[at : at + 2])
    try:
        if order is None:
            return UPRIGHT
        first = at + struct.unpack_from(f"{order}I", content, at + 4)[0]
        for k in range(struct.unpack_from(f"{order}H", content, first)[0]):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", content, first + 2 + k * ENTRY_BYTES)
            if tag == ORIENTATION and kind == SHORT and 1 <= value <= 8:
                return int(value)
    except struct.error:  # cut off
        pass
    return UPRIGHT


def _exif_of_png(content: bytes) -> int:
    """Where the metadata stand, a TIFF directory; 0: nowhere."""
    at = content.find(b"eXIf", 0, max(content.find(b"IDAT"), 0))
    return at + 4 if at > 0 else 0


def _exif_of_jpeg(content: bytes) -> int:
    at = len(JPEG_MAGIC) - 1
    while content[at : at + 1] == b"\xff" and content[at + 1 : at + 2] != bytes([JPEG_PICTURE]):
        if content.startswith(EXIF, at + 4):
            return at + 4 + len(EXIF)
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return 0


@contextmanager
def _opened(data: Any, kind: str) -> Iterator[tuple[PilImage.Image, bytes]]:
    """The picture and its bytes, its size checked, not yet decoded. Whatever goes wrong in it is a PictureError."""
    if "compresseddepth" in kind.lower():
        data = _without_depth_header(data, kind)
    content = bytes(data)
    stage = "they are no readable JPEG or PNG"
    try:
        with _plugin(content) as picture:
            _check_size(picture.width, picture.height, len(content))
            picture.info.pop("transparency", None)  # a palette's, which `convert` warns of
            stage = f"cannot decode {len(content)} bytes"
            yield picture, content
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
        quiet = content.replace(EXIF, b"Skip\0\0") if _exif_of_jpeg(content) else content  # broken EXIF gives warnings
        return JpegImageFile(io.BytesIO(quiet))
    other = next((name for magic, name in OTHERS.items() if content.startswith(magic)), "")
    raise PictureError(f"they are no readable JPEG or PNG ({f'but {other}' if other else 'neither begins like this'})")


def _check_size(width: int, height: int, size: int) -> None:
    most = limits().pixels
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= most):
        raise PictureError(f"picture is {width}x{height}; expected sides of 1 to {MAX_SIDE}, at most {most} pixels")
    if width * height > size * MAX_PIXELS_PER_BYTE:
        raise PictureError(
            f"picture claims {width}x{height} pixels in {size} bytes, more than any compression; cut off?"
        )


def _without_depth_header(data: Any, kind: str) -> memoryview:
    """The PNG in a message of compressed_depth_image_transport; only 16-bit ones hold the camera's numbers.

    Bridges and own publishers leave the header out: then the PNG begins at once.
    """
    if kind.lower().startswith("32f") or "rvl" in kind.lower():
        raise PictureError("expected 16UC1 as PNG from compressedDepth (32FC1 and RVL change or hide the numbers)")
    view = memoryview(data)
    for start in (DEPTH_HEADER_BYTES, 0):
        if bytes(view[start : start + len(PNG_MAGIC)]) == PNG_MAGIC:
            return view[start:]
    raise PictureError(
        "they are no readable JPEG or PNG: of compressedDepth a PNG is expected after a header of "
        f"{DEPTH_HEADER_BYTES} bytes, or at once"
    )


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
