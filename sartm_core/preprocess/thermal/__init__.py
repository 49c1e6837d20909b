"""Ways to bring a thermal camera's values to about 0..1: one file each, and one line here.

Such a file has `normalized(thermal, norm)`, (H, W) uint8 | uint16 | float32 -> (H, W) float32, and the same for
exported graphs, `traced(values, norm, dtype)`, a tensor (H, W) float32 of a camera with pixels of `dtype` -> the same;
and `CLIP`, what its values are cut to.
"""

from __future__ import annotations

from typing import Any

from sartm_core.support.tables import entry

THERMAL_MODES = {
    "percentile": "percentile",
    "range": "range",
    "unit": "unit",
    "standardise": "standardise",
}
"""`ThermalNorm.mode` -> its file in this folder."""


def mode_of(name: str) -> Any:
    """The file of a mode."""
    return entry(__name__, THERMAL_MODES[name])
