"""Probes of the main job: Python, torch and its device, the shipped weights, and a mask."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from sartm_core.doctor.findings import BROKEN, MISSING, NOTE, OK, Finding

NVIDIA = ("/proc/driver/nvidia/version", "/etc/nv_tegra_release")
"""Files that the driver of a graphics card and a Jetson's system bring."""
CAMERA = (480, 640)
DIGITS = 12
"""Of a SHA-256."""
GIB = 2**30
AGAIN = "install SARTM again, or git checkout sartm_core/weights"


def python() -> Iterator[Finding]:
    yield Finding(OK, "Python", f"{platform.python_version()}, {sys.executable}")


def torch_and_device() -> Iterator[Finding]:
    import torch

    built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for CPUs"
    yield Finding(OK, "torch", f"{torch.__version__}, built {built}")
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            gpu = torch.cuda.get_device_properties(i)
            yield Finding(OK, f"cuda:{i}", f"{gpu.name}, {gpu.total_memory / GIB:.0f} GiB")
        return
    threads = torch.get_num_threads()
    cpu = f"{threads} thread{'s' * (threads > 1)}"
    if not any(Path(path).is_file() for path in NVIDIA):
        yield Finding(OK, "cpu", f"{cpu}; no GPU")
    elif torch.version.cuda:
        remedy = f"nvidia-smi must say CUDA {torch.version.cuda} or newer; in a container: docker run --gpus all"
        yield Finding(NOTE, "cpu", f"{cpu}; torch cannot use the NVIDIA GPU", remedy)
    else:
        remedy = "take the torch for your CUDA: https://pytorch.org/get-started/locally"
        yield Finding(NOTE, "cpu", f"{cpu}; there is an NVIDIA GPU, and this torch is for CPUs only", remedy)


def weights() -> Iterator[Finding]:
    """The shipped ones: there and readable; without the packages of its backbones the import fails."""
    from sartm_core.model.checkpoint import read_metadata, sha256
    from sartm_core.runtime.opening import default_checkpoint

    path = default_checkpoint()
    if not path.is_file():
        yield Finding(MISSING, "weights", f"no file {path}", AGAIN)
        return
    try:
        model = read_metadata(path)["model"]
    except ValueError as error:
        yield Finding(BROKEN, "weights", str(error), AGAIN)
        return
    classes, digest = ", ".join(model["classes"]), sha256(path)[:DIGITS]
    yield Finding(OK, "weights", f"{path}, sha256 {digest}, {model['backbone']}: {classes}")


def masks() -> Iterator[Finding]:
    """The shipped weights on two black frames, by the engine that compiles nothing."""
    import numpy as np

    from sartm_core.runtime.segmenter import Segmenter

    segmenter = Segmenter.load("default", engine="torch", precision="fp32")
    frames = np.zeros((*CAMERA, 3), np.uint8), np.zeros(CAMERA, np.uint16)
    segmenter.check(*frames)
    found = f"the weights open; finite scores for a black pair on {segmenter.device}, {segmenter.precision}"
    yield Finding(OK, "masks", found)
