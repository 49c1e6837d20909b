"""The images of one frame: are they there, readable, of the right size, and do they hold what they should?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sartm_core.check_data.findings import Findings
from sartm_core.check_data.shift import Shift, estimate_shift
from sartm_core.data.pairs import KINDS, Pairs
from sartm_core.data.swapped import COLORED, coloring
from sartm_core.support.classes import IGNORE, LabelSet
from sartm_core.support.pixels import read_head

COLOR_CHANNELS = 3
"""A picture of fewer is grey."""


@dataclass(frozen=True)
class FrameFacts:
    """What is counted over a data set."""

    sizes: str
    """Sizes and types, "rgb 480x640, thermal 480x640 uint8", as far as readable."""
    ids: np.ndarray
    """(256,) pixels of every label id; zeros without a label."""
    shift: Shift | None
    """None where one of the cameras is missing."""


def check_frame(frames: Pairs, name: str, findings: Findings) -> FrameFacts:
    """Add to `findings` what is wrong with a frame, all of it."""
    files = frames.files[name]
    images = read_images(frames, name, findings)
    rgb, thermal, label = (images.get(kind) for kind in KINDS)
    if thermal is not None:
        check_thermal(thermal, files.thermal, findings)
        if files.thermal != files.rgb:  # MFNet's fourth channel
            check_colored(files.thermal, findings)
    if rgb is not None and thermal is not None and frames.one_size and thermal.shape != rgb.shape[:2]:
        findings.fault("size", files.thermal, f"{size_of(thermal)}, its rgb image {size_of(rgb)}; expected equal sizes")
    if label is not None:
        check_label(label, files.label, frames.label_set, findings)
    main = images.get(frames.cameras[0])
    if main is not None and label is not None and label.shape != main.shape[:2]:
        camera = frames.cameras[0]
        findings.fault(
            "size", files.label, f"{size_of(label)}, its {camera} image {size_of(main)}; expected equal sizes"
        )
    parts = ([f"rgb {size_of(rgb)}"] if rgb is not None else []) + (
        [f"thermal {size_of(thermal)} {thermal.dtype}"] if thermal is not None else []
    )
    return FrameFacts(
        ", ".join(parts),
        np.zeros(256, np.int64) if label is None else np.bincount(label.ravel(), minlength=256),
        estimate_shift(rgb, thermal) if rgb is not None and thermal is not None else None,
    )


def read_images(frames: Pairs, name: str, findings: Findings) -> dict[str, np.ndarray]:
    """Those of `KINDS` that could be read; the others are findings, unless their whole folder is missing."""
    files = frames.files[name]
    readers = {"rgb": frames.rgb_of, "thermal": frames.thermal_of, "label": frames.label_of}
    images = {}
    failed: set[Path] = set()
    for kind, read in readers.items():
        path: Path = getattr(files, kind)
        if path in failed or not path.parent.is_dir():  # MFNet's one file for both cameras; told once for the folder
            continue
        if not path.is_file():
            findings.fault("missing", path, f"no {kind} image of frame {name!r}")
            failed.add(path)
            continue
        try:
            image = read(name)
        except ValueError as error:
            findings.error("label" if kind == "label" else "unreadable", path, error)
            failed.add(path)
        else:
            if image is not None:
                images[kind] = image
                check_pages(path, findings)
    return images


def check_pages(path: Path, findings: Findings) -> None:
    """A sequence in one file."""
    head = read_head(path)
    if head.radiometric:
        findings.warn(
            "pages", path, "a radiometric JPEG of FLIR: its 8-bit picture is read, not the 16-bit counts behind it; "
            "exiftool -b -RawThermalImage gets them out",
        )  # fmt: skip
    if head.pages > 1:
        findings.warn("pages", path, f"{head.pages} pages, only the first is read; save each as a file of its own")
    elif head.planes_apart:
        findings.warn(
            "pages", path, f"{head.channels} planes one behind the other: colours, or {head.channels} frames of a "
            "sequence? Save frames as files of their own",
        )  # fmt: skip


def size_of(image: np.ndarray) -> str:
    """Height x width."""
    return f"{image.shape[0]}x{image.shape[1]}"


def check_thermal(thermal: np.ndarray, path: Path, findings: Findings) -> None:
    """Heat that cannot be: none at all, the same everywhere."""
    finite = thermal[np.isfinite(thermal)]
    if not finite.size:
        findings.fault("thermal", path, "no finite value")
    elif finite.min() == finite.max():
        findings.warn("thermal", path, f"constant: every pixel is {finite.min():g} (shutter closed?)")


def check_colored(path: Path, findings: Findings) -> None:
    """A picture of heat in colours, of which only red would be read."""
    difference = coloring(path) if read_head(path).channels >= COLOR_CHANNELS else 0.0
    if difference > COLORED:
        findings.warn(
            "thermal", path, f"in colour (channels differ by {difference:.0f} on average): only the first is read"
        )


def check_label(label: np.ndarray, path: Path, label_set: LabelSet, findings: Findings) -> None:
    """Ids that no class has, nothing labelled, an index PNG whose own colours say other ids."""
    count = len(label_set.names)
    odd = label[(label >= count) & (label != IGNORE)]
    if odd.size:
        ids = np.unique(odd).tolist()
        findings.fault(
            "label", path, f"ids {ids} on {odd.size} pixels; the label set has 0..{count - 1} and {IGNORE} (ignored)"
        )
    if (label == IGNORE).all():
        findings.warn("label", path, f"every pixel is {IGNORE} (ignored)")
    ids = np.unique(label)
    if ids.tolist() == [0, IGNORE]:
        findings.warn(
            "label", path, f"holds 0 and {IGNORE} only, and {IGNORE} is ignored: is {IGNORE} class 1 of a binary mask? "
            "Write class ids 0 and 1",
        )  # fmt: skip
    palette = read_head(path).palette
    if palette:
        check_index_colors(ids, palette, path, label_set, findings)


def check_index_colors(
    ids: np.ndarray, palette: list[int], path: Path, label_set: LabelSet, findings: Findings
) -> None:
    """Warn when the colours of an index PNG are those of the label set, but under other ids.

    Image editors number the colours of a picture as they find them.
    """
    colors = {int(i): tuple(palette[3 * i : 3 * i + 3]) for i in ids if i != IGNORE}
    meant = {i: label_set.palette.index(c) for i, c in colors.items() if c in label_set.palette}
    wrong = [f"{i} has the colour of {m}" for i, m in meant.items() if m != i]
    if wrong and len(meant) == len(colors):
        findings.warn("label", path, f"index PNG: {', '.join(wrong)}; indices are read, save it in RGB to use colours")
