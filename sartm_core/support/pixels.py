"""The one door for pictures from outside: files and bytes in, the numbers that are stored in them out, or a ValueError.

Nothing is lost in silence: 16 bits a channel stay 16 bits, pictures are turned as their metadata says, and sizes are
looked at before anything is decoded. docs/inputs.md lists what is read and what is refused.
"""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sartm_core.support.limits import check_pixels
from sartm_core.support.orientation import SIDEWAYS, orientation, upright
from sartm_core.support.tiff import (
    BITS_PER_SAMPLE,
    PLANAR,
    PLANES_APART,
    TIFF_SIZE,
    is_tiff,
    is_unsigned,
    is_white_zero,
    pillow_knows,
    read_tiff,
)

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM")
"""Of Pillow; PPM is PGM and PBM too."""
EIGHT_BIT_MODES = ("RGB", "RGBA", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr")
"""Pillow's 8-bit image modes."""
GREY_STEP = {"L;2": 85, "L;4": 17}
"""Pillow stretches 2- and 4-bit grey PNGs and TIFFs to 0..255 by these factors."""
STARTS = (
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the picture itself: git lfs pull"),
    (4, b"ftyphei", "a HEIC of a phone: save it as JPEG or PNG"), (4, b"ftypmif1", "a HEIC: save it as JPEG or PNG"),
    (4, b"ftypavi", "an AVIF: save it as PNG"), (0, b"GIF8", "a GIF: save it as PNG"),
    (0, b"\0\0\0\x0cjP", "a JPEG 2000: save it as PNG or TIFF"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR: save it as TIFF"),
    (0, b"\x93NUMPY", "an array of numpy: call it .npy"),
    (0, b"%PDF", "a PDF"), (0, b"<", "a page or text, not a picture"),
)  # fmt: skip
"""Where in a file, which bytes, and what it is then."""
LONGEST_START = 64
"""Bytes that are looked at for that."""
RADIOMETRIC = b"FLIR\0"
"""How the segments of a JPEG begin in which FLIR's cameras store their counts."""
MOST_CHANNELS = 4
"""Of an array whose channels may come first."""
BROKEN = (OSError, SyntaxError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises on broken files, SyntaxError among them."""


def read_stored(source: Path | bytes, name: str = "", ids: bool = True) -> np.ndarray:
    """The numbers of a picture, (H, W) or (H, W, C), uint8, uint16 or float32, upright; of several pages the first.

    Args:
        source: a file, or the bytes of one, which `name` tells of in errors.
        ids: True reads numbers: the indices of index PNGs, the small integers of PNGs of 1, 2 or 4 bits. False reads
            brightness: the colours of index PNGs.

    64-bit floats become float32; 32-bit integers uint16 where they fit, else float32.
    """
    if isinstance(source, Path) and source.suffix.lower() == ".npy":
        return plain(read_npy(source))
    if is_tiff(source) and not pillow_knows(source):
        return plain(read_tiff(source, "a TIFF of numbers that Pillow does not know", name))
    with opened(source, name) as image:
        if bits(image) > 8 and image.mode in EIGHT_BIT_MODES:  # Pillow would keep the high byte
            return plain(read_deep(source, image, name))
        step = grey_step(image) if ids else 1
        largest = largest_of_ppm(image)
        colored = image.convert("RGB") if not ids and image.mode in ("P", "PA", "1") else image
        array = np.array(colored)
        if image.mode == "I" and image.format == "TIFF" and is_unsigned(image):
            array = array.view(np.uint32)  # which Pillow takes for signed
        array = plain(array)
        array = 255 - array if image.mode == "L" and is_white_zero(image) else array
        array = array // np.uint8(step) if step > 1 else array
        return upright(unstretched(array, largest), orientation(image))


def read_color(source: Path | bytes, name: str = "") -> np.ndarray:
    """A colour picture, (H, W, 3) uint8, upright; grey and palette pictures become colour.

    ValueError for more than 8 bits a channel: which of them to show is not ours to guess.
    """
    if isinstance(source, Path) and source.suffix.lower() == ".npy":
        array = read_npy(source)
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
            raise ValueError(f"{source}: {array.shape} {array.dtype}, expected (H, W, 3) uint8 for a colour picture")
        return array
    if is_tiff(source) and not pillow_knows(source):
        array, name = read_tiff(source, "a TIFF that Pillow does not know", name), name or str(source)
        if array.dtype != np.uint8 or array.shape[2:] != (3,):
            raise ValueError(f"{name}: {array.shape} {array.dtype}, expected (H, W, 3) uint8 for a colour picture")
        return array
    with opened(source, name) as image:
        depth = bits(image)
        if depth > 8 or image.mode not in EIGHT_BIT_MODES:
            raise ValueError(
                f"{name or str(source)}: {depth} bits a channel, mode {image.mode}; expected an 8-bit colour image. "
                "Convert it with the range that the camera uses"
            )
        return upright(np.array(image.convert("RGB")), orientation(image))


@dataclass(frozen=True)
class Head:
    """What a picture file tells before its pixels are decoded."""

    size: tuple[int, int]
    """(H, W), upright."""
    channels: int
    """As stored; 1 for index pictures."""
    pages: int
    """Pictures in the file."""
    palette: list[int] | None = None
    """Of an index picture: r, g, b, r, g, b, ..."""
    planes_apart: bool = False
    """Whether one channel lies behind the other (TIFF), as frames of a sequence would."""
    radiometric: bool = False
    """Whether a camera of FLIR has put its 16-bit counts behind the picture (JPEG): they are not what is read."""


def read_head(source: Path) -> Head:
    """Without decoding where the format allows it. ValueError as of `read_stored`."""
    if source.suffix.lower() == ".npy" or (is_tiff(source) and not pillow_knows(source)):
        shape = read_stored(source).shape
        return Head((shape[0], shape[1]), shape[2] if len(shape) == 3 else 1, 1)
    with opened(source) as image:
        palette = image.getpalette() if image.mode == "P" else None
        planes_apart = image.format == "TIFF" and image.tag_v2.get(PLANAR) == PLANES_APART  # type: ignore[attr-defined]
        radiometric = any(part.startswith(RADIOMETRIC) for _, part in getattr(image, "applist", ()))
        pages = int(getattr(image, "n_frames", 1))
        return Head(upright_size(image), len(image.getbands()), pages, palette, planes_apart, radiometric)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(H, W) of an open picture as it will be returned."""
    width, height = image.size
    if image.format == "TIFF":  # whose size Pillow turns, from some version on
        width, height = (image.tag_v2[tag] for tag in TIFF_SIZE)  # type: ignore[attr-defined]
    return (width, height) if orientation(image) in SIDEWAYS else (height, width)


@contextmanager
def opened(source: Path | bytes, name: str = "") -> Iterator[Image.Image]:
    """An open picture whose size was looked at; whatever goes wrong is a ValueError that names it."""
    name = name or ("picture" if isinstance(source, bytes) else str(source))
    try:
        if isinstance(source, Path):
            check_regular(source)
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            check_pixels(image.height * image.width, f"{name}: {image.width}x{image.height}")
            yield image
    except FileNotFoundError:
        raise ValueError(f"{name}: no such file") from None
    except Image.UnidentifiedImageError as error:
        raise ValueError(f"{name}: not a readable image ({what_instead(source)})") from error
    except BROKEN as error:
        raise ValueError(f"{name}: not a readable image ({error})") from error


def what_instead(source: Path | bytes) -> str:
    """What a file is that Pillow does not know, by its first bytes."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            start = file.read(LONGEST_START)
    else:
        start = source[:LONGEST_START]
    if not start:
        return "it is empty"
    known = next((what for place, begin, what in STARTS if start.startswith(begin, place)), "")
    return known or f"it begins with {start[:8]!r}, as no {', '.join(FORMATS)} does"


def check_regular(path: Path) -> None:
    """ValueError for a pipe or device, which may have no end."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        raise ValueError(f"{path}: {kind}, expected a file")


def bits(image: Image.Image) -> int:
    """Stored for each channel of an open picture."""
    if image.format == "TIFF":
        found = image.tag_v2.get(BITS_PER_SAMPLE, 1)  # type: ignore[attr-defined]
        return int(max(found)) if isinstance(found, tuple) else int(found)
    largest = largest_of_ppm(image)
    if largest:
        return largest.bit_length()
    return 16 if image.mode.startswith("I") or ";16" in str(layout(image)) else 8


def layout(image: Image.Image) -> Any:
    """How the pixels of an open file lie in it, in Pillow's words."""
    tiles = getattr(image, "tile", None)
    return tiles[0][3] if tiles else None


def largest_of_ppm(image: Image.Image) -> int:
    """The number that stands for white in a PGM or PPM; 0 for other formats, and where white is all bits set."""
    args = layout(image) if image.format == "PPM" else None
    return int(args[1]) if isinstance(args, tuple) and len(args) == 2 and isinstance(args[1], int) else 0


def unstretched(array: np.ndarray, largest: int) -> np.ndarray:
    """Pillow stretches PGM to 0..255 or 0..65535: back to the numbers of the file."""
    white = np.iinfo(array.dtype).max if array.dtype != np.float32 else 0
    if not largest or largest >= white:
        return array
    numbers: np.ndarray = ((array.astype(np.uint32) * largest + white // 2) // white).astype(array.dtype)
    return numbers


def grey_step(image: Image.Image) -> int:
    """By what Pillow will multiply the grey values of this open file."""
    found = layout(image)
    mode = found[0] if isinstance(found, tuple) and found else found
    return GREY_STEP.get(str(mode)[:3], 1) if image.format in ("PNG", "TIFF") and image.mode == "L" else 1


def read_deep(source: Path | bytes, image: Image.Image, name: str) -> np.ndarray:
    """Colour of more than 8 bits a channel, (H, W, C) uint16, upright, of a PNG or TIFF."""
    if image.format == "TIFF":
        return read_tiff(source, f"{bits(image)} bits a channel in colour", name)
    if image.format != "PNG":
        raise OSError(f"{bits(image)} bits a channel in colour in a {image.format}; save it as PNG")
    content = source if isinstance(source, bytes) else source.read_bytes()
    try:
        with warnings.catch_warnings():  # torchvision means to hand its decoders to torchcodec
            warnings.simplefilter("ignore", DeprecationWarning)
            import torch
            from torchvision.io import ImageReadMode, decode_png

            pixels = decode_png(torch.frombuffer(bytearray(content), dtype=torch.uint8), ImageReadMode.UNCHANGED)
    except (RuntimeError, ImportError) as error:
        raise OSError(f"{bits(image)} bits a channel in colour: {error}") from error
    return upright(pixels.permute(1, 2, 0).numpy(), orientation(image))  # (H, W, C)


def read_npy(path: Path) -> np.ndarray:
    """An array that numpy saved, of numbers."""
    try:
        check_regular(path)
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: not a readable array ({error})") from error
    check_pixels(int(np.prod(mapped.shape[:2])), f"{path}: {mapped.shape}")
    if mapped.ndim not in (2, 3) or mapped.dtype.kind not in "uifb":
        raise ValueError(f"{path}: {mapped.shape} {mapped.dtype}, expected numbers (H, W) or (H, W, C)")
    if mapped.ndim == 3 and mapped.shape[0] <= MOST_CHANNELS < mapped.shape[2]:
        raise ValueError(f"{path}: {mapped.shape}, its channels come first; expected (H, W) or (H, W, C)")
    return np.array(mapped)


def plain(array: np.ndarray) -> np.ndarray:
    """Any kind of number -> uint8, uint16 or float32 in this machine's byte order; only 64-bit floats lose digits."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    if array.dtype.kind in "ui" and array.dtype not in (np.uint8, np.uint16):
        fits = array.size == 0 or (array.min() >= 0 and array.max() <= np.iinfo(np.uint16).max)
        return array.astype(np.uint16 if fits else np.float32)
    return array
