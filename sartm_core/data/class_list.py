"""`classes.yaml`, which tells the classes of an own data set:

    names: [unlabeled, road, person]
    palette: [[0, 0, 0], [128, 64, 128], [220, 20, 60]]    # optional

Both lists are in id order, ids from 0; colours are R, G, B in 0..255.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from sartm_core.support.classes import Color, LabelSet, default_palette
from sartm_core.support.yaml_text import read_yaml

KEYS = ("names", "palette")


def read_classes(path: Path) -> LabelSet:
    """The classes of a `classes.yaml`. Without `palette`: the colours of a known data set that has all the names, else
    those of PASCAL VOC in id order.

    Raises:
        ValueError: names the file, the key, what was found and what is expected.
    """
    try:
        values = read_yaml(path)
    except OSError as error:
        raise ValueError(str(error)) from error
    if not isinstance(values, dict) or "names" not in values:
        raise ValueError(f"{path}: names: missing; expected names: [unlabeled, ...], the classes in id order")
    for key in values:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {KEYS}"
            raise ValueError(f"{path}: {key}: unknown key; {hint}")
    names = class_names(path, values["names"])
    own = values.get("palette")
    palette = default_palette(names) if own is None else class_colors(path, own, len(names))
    try:
        return LabelSet(names, palette)
    except ValueError as error:
        raise ValueError(f"{path}: names: {error}") from error


def class_names(path: Path, values: Any) -> tuple[str, ...]:
    """The list under `names`, checked."""
    if not isinstance(values, list):
        raise ValueError(f"{path}: names: got {values!r}, expected a list of class names in id order")
    for index, name in enumerate(values):
        if not isinstance(name, str) or not name:
            raise ValueError(
                f"{path}: names[{index}]: got {name!r} ({type(name).__name__}), expected text; put it in quotes"
            )
    return tuple(values)


def class_colors(path: Path, values: Any, count: int) -> tuple[Color, ...]:
    """The list under `palette`, checked: one colour a class, all different."""
    if not isinstance(values, list) or len(values) != count:
        have = f"{len(values)} colours" if isinstance(values, list) else repr(values)
        raise ValueError(f"{path}: palette: got {have} for {count} names; give one [r, g, b] each, in id order")
    colors: list[Color] = []
    for index, value in enumerate(values):
        numbers = value if isinstance(value, list) else []
        if len(numbers) != 3 or any(type(n) is not int or not 0 <= n <= 255 for n in numbers):
            raise ValueError(f"{path}: palette[{index}]: got {value!r}, expected [r, g, b], whole numbers 0..255")
        color = (numbers[0], numbers[1], numbers[2])
        if color in colors:
            raise ValueError(f"{path}: palette[{index}]: {color} is the colour of class {colors.index(color)} already")
        colors.append(color)
    return tuple(colors)
