"""PyTorch as it is: no compiling, any size at once. On a GPU its kernels are launched as one CUDA graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartm_core.runtime.engines.base import Engine, Settings, Source
from sartm_core.runtime.engines.hardware import cpu_has_bf16
from sartm_core.support.device import Device
from sartm_core.support.gpu import on_gpu, replayed
from sartm_core.support.late import torch

if TYPE_CHECKING:
    from torch import Tensor


def precisions(device: Device) -> tuple[str, ...]:
    """fp16 before bf16 on a GPU: three bits more, and Jetsons before Orin lack bf16."""
    if device.type == "cpu":
        return ("bf16", "fp32", "fp16") if cpu_has_bf16() else ("fp32", "bf16", "fp16")
    return ("fp16", "bf16", "fp32")


def make(source: Source, settings: Settings) -> Engine:
    """Both modalities as one batch on a GPU, one after the other on a CPU."""
    from sartm_core.runtime.graph.graph import FoldedSARTM, Layouts

    folded = source.shared.among(FoldedSARTM(source()).to(settings.device, settings.dtype))
    layouts = Layouts(folded)
    together = on_gpu(settings.device)

    def build(rgb: Tensor | None, thermal: Tensor | None) -> Engine:
        layout = layouts.of(rgb, thermal)
        return lambda rgb, thermal: folded(rgb, thermal, layout, together)

    network = replayed(build, settings.device)

    def run(rgb: Tensor | None, thermal: Tensor | None) -> Tensor:
        with torch.inference_mode():
            return network(rgb, thermal)

    return run
