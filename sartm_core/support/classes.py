"""Class names, ids and colours of the data sets SARTM knows, and the mapping from one set to another.

A label image is (H, W) uint8: the class id of every pixel, with `IGNORE` (255) where nobody knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

IGNORE = 255
UNLABELED = "unlabeled"

Color = tuple[int, int, int]


@dataclass(frozen=True)
class LabelSet:
    """Names and RGB colours (0..255) of the classes, both in id order."""

    names: tuple[str, ...]
    palette: tuple[Color, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.palette):
            raise ValueError(
                f"LabelSet: {len(self.names)} names but {len(self.palette)} palette colours; give one each"
            )
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"LabelSet: names repeat: {self.names}; every class needs its own name")
        if not 1 < len(self.names) < IGNORE:
            raise ValueError(f"LabelSet: {len(self.names)} classes; expected 2 to {IGNORE - 1}")

    def subset(self, names: tuple[str, ...]) -> LabelSet:
        """The same colours for fewer (or reordered) names."""
        missing = [n for n in names if n not in self.names]
        if missing:
            raise ValueError(f"LabelSet.subset: unknown classes {missing}; this set has {self.names}")
        return LabelSet(names, tuple(self.palette[self.names.index(n)] for n in names))


MFNET = LabelSet(
    names=(UNLABELED, "car", "person", "bike", "curve", "car_stop", "guardrail", "color_cone", "bump"),
    palette=(
        (0, 0, 0), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 192),
        (128, 128, 0), (64, 64, 128), (192, 128, 128), (192, 64, 0),
    ),
)  # fmt: skip
PST900 = LabelSet(
    names=("background", "fire-extinguisher", "backpack", "hand-drill", "survivor"),
    palette=((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)),
)
FMB = LabelSet(
    names=(
        UNLABELED, "road", "sidewalk", "building", "lamp", "sign", "vegetation", "sky",
        "person", "car", "truck", "bus", "motorcycle", "bicycle", "pole",
    ),
    palette=(
        (0, 0, 0), (179, 228, 228), (181, 57, 133), (67, 162, 177), (200, 178, 50),
        (132, 45, 199), (66, 172, 84), (179, 73, 79), (76, 99, 166), (66, 121, 253),
        (137, 165, 91), (155, 97, 152), (105, 153, 140), (222, 215, 158), (135, 113, 90),
    ),
)  # fmt: skip

LABEL_SETS = {"mfnet": MFNET, "pst900": PST900, "fmb": FMB}


def ids_from_colors(image: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """(H, W, 3) uint8 label colours -> (H, W) uint8 ids, exact. ValueError names the colours that no class has.

    An image of greys that are not all class colours may hold ids (or 255), stored in three equal channels.
    """
    codes = color_codes(image)  # (H, W)
    palette = color_codes(np.array(label_set.palette, np.uint8))  # (C,)
    by_code = np.argsort(palette, kind="stable")  # (C,) ids in the order of their codes
    place = np.minimum(np.searchsorted(palette[by_code], codes), len(palette) - 1)  # (H, W)
    ids = by_code.astype(np.uint8)[place]  # (H, W)
    unknown = palette[ids] != codes
    if not unknown.any():
        return ids
    grey = image[..., 0]
    if (image == grey[..., None]).all() and ((grey < len(palette)) | (grey == IGNORE)).all():
        return np.ascontiguousarray(grey)
    raise ValueError(describe_unknown(codes[unknown], palette))


def color_codes(colors: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 -> (...) int32, 0xRRGGBB."""
    red, green, blue = (colors[..., channel].astype(np.int32) for channel in range(3))
    return (red << 16) | (green << 8) | blue


def describe_unknown(codes: np.ndarray, palette: np.ndarray) -> str:
    """What to tell about pixels (N,) whose colours are none of `palette` (C,): the commonest colour and its count."""
    colors, counts = np.unique(codes, return_counts=True)
    top = int(colors[counts.argmax()])
    text = f"colour {(top >> 16, top >> 8 & 255, top & 255)} on {counts.max()} pixels is not in the palette"
    if len(colors) > 1:
        text += f", nor are {len(colors) - 1} other colours on {counts.sum() - counts.max()} pixels"
    swapped = (colors & 255) << 16 | (colors & 0xFF00) | colors >> 16
    if np.isin(swapped, palette).all():
        text += "; with red and blue swapped they are: the file seems to have been saved as BGR"
    return text


def default_palette(classes: tuple[str, ...]) -> tuple[Color, ...]:
    """Colours of a known data set that has all these names, else well separated made-up ones (class 0 black)."""
    for labels in LABEL_SETS.values():
        if set(classes) <= set(labels.names):
            return labels.subset(classes).palette
    return tuple(bit_reversed_color(i) for i in range(len(classes)))


def bit_reversed_color(index: int) -> Color:
    """The PASCAL VOC colour of an id: its bits spread from the top of r, g and b downwards."""
    color = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            color[channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return color[0], color[1], color[2]


def frame_condition(name: str) -> str:
    """`day` or `night` from an MFNet frame name (00001D, 00002N), "" for any other name."""
    number, letter = name[:-1], name[-1:]
    return {"D": "day", "N": "night"}.get(letter, "") if number.isdigit() else ""


def remap_table(source: tuple[str, ...], target: tuple[str, ...]) -> np.ndarray:
    """Lookup table (256,) uint8 that turns ids of `source` into ids of `target` by class name.

    A source class that the target lacks becomes the target's class 0 (unlabeled/background);
    ids that are no class of the source, 255 among them, become `IGNORE`.
    """
    table = np.full(256, IGNORE, np.uint8)
    for source_id, name in enumerate(source):
        table[source_id] = target.index(name) if name in target else 0
    return table
