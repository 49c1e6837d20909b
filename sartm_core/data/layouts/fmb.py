"""FMB."""

from __future__ import annotations

from sartm_core.data.pairs import PartedPairs
from sartm_core.support.classes import FMB


class FMBPairs(PartedPairs):
    """FMB as published; where `Label/` (ids) is missing, `color/` (palette colours) is taken."""

    expects = "train/ and test/ with Visible/, Infrared/ and Label/ each (FMB)"
    folders = {"rgb": ("Visible",), "thermal": ("Infrared",), "label": ("Label", "color")}
    labels = FMB
