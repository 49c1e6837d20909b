"""What the network would see of the frames: the same look at them that a training takes at its start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sartm_core.check_data.findings import Findings
from sartm_core.check_data.frame import read_images
from sartm_core.data.pairs import Pairs, spread_over
from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.preprocess.statistics import Frame, InputStatistics, input_statistics, judge
from sartm_core.support.fields import from_dict, load_yaml

MODES = ("percentile", "standardise", "unit")
"""Without a configuration; `range` has no values of its own."""


@dataclass(frozen=True)
class Look:
    """One camera through one way of preprocessing."""

    mode: str
    """Of the thermal normalisation; empty for rgb."""
    statistics: InputStatistics
    refused: bool
    message: str
    """What is wrong and what to set; empty for nothing."""

    def as_dict(self) -> dict[str, Any]:
        return {"mode": self.mode, **asdict(self.statistics), "refused": self.refused, "message": self.message}


def read_preprocess(path: Path | None) -> PreprocessConfig | None:
    """The section `preprocess` of a training's configuration."""
    return None if path is None else from_dict(PreprocessConfig, load_yaml(path).get("preprocess") or {}, "preprocess.")


def check_inputs(splits: dict[str, Pairs], config: PreprocessConfig | None, findings: Findings) -> list[Look]:
    """By the configuration, whose faults are findings; without one by the modes that need no values."""
    frames = splits.get("train") or next((f for f in splits.values() if len(f)), None)
    if frames is None:
        return []
    images = list(readable(frames))
    configs = [config] if config else [PreprocessConfig(thermal=ThermalNorm(mode)) for mode in MODES]
    looks: dict[tuple[str, str], Look] = {}
    for one in configs:
        for found in input_statistics(images, one):
            problem, mode = judge(found, one), one.thermal.mode if found.camera == "thermal" else ""
            message = problem.message if problem else ""
            looks[found.camera, mode] = Look(mode, found, bool(problem and problem.refuse), message)
    for look in looks.values() if config else ():
        if look.message:
            (findings.fault if look.refused else findings.warn)("input", frames.root, look.message)
    return list(looks.values())


def readable(frames: Pairs) -> Iterator[Frame]:
    """Images of some frames; what is wrong with them is told elsewhere."""
    for name in spread_over(frames.names):
        images = read_images(frames, name, Findings(frames.root))
        rgb, thermal = images.get("rgb"), images.get("thermal")
        yield rgb, thermal if thermal is not None and np.isfinite(thermal).any() else None


def input_lines(looks: list[dict[str, Any]]) -> list[str]:
    """A line each, for reading."""
    return [
        f"  {row['camera'] + ' ' + row['mode']:<22} mean {row['mean']:.3g}, spread {row['spread']:.3g}, "
        f"{row['clipped']:.0%} clipped (camera {row['raw'][0]:.6g} to {row['raw'][1]:.6g}, {row['frames']} frames)"
        + (("; train refuses it" if row["refused"] else "; train warns") if row["message"] else "")
        for row in looks
    ]
