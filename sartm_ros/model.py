"""The one place where the node meets the model: parameters in, a ready `sartm_core.segmenter.Segmenter` out."""

from __future__ import annotations

from typing import Any

WARMUP_SIZE = (480, 640)


def load_segmenter(values: dict[str, Any]) -> Any:
    """Load the checkpoint named by the node's parameters and warm it up. torch is imported here, not with the module.

    Raises whatever loading raises (a missing file, an unknown device, ...); the text says what is wrong.
    """
    import torch

    from sartm_core.preprocess import ThermalNorm
    from sartm_core.segmenter import Segmenter

    if values["threads"]:
        torch.set_num_threads(values["threads"])
    mode = values["thermal.normalization"]
    thermal = None if mode == "checkpoint" else ThermalNorm(mode, values["thermal.low"], values["thermal.high"])
    segmenter = Segmenter.load(
        values["checkpoint"],
        device=values["device"],
        precision=values["precision"],
        engine=values["engine"],
        sam2=None if values["sam2"] == "none" else values["sam2"],
        thermal=thermal,
    )
    if values["warmup"]:
        segmenter.warmup(*WARMUP_SIZE)
    return segmenter
