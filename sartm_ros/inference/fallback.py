"""What to do when GPU memory runs out: fewer cameras at a time, a smaller input, the CPU, or no masks at all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

SMALLER, CPU, INACTIVE = "smaller", "cpu", "inactive"
PHRASES = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "Failed to allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the GPU has no memory left. torch is not imported for the question."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and any(phrase.lower() in str(error).lower() for phrase in PHRASES)
    )


def load(load_model: Callable[[dict[str, Any]], Any], values: dict[str, Any]) -> Any:
    """Load a model; when the GPU cannot even hold it and `oom_fallback` is not `inactive`, load it on the CPU."""
    try:
        return load_model(values)
    except Exception as error:
        if not is_out_of_memory(error) or values["oom_fallback"] == INACTIVE or values["device"] == CPU:
            raise
        reason = f"{type(error).__name__}: {error}"
    free_memory()
    return on_cpu(load_model, values, reason)


def on_cpu(load_model: Callable[[dict[str, Any]], Any], values: dict[str, Any], reason: str) -> Any:
    """The model on the CPU, with a note that tells why."""
    model = load_model(values | {"device": CPU, "precision": "auto", "oom_fallback": INACTIVE})
    model.note = f"on the CPU after the GPU ran out of memory ({reason.splitlines()[0][:120]})"
    return model


def free_memory() -> None:
    """Give what dropped models held back to the GPU, if anything was loaded. After a CUDA fault nothing is freed."""
    if "sartm_core.runtime.segmenter" in sys.modules:
        with suppress(RuntimeError):
            sys.modules["sartm_core.runtime.segmenter"].Segmenter.free_memory()
