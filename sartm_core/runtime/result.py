"""One segmented frame: what a `Segmenter` gives, and how to look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image

from sartm_core.runtime.batching import FramePair
from sartm_core.support import visualize
from sartm_core.support.classes import IGNORE, Color
from sartm_core.support.files import replacing

OVERLAY_ALPHA = 0.5
"""Weight of the class colours in `overlay`."""


@dataclass(frozen=True, eq=False, repr=False)
class SegmentationResult:
    """One segmented frame."""

    mask: np.ndarray
    """(H, W) uint8 class ids; 255 below the confidence threshold. H, W of the rgb camera (thermal without rgb)."""
    confidence: np.ndarray | None
    """(H, W) uint8: softmax of the winning class, 0..255. None when it was not wanted."""
    timing: dict[str, float]
    """Milliseconds of `preprocess`, `forward`, `postprocess`; of all frames that shared the forward pass."""
    adapter: str = ""
    """Name of the weights that made it: whose classes the ids are."""
    classes: tuple[str, ...] = ()
    """Their names by id."""
    palette: tuple[Color, ...] = ()
    """Their colours by id."""
    pair: FramePair | None = field(default=None)
    """The frames it was made of."""
    scores: np.ndarray | None = None
    """(h, w, C) float32: softmax of every class at a quarter of the model's resolution, over the whole frame, edges on
    edges. None when it was not wanted."""
    drawn: Mapping[str, np.ndarray] = field(default_factory=dict)
    """`overlay` and `color_mask`, (H, W, 3) uint8, where `FramePair.drawing` asked for them and a GPU made them."""

    def classes_present(self) -> dict[str, float]:
        """Share of the pixels by class name, 0..1, the largest first; "ignored" where no class was sure enough."""
        ids, counts = np.unique(self.mask, return_counts=True)
        names = {i: "ignored" if i == IGNORE else self.classes[i] for i in ids.tolist()}
        shares = {names[i]: count / self.mask.size for i, count in zip(ids.tolist(), counts.tolist(), strict=True)}
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def overlay(self, alpha: float = OVERLAY_ALPHA) -> np.ndarray:
        """The colour frame, or the thermal one alone, with bright class colours over it: (H, W, 3) uint8.

        alpha: weight of the colours, 0..1.
        """
        return visualize.overlay(self._frames()[2], self.mask, self.palette, alpha)

    def plot(self) -> Image.Image:
        """Colour, thermal and overlay side by side, and what the colours mean."""
        rgb, thermal, _ = self._frames()
        assert self.pair is not None
        shown = {"rgb": rgb, "thermal": thermal}
        given = {name: picture for name, picture in shown.items() if getattr(self.pair, name) is not None}
        pictures = [*given.values(), self.overlay()]
        present = self.classes_present()
        colors = visualize.legend_of(self.classes, self.palette)
        legend = {f"{name} {present[name]:.1%}": color for name, color in colors.items() if name in present}
        return visualize.contact_sheet([pictures], [*given, "overlay"], legend=legend)

    def save(self, folder: str | PathLike[str], name: str = "frame") -> list[Path]:
        """Write NAME_mask.png (class ids, with the palette), NAME_overlay.png and, where there is one,
        NAME_confidence.png; their paths."""
        mask = Image.fromarray(self.mask)
        mask.putpalette(visualize.color_table(self.palette).tobytes())
        images = {"mask": mask, "overlay": Image.fromarray(self.overlay())}
        if self.confidence is not None:
            images["confidence"] = Image.fromarray(self.confidence)
        Path(folder).mkdir(parents=True, exist_ok=True)
        paths = []
        for kind, image in images.items():
            paths.append(Path(folder) / f"{name}_{kind}.png")
            with replacing(paths[-1]) as temporary:
                image.save(temporary, "PNG")
        return paths

    def __repr__(self) -> str:
        height, width = self.mask.shape
        forward = f"{self.timing.get('forward', 0):.0f} ms"
        return f"SegmentationResult({width}x{height}: {', '.join(self._shares())}; forward {forward})"

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return visualize.png(self.plot())

    def _shares(self) -> list[str]:
        return [f"{name} {share:.1%}" for name, share in self.classes_present().items()]

    def _frames(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pictures of rgb, of thermal, and of the one that the mask lies over. ValueError: made without frames."""
        if self.pair is None:
            raise ValueError("SegmentationResult: made without its frames; there is nothing to draw on")
        return visualize.camera_pictures(self.pair.rgb, self.pair.thermal)
