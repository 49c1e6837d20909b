"""The model on the pairs of a recording: the same conversion, preprocessing and class map as in the node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sartm_ros.bags.depth import Beside
from sartm_ros.bags.pairs import BagPair
from sartm_ros.bags.storage import BagError
from sartm_ros.inference.jobs import Request
from sartm_ros.inference.model import Model
from sartm_ros.node.class_map import ClassMap
from sartm_ros.node.settings import Settings
from sartm_ros.node.weights import segmenter_of


@dataclass(frozen=True, eq=False)
class Segmented:
    """A pair's pixels and what the model says of them."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    thermal: np.ndarray
    """(h, w) uint8, uint16 or float32, cropped and scaled."""
    mask: np.ndarray
    """(H, W) uint8 ids of the model, 255 below the confidence threshold."""
    confidence: np.ndarray | None
    """(H, W) uint8."""


class BagModel:
    """A loaded model with the settings of the node."""

    def __init__(self, values: dict[str, Any]) -> None:
        """BagError or ValueError names the parameter."""
        try:
            self.model = Model(segmenter_of(values), values["threads"])
        except OSError as error:
            raise BagError(f"--checkpoint {values['checkpoint']}: {error}") from error
        self.weights = self.model.weights(values["adapter"])
        self.settings = Settings.of(values, self.model)
        assert self.settings.class_map is not None
        self.class_map: ClassMap = self.settings.class_map
        self.beside: Beside | None = None
        """For mode depth."""

    def __call__(self, pair: BagPair, confidence: bool) -> Segmented:
        """Segment one pair. ImageError when a frame's pixels cannot be read."""
        s = self.settings
        rgb, thermal = pair.rgb.rgb(), pair.thermal.thermal(s.scale, s.offset)
        registration = s.registration if self.beside is None else self.beside.registration(pair)
        request = Request(rgb, thermal, registration, s.thermal_norm, s.threshold, confidence, s.adapter)
        result = self.model.batch([request])[0]
        return Segmented(rgb, thermal, result.mask, result.confidence)
