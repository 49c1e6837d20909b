"""TensorRT by ONNX Runtime's provider: the fastest on NVIDIA GPUs, after a build of minutes that is kept on disk.

The build is done by a process of its own (`building.py`): it can be stopped, and takes its memory with it.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sartm_core.runtime.engines import building, cache, onnxruntime
from sartm_core.runtime.engines.base import Engine, Settings, Source
from sartm_core.runtime.engines.onnxruntime import CUDA, INPUTS, Session, Sessions, Size, providers_here, write_onnx
from sartm_core.support.device import Device
from sartm_core.support.files import cache_folder
from sartm_core.support.late import torch
from sartm_core.support.reports import versions

log = logging.getLogger(__name__)

TENSORRT = "TensorrtExecutionProvider"
NEEDS = (
    "an NVIDIA GPU and an onnxruntime with TensorRT's provider: pip uninstall onnxruntime; pip install onnxruntime-gpu "
    "tensorrt; on a Jetson the wheel of its JetPack, docs/jetson.md"
)
PATIENCE = 1800.0
"""Seconds that a build may take."""
DONE = "built"
"""File that says a folder holds everything a session needs."""


def precisions(device: Device) -> tuple[str, ...]:
    """On a GPU, where the installed onnxruntime has the provider."""
    return ("fp16", "fp32") if device.type == "cuda" and TENSORRT in providers_here() else ()


def make(source: Source, settings: Settings) -> Engine:
    """What was built is kept under the weights' SHA-256."""

    def build(size: Size) -> Session:
        from sartm_core.runtime.graph.graph import FixedGraph, FoldedSARTM

        with tempfile.TemporaryDirectory() as folder:
            graph = FixedGraph(FoldedSARTM(source()).to(settings.dtype), size)  # TensorRT has no arithmetic of pixels
            data = write_onnx(graph, Path(folder) / "network.onnx").read_bytes()
        return session_of(data, settings, size)

    return Sessions(build, pixels=False, built=source.release, device=settings.device)


def session_of(network: bytes, settings: Settings, size: Size, inputs: Sequence[str] = INPUTS) -> Session:
    """Runs what would be in an ONNX file. Where TensorRT is not ready in time, CUDA runs it, with a warning.

    ValueError when the build fails, as where the provider cannot be loaded.
    """
    folder = engine_folder(network, settings)
    providers = [(TENSORRT, options(settings, folder)), *onnxruntime.wanted_providers(settings)]
    if not (folder / DONE).is_file():
        log.info("TensorRT builds the network for %dx%d, once; this takes minutes. It is kept in %s", *size, folder)
        try:
            building.build(network, providers, folder / DONE, PATIENCE)
        except TimeoutError as error:
            log.warning("TensorRT: %s. %s runs the network meanwhile; the next start tries again", error, CUDA)
            return onnxruntime.session_of(network, settings, inputs)
    return onnxruntime.session_by(providers, network, settings, inputs)


def engine_folder(network: bytes, settings: Settings) -> Path:
    """Where what is built for a network is kept: engines fit one GPU and one TensorRT only."""
    return cache.path_of(
        "tensorrt", "", network=cache.seal(network).hex(), gpu=gpu_name(settings.device), precision=settings.precision,
        versions=versions(("onnxruntime-gpu", "onnxruntime", "tensorrt")),
    )  # fmt: skip


def gpu_name(device: Device) -> str:
    """ "" where torch sees none, as with an onnxruntime for the GPU beside a torch for the CPU."""
    return torch.cuda.get_device_name(device) if torch.cuda.is_available() else ""


def options(settings: Settings, folder: Path) -> dict[str, Any]:
    """Of the provider. int8 is in the file (Q/DQ), its rest in fp32."""
    return {
        "device_id": settings.device.number or 0,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(cache_folder() / "engines"),
        "trt_fp16_enable": settings.precision == "fp16",
        "trt_layer_norm_fp32_fallback": settings.precision == "fp16",
        "trt_int8_enable": settings.precision == "int8",
    }
