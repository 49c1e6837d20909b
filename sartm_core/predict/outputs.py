"""The folder a prediction writes: which file is where, whether it counts, and whose it is.

A mask is written last and removed first: what lies beside a mask was made with it, and a frame without a mask is not
done. `run.json` says with which weights and options; others are refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sartm_core.data.images import read_image
from sartm_core.predict.frames import modified
from sartm_core.support.classes import Color
from sartm_core.support.files import replacing, write_json
from sartm_core.support.visualize import color_table

RUN = "run.json"
PER_FRAME = ("mask", "confidence", "overlay")


class Outputs:
    """The output folder of one run."""

    def __init__(self, root: Path, palette: Sequence[Color]) -> None:
        self.root = root
        self.colors = color_table(palette).flatten().tolist()  # (768,)

    def path(self, kind: str, name: str) -> Path:
        """Where a picture of `PER_FRAME` is."""
        return self.root / kind / f"{name}.png"

    def claim(self, record: dict[str, Any]) -> None:
        """Make the folder this run's. ValueError when it holds a run with other weights or options."""
        path = self.root / RUN
        if not path.is_file():
            if any((self.root / "mask").glob("*.png")):
                raise ValueError(f"{self.root}: holds masks but no {RUN} that tells whose; give another --output")
            (self.root / "mask").mkdir(parents=True, exist_ok=True)
            write_json(path, record)
            return
        try:
            before = dict(json.loads(path.read_text(encoding="utf-8")))
        except (UnicodeDecodeError, ValueError, TypeError) as error:
            raise ValueError(f"{path}: not a record of a run ({error}); give another --output") from error
        other = [key for key in {**record, **before} if record.get(key) != before.get(key)]
        if other:
            found = ", ".join(f"{key} {before.get(key)!r} (now {record.get(key)!r})" for key in other)
            raise ValueError(f"{self.root}: holds a run with {found}; give another --output, or delete the folder")

    def done(self, name: str, changed: int, confidence: bool) -> np.ndarray | None:
        """The mask of a frame that need not be computed again. `changed`: when its files were last written, in ns."""
        mask = self.path("mask", name)
        if modified(mask) < max(changed, 1) or (confidence and not self.path("confidence", name).is_file()):
            return None
        try:
            return read_image(mask)
        except ValueError:  # damaged later: to be computed again
            return None

    def write(self, name: str, mask: np.ndarray, confidence: np.ndarray | None, overlay: np.ndarray | None) -> None:
        """The pictures of a frame: ids (H, W) uint8, confidence (H, W) uint8, overlay (H, W, 3) uint8."""
        self.remove(name)
        if confidence is not None:
            self.save("confidence", name, Image.fromarray(confidence))
        if overlay is not None:
            self.save("overlay", name, Image.fromarray(overlay))
        image = Image.fromarray(mask)
        image.putpalette(self.colors)
        self.save("mask", name, image)

    def remove(self, name: str) -> None:
        """The pictures of a frame, the mask first."""
        for kind in PER_FRAME:
            self.path(kind, name).unlink(missing_ok=True)

    def save(self, kind: str, name: str, image: Image.Image) -> None:
        """All of a PNG or none of it."""
        path = self.path(kind, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            image.save(temporary, "PNG")
