"""From parameter values to what works with frames: the loaded `Model`, the registration, the thermal normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sartm_ros.companions.plan import DepthPlan
from sartm_ros.frames.images import Crop
from sartm_ros.inference import fallback
from sartm_ros.inference.model import Model
from sartm_ros.node import parameter_checks

DEPTH = "depth"
"""Of `registration.mode`."""

if TYPE_CHECKING:
    from sartm_core.runtime.segmenter import Segmenter


def segmenter_of(values: dict[str, Any]) -> Segmenter:
    """The checkpoint named by the node's parameters, loaded; `untrained` is no parameter, but an option of `bag`."""
    from sartm_core.runtime.segmenter import Segmenter

    return Segmenter.load(
        values["checkpoint"],
        device=values["device"],
        precision=values["precision"],
        engine=values["engine"],
        sam2=None if values["sam2"] == parameter_checks.NONE else values["sam2"],
        input_size=parameter_checks.input_size(values),
        threads=values["threads"] or None,
        adapters=parameter_checks.adapters(values),
        untrained=values.get("untrained", False),
        lean=True,
    )


def load_segmenter(values: dict[str, Any]) -> Model:
    """Load the checkpoint named by the node's parameters and warm it up.

    Raises whatever loading raises (a missing file, an unknown device, ...); the text says what is wrong.
    """
    model = Model(segmenter_of(values), values["threads"])
    if values["warmup"]:
        model.warm_up(shrink=values["oom_fallback"] == fallback.SMALLER)
    if values["device"] == "auto" and model.device == "cpu":
        model.warnings.append("device auto: no CUDA here, the model runs on the CPU")
    return model


def registration(values: dict[str, Any]) -> Any:
    """The `Registration` the parameters describe, None without one; in mode depth the homography that stands in, unless
    it was left at its default. Raises ValueError, e.g. for a singular matrix."""
    mode = values["registration.mode"]
    if mode == "none" or (mode == DEPTH and values["registration.homography"] == parameter_checks.IDENTITY):
        return None
    from sartm_core.preprocess.registration import Registration

    sizes = tuple(values["registration.thermal_size"]), tuple(values["registration.rgb_size"])
    if mode in ("homography", DEPTH):
        return Registration(tuple(values["registration.homography"]), *sizes)
    return Registration.scale_shift(tuple(values["registration.scale"]), tuple(values["registration.shift"]), *sizes)


def depth_plan(values: dict[str, Any]) -> DepthPlan | None:
    """What mode depth needs; None in other modes."""
    if values["registration.mode"] != DEPTH:
        return None
    given = values["registration.extrinsic"] == "parameter"
    return DepthPlan(
        tuple(values["registration.rgb_to_thermal"]) if given else None,
        registration(values),
        values["registration.tolerance"],
        values["depth.tolerance"],
        values["depth.max_wait"],
        Crop(*(values[f"thermal.crop_{side}"] for side in ("top", "bottom", "left", "right"))),
        values["rgb_rectified"],
        values["thermal_rectified"],
    )


def thermal_norm(values: dict[str, Any]) -> Any:
    """The `ThermalNorm` the parameters describe; None: the one in the weights."""
    mode = values["thermal.normalization"]
    if mode == "checkpoint":
        return None
    from sartm_core.preprocess.config import ThermalNorm

    return ThermalNorm(mode, values["thermal.low"], values["thermal.high"])
