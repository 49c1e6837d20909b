"""`labelmap.txt` of CVAT's 'Segmentation mask 1.1': names and colours of the labels, and which of our classes they are.

    # label:color_rgb:parts:actions
    background:0,0,0::
    car:64,0,128::

CVAT writes `background` in black for what nobody annotated: our class 0, whatever its name. Names decide, never colours
or places: the annotation tool may have others.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from sartm_core.support.classes import IGNORE, Color, LabelSet, bit_reversed_color

BACKGROUND = "background"
BLACK: Color = (0, 0, 0)
IGNORED = "ignored"
"""Name of the label for pixels nobody knows (255), unless another is asked for."""
IGNORED_COLOR: Color = (224, 224, 192)
"""Its colour in PASCAL VOC."""
HEAD = "# label:color_rgb:parts:actions"
FIELDS = 4


@dataclass(frozen=True)
class Label:
    """One line of a label map."""

    name: str
    color: Color


def own_labels(label_set: LabelSet, ignored: str) -> list[Label]:
    """The labels to export, by id: class 0 as `background`, the other classes, last the one for ignored pixels.

    Raises:
        ValueError: a class that the format or CVAT cannot hold, naming it and what to change.
    """
    check_names(label_set.names, ignored)
    colors = label_set.palette[1:]
    if BLACK in colors:
        name = label_set.names[1 + colors.index(BLACK)]
        raise ValueError(
            f"classes.yaml: palette: class {name!r} is black, which in CVAT is what nobody annotated; "
            "give it another colour"
        )
    free = (c for c in (IGNORED_COLOR, *(bit_reversed_color(i) for i in range(IGNORE, 0, -1))) if c not in colors)
    labels = [Label(name, color) for name, color in zip(label_set.names[1:], colors, strict=True)]
    return [Label(BACKGROUND, BLACK), *labels, Label(ignored, next(free))]


def check_names(names: tuple[str, ...], ignored: str) -> None:
    """ValueError unless the label map can tell the classes and the label for ignored pixels apart."""
    for name in (*names, ignored):
        check_name(name)
    if BACKGROUND in names[1:]:
        raise ValueError(
            f"classes.yaml: names: class {names.index(BACKGROUND)} is called {BACKGROUND!r}, which in CVAT is what "
            "nobody annotated, class 0; make it the first or rename it"
        )
    if ignored in (*names, BACKGROUND):
        raise ValueError(f"--ignore-label {ignored}: is the name of a class; give another one")


def check_name(name: str) -> None:
    """ValueError unless a line of a label map can hold the name."""
    if name != name.strip() or name.startswith("#") or any(c in name for c in ":\r\n") or not name:
        raise ValueError(
            f"class {name!r}: a label map cannot hold it; leave out ':', line ends, a '#' in front and outer spaces"
        )


def write_labelmap(labels: Sequence[Label]) -> str:
    """The text of a label map."""
    lines = (f"{label.name}:{','.join(map(str, label.color))}::" for label in labels)
    return "\n".join([HEAD, *lines]) + "\n"


def read_labelmap(text: str, where: str) -> list[Label]:
    """The labels of a label map in its order. ValueError names `where`, the line and what is expected."""
    labels: list[Label] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        fields = line.split(":")
        color = read_color(fields[1]) if len(fields) == FIELDS else None
        if color is None:
            raise ValueError(f"{where}: line {number}: got {line!r}, expected label:red,green,blue:parts:actions")
        if fields[0] in (label.name for label in labels):
            raise ValueError(f"{where}: line {number}: label {fields[0]!r} is there twice")
        labels.append(Label(fields[0], color))
    if not labels:
        raise ValueError(f"{where}: no label in it; expected lines label:red,green,blue:parts:actions")
    return labels


def read_color(text: str) -> Color | None:
    """`64,0,128` -> (64, 0, 128); None when it is no colour."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and int(part) < 256 for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])


def ids_of(labels: Sequence[Label], names: tuple[str, ...], ignored: str, where: str, partial: bool) -> list[int]:
    """The class id of each label: by its name, `background` is 0, `ignored` 255.

    `partial` True: the label map need not have all classes.

    Raises:
        ValueError: labels that are no class, classes without a label, labels of one colour; names `where` and them.
    """
    check_names(names, ignored)
    known = {ignored: IGNORE, BACKGROUND: 0, **{name: index for index, name in enumerate(names)}}
    for label in labels:
        if label.name not in known:
            near = difflib.get_close_matches(label.name, list(known), 1)
            raise ValueError(
                f"{where}: label {label.name!r} is no class of classes.yaml"
                + (f"; did you mean {near[0]!r}?" if near else f" {names}; rename it in CVAT or add it to classes.yaml")
            )
    missing = [name for name in names[1:] if name not in {label.name for label in labels}]
    if missing and not partial:
        raise ValueError(
            f"{where}: no label for {', '.join(missing)} of classes.yaml, so nobody could annotate them; "
            "add them in CVAT, or import with --partial"
        )
    ids = [known[label.name] for label in labels]
    first: dict[Color, int] = {}
    for place, label in enumerate(labels):
        other = first.setdefault(label.color, place)
        if ids[other] != ids[place]:
            raise ValueError(
                f"{where}: labels {labels[other].name!r} and {label.name!r} both have the colour {label.color}; "
                "give one of them another colour in CVAT and export again"
            )
    return ids
