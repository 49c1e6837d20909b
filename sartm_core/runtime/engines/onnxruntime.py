"""ONNX Runtime: fp32 on the CPU, its CUDA provider on a GPU. Writes the ONNX file once per input size."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sartm_core.runtime.engines import cache
from sartm_core.runtime.engines.base import Engine, Settings, Source
from sartm_core.runtime.engines.sessions import Session, Sessions, Size, Traceable
from sartm_core.support.device import Device
from sartm_core.support.late import torch

log = logging.getLogger(__name__)

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
PROVIDERS = {
    "cuda": (CUDA, CPU),
    "cpu": (CPU,),
}
"""By device, fastest first; those are taken that the installed package has."""
INPUTS = ("rgb", "thermal", "present")
OUTPUT = "scores"
TALKATIVE = ("onnxscript", "onnx_ir")
"""Loggers."""


def precisions(device: Device) -> tuple[str, ...]:
    """fp16 needs a GPU."""
    if device.type == "cpu":
        return ("fp32",)
    return ("fp16", "fp32") if CUDA in providers_here() else ()


def providers_here() -> list[str]:
    """Providers of the installed package, none without it."""
    try:
        import onnxruntime
    except ImportError:
        return []
    return list(onnxruntime.get_available_providers())


def make(source: Source, settings: Settings) -> Engine:
    """ONNX files are kept on disk under the weights' SHA-256; with one kept, the model is not touched."""

    def path_of(size: Size) -> Path:
        return cache.path_of(
            "onnxruntime", ".onnx", weights=settings.weights, size=size, precision=settings.precision,
            version=[version("onnx"), version("torch")],
        )  # fmt: skip

    def prepare(size: Size) -> None:
        if settings.device.type == "cpu":
            source.have_ready(
                path_of(size).is_file,
                engine="onnxruntime", precision=settings.precision, threads=settings.threads, size=size,
            )  # fmt: skip

    def build(size: Size) -> Session:
        path = path_of(size)
        if settings.weights and path.is_file():
            try:
                return session_of(cache.read(path), settings)
            except Exception as error:  # of a library that has a class for every kind of damage
                log.warning("%s is of no use (%s): writing it again", path, str(error).splitlines()[0])
        from sartm_core.runtime.graph.graph import FixedGraph, FoldedSARTM

        graph = FixedGraph(FoldedSARTM(source()).to(settings.dtype), size, pixels=True)
        with tempfile.TemporaryDirectory() as folder:
            data = write_onnx(graph, Path(folder) / "network.onnx").read_bytes()
        if settings.weights:
            cache.keep(path, data)
        return session_of(data, settings)

    return Sessions(build, built=source.release, device=settings.device, prepare=prepare)


def write_onnx(
    graph: Traceable, path: Path, inputs: Sequence[str] = INPUTS, outputs: Sequence[str] = (OUTPUT,)
) -> Path:
    """The graph with inputs and outputs of these names, weights inside."""
    with torch.no_grad(), quiet():
        torch.onnx.export(
            graph.eval(), graph.example(), str(path), dynamo=True, external_data=False, input_names=list(inputs),
            output_names=list(outputs), verbose=False,
        )  # fmt: skip
    return path


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporter's libraries tell every node they fold at INFO; only their warnings come through."""
    levels = {name: logging.getLogger(name).level for name in TALKATIVE}
    for name in levels:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def wanted_providers(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    """With their options."""
    own = {CUDA: {"device_id": settings.device.number or 0}}
    here = providers_here()
    return [(name, own.get(name, {})) for name in PROVIDERS[settings.device.type] if name in here]


def session_of(model: Path | bytes, settings: Settings, inputs: Sequence[str] = INPUTS) -> Session:
    """Runs a file, or what would be in one, on the settings' device."""
    return session_by(wanted_providers(settings), model, settings, inputs)


def session_by(
    wanted: Sequence[tuple[str, dict[str, Any]]], model: Path | bytes, settings: Settings, inputs: Sequence[str]
) -> Session:
    """The same by these providers, the first that can be loaded."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads or 0
    source = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(source, options, providers=list(wanted))
    if session.get_providers()[0] != wanted[0][0]:
        log.warning("onnxruntime: %s asked for, %s runs", wanted[0][0], session.get_providers()[0])

    def run(rgb: np.ndarray, thermal: np.ndarray, present: np.ndarray) -> np.ndarray:
        return np.asarray(session.run([OUTPUT], dict(zip(inputs, (rgb, thermal, present), strict=True)))[0])

    return run
