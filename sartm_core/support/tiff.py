"""TIFF files: what their tags say, and the pages of those that Pillow does not know."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from sartm_core.support.limits import check_pixels
from sartm_core.support.orientation import ORIENTATION, UPRIGHT, upright

TIFF_SIZE, BITS_PER_SAMPLE, SAMPLE_FORMAT = (256, 257), 258, 339
"""TIFF tags."""
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How the files begin."""
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
"""TIFF tag, and its value where 0 is white."""
PLANAR, PLANES_APART = 284, 2
"""TIFF tag, and its value where one channel lies behind the other."""


def is_tiff(source: Path | bytes) -> bool:
    """By the first bytes; a file that is not there or not a file is none."""
    if isinstance(source, bytes):
        return source[:4] in TIFF_MAGIC
    if not source.is_file():
        return False
    with source.open("rb") as file:
        return file.read(4) in TIFF_MAGIC


def pillow_knows(source: Path | bytes) -> bool:
    """Whether it opens a TIFF, or is the one to tell why not."""
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=("TIFF",)):
            return True
    except Image.UnidentifiedImageError:
        return False
    except Exception:  # of many types
        return True


def is_unsigned(image: Image.Image) -> bool:
    """Whether the whole numbers of a TIFF have no sign."""
    found = image.tag_v2.get(SAMPLE_FORMAT, (1,))  # type: ignore[attr-defined]
    return (found[0] if isinstance(found, tuple) else found) == 1


def is_white_zero(image: Image.Image) -> bool:
    """Whether 0 is white in a TIFF: Pillow gives what is shown then, not the numbers of the file."""
    return image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO  # type: ignore[attr-defined]


def read_tiff(source: Path | bytes, what: str, name: str = "") -> np.ndarray:
    """The first page of a TIFF that Pillow cannot read whole, (H, W) or (H, W, C), upright. ValueError names it."""
    name = name or str(source)
    try:
        import tifffile
    except ImportError as error:
        raise ValueError(f"{name}: {what}; pip install tifffile, or save it as PNG or as float32") from error
    try:
        with tifffile.TiffFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            page = file.pages[0]
            check_pixels(page.imagelength * page.imagewidth, f"{name}: {page.shape}")
            array: np.ndarray = page.asarray()
            array = np.moveaxis(array, 0, -1) if page.planarconfig == PLANES_APART and array.ndim == 3 else array
            turned = page.tags.get(ORIENTATION)
            return upright(array, UPRIGHT if turned is None else int(turned.value))
    except ValueError as error:
        raise ValueError(str(error) if name in str(error) else f"{name}: {what}: {error}") from error
    except Exception as error:  # of many types
        raise ValueError(f"{name}: {what}: {error}") from error
