"""What runs an ONNX file of anybody's: ONNX Runtime and OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from sartm_core.runtime.engines import openvino as ours
from sartm_core.runtime.engines.onnxruntime import PROVIDERS, providers_here

AS_EXPORTED = "as exported"
"""Every layer in the number format that the file has for it."""


@dataclass(frozen=True)
class Port:
    """An input."""

    name: str
    shape: tuple[int | None, ...]
    """None for a side that is left open."""
    dtype: str
    """As numpy calls it, or as the runtime does what numpy has not."""

    def __str__(self) -> str:
        sides = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} {self.dtype} ({sides})"


class Runtime(Protocol):
    """A file, ready to run: call it with its inputs in their order."""

    device: str

    def __init__(
        self, path: str, shapes: Sequence[tuple[int, ...]], device: torch.device, precision: str, threads: int
    ) -> None: ...

    def __call__(self, arrays: Sequence[np.ndarray]) -> None: ...

    @staticmethod
    def ports(path: str) -> list[Port]:
        """Inputs of a file. ValueError when it is none."""

    @staticmethod
    def precisions(device: torch.device) -> tuple[str, ...]:
        """Those a file can be run in, none where it does not run."""


class OnnxRuntime:
    """On a CPU or by CUDA."""

    def __init__(
        self, path: str, shapes: Sequence[tuple[int, ...]], device: torch.device, precision: str, threads: int
    ) -> None:
        wanted = [provider for provider in PROVIDERS[device.type] if provider in providers_here()]
        self.session = opened(path, wanted, threads)
        self.device = self.session.get_providers()[0]
        self.names = [port.name for port in self.session.get_inputs()]

    def __call__(self, arrays: Sequence[np.ndarray]) -> None:
        self.session.run(None, dict(zip(self.names, arrays, strict=True)))

    @staticmethod
    def ports(path: str) -> list[Port]:
        inputs = opened(path, ["CPUExecutionProvider"], 1).get_inputs()
        return [Port(i.name, sides(i.shape), named(i.type)) for i in inputs]

    @staticmethod
    def precisions(device: torch.device) -> tuple[str, ...]:
        runs = device.type == "cpu" or "CUDAExecutionProvider" in providers_here()
        return (AS_EXPORTED,) if runs else ()


def opened(path: str, providers: list[str], threads: int) -> Any:
    """An `onnxruntime.InferenceSession`. ValueError names the file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # a class for every kind of damage
        raise ValueError(f"peer: {path}: onnxruntime cannot open it ({str(error).splitlines()[0]})") from error


def sides(shape: Sequence[object]) -> tuple[int | None, ...]:
    """Names of open sides become None."""
    return tuple(side if isinstance(side, int) else None for side in shape)


def named(kind: str) -> str:
    """`tensor(float)` -> `float32`."""
    inner = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(inner, inner)


class OpenVino:
    """On a CPU, also in bf16 where it has that."""

    device = "cpu"

    def __init__(
        self, path: str, shapes: Sequence[tuple[int, ...]], device: torch.device, precision: str, threads: int
    ) -> None:
        model = read(path)
        if any(port.get_partial_shape().is_dynamic for port in model.inputs):
            model.reshape({port: list(shape) for port, shape in zip(model.inputs, shapes, strict=True)})
        hint = ours.HINTS.get(precision, ours.HINTS["fp32"])
        options = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        self.request = ours.core().compile_model(model, ours.DEVICE, options).create_infer_request()

    def __call__(self, arrays: Sequence[np.ndarray]) -> None:
        self.request.start_async(list(arrays), share_inputs=True)
        self.request.wait()

    @staticmethod
    def ports(path: str) -> list[Port]:
        return [
            Port(
                port.get_any_name(),
                tuple(side.get_length() if side.is_static else None for side in port.get_partial_shape()),
                port.get_element_type().to_dtype().name,
            )
            for port in read(path).inputs
        ]

    @staticmethod
    def precisions(device: torch.device) -> tuple[str, ...]:
        return tuple(AS_EXPORTED if name == "fp32" else name for name in ours.precisions(device))


def read(path: str) -> Any:
    """An `openvino.Model`. ValueError names the file."""
    try:
        return ours.core().read_model(path)
    except RuntimeError as error:
        raise ValueError(f"peer: {path}: openvino cannot open it ({str(error).splitlines()[0]})") from error


RUNTIMES: dict[str, type[Runtime]] = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}
"""By the name of their package."""
