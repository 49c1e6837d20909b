"""PST900."""

from __future__ import annotations

from sartm_core.data.pairs import PartedPairs
from sartm_core.support.classes import PST900


class PST900Pairs(PartedPairs):
    """PST900 as published. Where `thermal/` (8 bit) is missing, `thermal_raw/` (16 bit) is taken."""

    expects = "train/ and test/ with rgb/, thermal/ (or thermal_raw/) and labels/ each (PST900)"
    folders = {"rgb": ("rgb",), "thermal": ("thermal", "thermal_raw"), "label": ("labels",)}
    labels = PST900
