"""Image files as arrays: colour, thermal and label images, in every way that people store them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np

from sartm_core.support import pixels
from sartm_core.support.classes import LabelSet, ids_from_colors

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".pgm", ".ppm", ".pnm", ".npy")
WIDENED = (257, 256)
"""By what programs multiply 8-bit colours to store them in 16."""


def files_by_name(folder: Path, tail: str = "") -> dict[str, Path]:
    """Image files of a folder by name without suffix; with `tail`, those whose name ends in it, by what stands before.

    Of two files of one name (`1.jpg`, `1.png`) the one later in the alphabet counts. A folder that is not there is
    empty. Names are compared in Unicode's composed form, which a Mac takes apart. Names that begin with a dot are no
    frames (`._1.png` of a Mac's metadata).
    """
    if not folder.is_dir():
        return {}
    found = {}
    for path in sorted(folder.iterdir()):
        name = composed(path.stem)
        if is_frame(path) and name.endswith(tail):
            found[name[: len(name) - len(tail)]] = path
    return found


def is_frame(path: Path) -> bool:
    """Whether a file's name is that of an image, and not of another system's metadata."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def unread(folder: Path) -> str:
    """What else a folder without frames holds, for a message: `; rgb holds 3 .heic files, ...`; "" for nothing."""
    found = [path.suffix.lower() for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    suffixes = Counter(suffix for suffix in found if suffix not in IMAGE_SUFFIXES)
    if not suffixes or len(found) > sum(suffixes.values()):
        return ""
    counted = ", ".join(f"{count} {suffix or 'nameless'}" for suffix, count in suffixes.most_common(3))
    return f"; {folder.name} holds {counted} files, which are not read: save them as PNG or JPEG"


def composed(name: str) -> str:
    """A name as it is compared: in Unicode's form NFC."""
    return unicodedata.normalize("NFC", name)


def read_rgb(path: Path) -> np.ndarray:
    """A colour image file, (H, W, 3) uint8; grey and palette images become colour. ValueError for 16-bit files."""
    return pixels.read_color(path)


def read_thermal(path: Path) -> np.ndarray:
    """A thermal image file, (h, w) uint8, uint16 or float32; of grey stored in several channels, the first."""
    thermal = pixels.read_stored(path, ids=False)
    return np.ascontiguousarray(thermal[..., 0]) if thermal.ndim == 3 else thermal


def read_label(path: Path, label_set: LabelSet) -> np.ndarray:
    """A label file, (H, W) uint8 ids: those of an index or grey image as stored, colours through the palette.

    Raises:
        ValueError: names the file and what is in it: a colour of no class and its pixel count, values above 255, a
            format that changes ids near edges.
    """
    if lossy(path):
        raise ValueError(
            f"{path}: JPEG or WebP with loss changes ids near edges; save labels as PNG, from their source"
        )
    label = read_image(path)
    if label.ndim == 3 and label.shape[2] >= 3:
        try:
            return ids_from_colors(of_eight_bits(label[..., :3]), label_set)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    label = label[..., 0] if label.ndim == 3 else label
    if label.dtype == np.float32 or label.max(initial=0) > 255:
        raise ValueError(
            f"{path}: {label.dtype} values up to {label.max():g}, expected class ids 0..255 or the palette's colours"
        )
    return np.ascontiguousarray(label, np.uint8)


def read_image(path: Path) -> np.ndarray:
    """The numbers in an image file (`pixels.read_stored`)."""
    return pixels.read_stored(path)


def of_eight_bits(label: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint16 -> uint8 where that loses nothing: small numbers, or 8 bits widened to 16. ValueError else."""
    if label.dtype == np.uint8:
        return label
    if label.max(initial=0) <= 255:
        return label.astype(np.uint8)
    for factor in WIDENED:
        if not (label % factor).any():
            return (label // factor).astype(np.uint8)
    raise ValueError(
        f"16 bits a channel with values up to {label.max():g}, expected ids 0..255 or the palette's colours"
    )


def lossy(path: Path) -> bool:
    """Whether the file's format may have changed its numbers: JPEG, and WebP but for its lossless kind."""
    if not path.is_file():
        return False  # as the reader will say
    with path.open("rb") as file:
        start = file.read(16)
    return start[:3] == b"\xff\xd8\xff" or (start[:4] == b"RIFF" and start[8:16] in (b"WEBPVP8 ", b"WEBPVP8X"))
