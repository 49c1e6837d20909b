"""Files that are dropped on the page: checked before they are decoded, and told apart."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from PIL import Image

from sartm_core.data.images import BROKEN, opened, read_rgb, read_thermal

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
"""Those of `sartm_core.data.images.IMAGE_SUFFIXES`."""
MAX_PIXELS = 40_000_000
"""Of a picture, by its header: more is refused before a pixel is decoded."""
MAX_FILES = 2
IN_COLOR = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")
"""Pillow's modes that can hold colours."""


class Upload(io.BytesIO):
    """The bytes of a file under its name, which is only ever shown."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Pair:
    """What was dropped, as a `Segmenter` takes it."""

    rgb: np.ndarray | None
    """(H, W, 3) uint8."""
    thermal: np.ndarray | None
    """(h, w) uint8, uint16 or float32."""
    told: dict[str, str]
    """Which file was taken as which camera."""


def read_pair(files: Sequence[Upload]) -> Pair:
    """One or two files as the frames of the cameras: the one in colour is rgb, the grey one thermal.

    Raises:
        ValueError: names the file: too large, no picture, or two of a kind.
    """
    if not 1 <= len(files) <= MAX_FILES:
        raise ValueError(f"got {len(files)} files; drop one picture, or the colour and the thermal one of a pair")
    for file in files:
        check_size(file)
    kinds = ["thermal" if is_gray(file) else "rgb" for file in files]
    if len(files) == MAX_FILES and kinds[0] == kinds[1]:
        what = "in colour" if kinds[0] == "rgb" else "grey"
        raise ValueError(f"{files[0]} and {files[1]} are both {what}; one has to be in colour, the other one grey")
    read: dict[str, Any] = {"rgb": read_rgb, "thermal": read_thermal}
    frames = {kind: read[kind](file) for kind, file in zip(kinds, files, strict=True)}
    told = {f"taken as {kind}": str(file) for kind, file in zip(kinds, files, strict=True)}
    return Pair(frames.get("rgb"), frames.get("thermal"), told)


def check_size(file: Upload) -> None:
    """ValueError unless the header is that of a picture of a known format that is not too large."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
    except BROKEN as error:
        raise ValueError(f"{file}: not a readable picture; expected one of {', '.join(FORMATS)}") from error
    if width * height > MAX_PIXELS:
        raise ValueError(f"{file}: {width}x{height} pixels; at most {MAX_PIXELS // 1_000_000} million are taken")


def is_gray(file: Upload) -> bool:
    """Whether a picture has one channel, or equal ones."""
    with opened(cast(Any, file)) as image:
        if image.mode not in IN_COLOR:
            return True
        red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)  # (H, W) each
    return bool((red == green).all() and (green == blue).all())
