"""What runs the network: a table of engines, and the choice of device and number format."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sartm_core.fields import one_of
from sartm_core.model.sartm import SARTM

PRECISIONS: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
AUTO_PRECISION = {"cpu": "fp32", "cuda": "fp16"}

Engine = Callable[[Tensor | None, Tensor | None, tuple[int, int]], Tensor]
"""Model inputs (N, 3, H, W), (N, 1, H, W), one may be None, and the size of the logits -> logits (N, C, *size)."""


def torch_engine(model: SARTM, device: torch.device, dtype: torch.dtype) -> Engine:
    """Eager PyTorch with folded adapters; reduced precision by autocast."""
    model = model.to(device).eval().fold()

    def run(rgb: Tensor | None, thermal: Tensor | None, size: tuple[int, int]) -> Tensor:
        with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            return model(rgb, thermal, size=size).logits

    return run


ENGINES: dict[str, Callable[[SARTM, torch.device, torch.dtype], Engine]] = {"torch": torch_engine}


def pick_device(device: str) -> torch.device:
    """ "auto" is CUDA where torch finds it, else CPU. ValueError when the named device is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device: got {device!r}, expected auto, cpu, cuda or cuda:N") from error
    if picked.type == "cuda" and (not torch.cuda.is_available() or (picked.index or 0) >= torch.cuda.device_count()):
        raise ValueError(
            f"device: {device!r} asked for, torch sees {torch.cuda.device_count()} CUDA devices; use auto or cpu"
        )
    return picked


def pick_precision(precision: str, device: torch.device) -> str:
    """ "auto" by device. ValueError for an unknown one."""
    one_of("Segmenter", "precision", precision, ("auto", *PRECISIONS))
    return AUTO_PRECISION.get(device.type, "fp32") if precision == "auto" else precision
