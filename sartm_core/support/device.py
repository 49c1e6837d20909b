"""Where the network runs, by name: `cpu` or `cuda:1`. torch takes these wherever it takes a `torch.device`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sartm_core.support.late import has_torch, torch

DRIVERS = ("nvidiactl", "nvidia0", "nvhost-gpu", "nvhost-ctrl-gpu", "nvgpu", "kfd", "dxg")
"""Files of /dev by which torch finds a GPU: of NVIDIA's driver, those of Jetsons, of AMD's and of WSL."""
NAMES = re.compile(r"cpu|cuda(:\d+)?")


class Device(str):
    """A device's name; `type` as of a `torch.device`."""

    __slots__ = ()

    @property
    def type(self) -> str:
        """`cpu` or `cuda`."""
        return self.partition(":")[0]

    @property
    def number(self) -> int | None:
        """Which of several; None: the first."""
        number = self.partition(":")[2]
        return int(number) if number else None


CPU = Device("cpu")


def pick_device(device: str) -> Device:
    """ "auto" is CUDA where torch finds it, else CPU. ValueError when the named device is not there."""
    if device == "auto":
        return Device("cuda" if may_have_gpu() and torch.cuda.is_available() else "cpu")
    if not NAMES.fullmatch(device):
        raise ValueError(f"device: got {device!r}, expected auto, cpu, cuda or cuda:N")
    picked = Device(device)
    if picked.type == "cuda" and (not torch.cuda.is_available() or (picked.number or 0) >= torch.cuda.device_count()):
        raise ValueError(
            f"device: {device!r} asked for, torch sees {torch.cuda.device_count()} CUDA devices; use auto or cpu"
        )
    return picked


def may_have_gpu() -> bool:
    """Whether it is worth to ask torch, which takes its time to import."""
    return has_torch() or sys.platform != "linux" or any((Path("/dev") / name).exists() for name in DRIVERS)
