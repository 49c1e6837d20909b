"""One file that says how a GPU does: what it is, what runs on it, and the benchmark of every engine and precision."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from sartm_core.benchmark.config import BenchmarkConfig
from sartm_core.benchmark.report import report
from sartm_core.benchmark.run import benchmark
from sartm_core.runtime.engines.onnxruntime import providers_here
from sartm_core.support.device import pick_device
from sartm_core.support.reports import markdown_table, versions

NAME = "gpu-report"
PACKAGES = ("torch", "onnxruntime-gpu", "onnxruntime", "tensorrt", "triton", "openvino", "sartm_ros")
FILES = {
    "board": "/proc/device-tree/model",
    "Jetson Linux": "/etc/nv_tegra_release",
    "driver": "/proc/driver/nvidia/version",
}
"""What the system says of itself, by name."""
COMMANDS = {
    "nvidia-smi": (
        "nvidia-smi", "--query-gpu=name,driver_version,memory.total,power.limit,clocks.max.sm", "--format=csv,noheader",
    ),
    "power mode": ("nvpmodel", "-q"),
    "TensorRT packages": ("dpkg-query", "-W", "libnvinfer*"),
}  # fmt: skip
"""The same, from programs."""
PATIENCE = 20
"""Seconds for each of them."""
UNKNOWN = "not readable"


def measure(config: BenchmarkConfig) -> tuple[dict[str, Any], str]:
    """For programs and for people. ValueError where there is no GPU, with what is missing, unless `device` is cpu."""
    lacking = missing()
    if config.device == "auto" and not torch.cuda.is_available():
        raise ValueError(
            f"gpu-report: no GPU that can be measured: {'; '.join(lacking)}. To try the way with the CPU: --device cpu"
        )
    about, found = facts(), benchmark(config)
    text = in_words(about, lacking, pick_device(config.device).type) + report(found)
    return {"gpu": about, "missing": lacking, "benchmark": asdict(found)}, text


def missing() -> list[str]:
    """In words, what keeps this machine or a part of the engines from a GPU."""
    found = []
    if not torch.cuda.is_available():
        built = torch.version.cuda
        found.append(
            f"torch {torch.__version__} "
            + (f"is built for CUDA {built} but finds no GPU or driver" if built else "is built for the CPU only")
        )
    if not any(has(name) for name in ("nvidia-smi", "nvpmodel")) and not Path(FILES["driver"]).is_file():
        found.append("no NVIDIA driver")
    here = providers_here()
    for provider, engine in (("CUDAExecutionProvider", "onnxruntime"), ("TensorrtExecutionProvider", "tensorrt")):
        if provider not in here:
            found.append(f"engine {engine}: the installed onnxruntime has no {provider}" if here else "no onnxruntime")
    return list(dict.fromkeys(found))


def has(program: str) -> bool:
    return shutil.which(program) is not None


def facts() -> dict[str, Any]:
    """GPUs as torch sees them, versions, and what the system says, as far as it does."""
    properties = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return {
        "gpus": [
            {
                "name": own.name, "compute capability": f"{own.major}.{own.minor}",
                "multiprocessors": own.multi_processor_count, "memory GB": round(own.total_memory / 1e9, 1),
            }
            for own in properties
        ],
        "CUDA of torch": torch.version.cuda,
        "cuDNN": torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None,
        "versions": {**dict.fromkeys(PACKAGES), **versions(PACKAGES)},
        "providers of onnxruntime": providers_here() if find_spec("onnxruntime") else None,
        "system": {name: read(Path(path)) for name, path in FILES.items()}
        | {name: said(command) for name, command in COMMANDS.items()},
    }  # fmt: skip


def read(path: Path) -> str | None:
    """None where there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def said(command: tuple[str, ...]) -> str | None:
    """What a program prints; None where it is not there or does not do."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def in_words(about: dict[str, Any], lacking: list[str], device: str) -> str:
    """What stands above the benchmark's tables."""
    parts = ["# GPU report"]
    if device != "cuda":
        parts.append(f"**No GPU was measured: this ran on {device}, to try the way.**")
    gpus = [", ".join(f"{name} {value}" for name, value in gpu.items()) for gpu in about["gpus"]]
    lines = [("what", "found"), ("GPU", "; ".join(gpus) or "none that torch sees")]
    lines += [(name, shown(about[name])) for name in ("CUDA of torch", "cuDNN", "providers of onnxruntime")]
    lines += [(name, shown(value)) for name, value in (about["versions"] | about["system"]).items()]
    parts.append(markdown_table(lines))
    if lacking:
        parts.append("Missing: " + "; ".join(lacking) + ".")
    return "\n\n".join(parts) + "\n\n"


def shown(value: Any) -> str:
    """On one line of a table."""
    text = ", ".join(value) if isinstance(value, list) else str(value or UNKNOWN)
    return " / ".join(text.replace("|", "/").splitlines())
