"""All that is CUDA's own: how a frame gets to a GPU, through it and back. On a CPU the same calls do next to nothing.

    with queue(device):                           # all below is queued in one stream; this thread runs ahead of it
        image = upload(array, device)             # the camera's own bytes, by way of pinned memory
        scores = run(image)                       # run = replayed(...): a network's kernels launched as one CUDA graph
        leaving = Leaving([{"mask": mask}], device)  # every result in one block of bytes, on its way to pinned memory
        arrays = leaving.arrays()                 # the one wait of a frame

Pinned memory is torch's: what a frame gave back the next one gets, once the copy is through. No GPU has run this file
yet; `test/core/fake_gpu.py` stands in for one and counts copies, waits and launches.
"""

from __future__ import annotations

import logging
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from sartm_core.support.device import Device
from sartm_core.support.late import has_torch, torch

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

warnings.filterwarnings(
    "ignore", "The given NumPy array is not writable"
)  # frames of messages are read only, by us too

GRAPHS_KEPT = 16
"""CUDA graphs of an engine: a size, a set of cameras and a number of pairs each. They share their memory."""
LAPS = 10
"""Of a stopwatch's graph."""
MS, MIB = 1e3, 2**20
Run = Callable[..., "Tensor"]
"""Tensors, some may be None -> a tensor."""


def on_gpu(device: str | torch.device) -> bool:
    """Whether work for it is queued, and its memory apart."""
    return str(device).partition(":")[0] == "cuda"


# In and out


def upload(image: np.ndarray, device: str | torch.device) -> Tensor:
    """An array as a contiguous tensor. CPU: the array's own memory, to be read only, where it is contiguous.

    CUDA: by way of pinned memory, without waiting.
    """
    if not on_gpu(device):
        return torch.from_numpy(np.ascontiguousarray(image)).to(device)
    pinned = torch.empty(image.shape, dtype=torch.from_numpy(image[:0]).dtype, pin_memory=True)
    np.copyto(pinned.numpy(), image)
    return pinned.to(device, non_blocking=True)


class Leaving:
    """Tensors on their way to numpy, by frame and name: one copy and one wait for all of them. A CPU has arrays too."""

    def __init__(self, frames: Sequence[Mapping[str, Any]], device: Device | torch.device) -> None:
        self._frames = frames
        self._pinned: Tensor | None = None
        if on_gpu(device):
            parts = [x.contiguous().view(-1).view(torch.uint8) for frame in frames for x in frame.values()]
            block = torch.cat(parts)  # (bytes,)
            self._pinned = torch.empty(block.shape, dtype=torch.uint8, pin_memory=True)
            self._pinned.copy_(block, non_blocking=True)
        self.there = Moment(device)
        """When they arrive."""

    def arrays(self) -> list[dict[str, np.ndarray]]:
        """Wait, then give them out. Memory of their own: pinned memory is dear, and results are kept."""
        if self._pinned is None:
            return [{name: np.ascontiguousarray(x) for name, x in frame.items()} for frame in self._frames]
        self.there.wait()
        block, place = self._pinned.numpy(), 0
        found: list[dict[str, np.ndarray]] = []
        for frame in self._frames:
            found.append({})
            for name, x in frame.items():
                part = block[place : place + x.nbytes]
                found[-1][name] = part.view(numpy_type(x.dtype)).reshape(tuple(x.shape)).copy()
                place += x.nbytes
        return found


@cache
def numpy_type(dtype: torch.dtype) -> np.dtype:
    return torch.empty(0, dtype=dtype).numpy().dtype


# In between


@contextmanager
def queue(device: Device | torch.device) -> Iterator[None]:
    """Work of the block goes to one stream of ours, whichever thread it is from, so that no other library's work on the
    default stream is in its way. The caller's stream is behind it afterwards, by the GPU's own means: nobody waits."""
    if not on_gpu(device):
        yield
        return
    own, callers = stream_of(device), torch.cuda.current_stream(device)
    if own == callers:
        yield
        return
    own.wait_stream(callers)
    try:
        with torch.cuda.stream(own):
            yield
    finally:
        callers.wait_stream(own)


@cache
def stream_of(device: Device | torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


class Moment:
    """The end of what was queued so far; on a CPU, now."""

    def __init__(self, device: Device | torch.device) -> None:
        self._event: Any = None
        self._seconds = perf_counter()
        if on_gpu(device):
            self._event = torch.cuda.Event(enable_timing=True, blocking=True)  # blocking: to wait costs no CPU
            self._event.record()

    def wait(self) -> None:
        """Until it has come."""
        if self._event is not None:
            self._event.synchronize()

    def until(self, later: Moment) -> float:
        """Seconds; on a GPU once both have come."""
        if self._event is None:
            return later._seconds - self._seconds
        return float(self._event.elapsed_time(later._event)) / MS


# CUDA graphs


def replayed(build: Callable[..., Run], device: Device | torch.device) -> Run:
    """A function of tensors that on a GPU is launched as one CUDA graph.

    build(*inputs): what runs inputs of these shapes; called where they are new.
    """
    return Replayed(build, device) if on_gpu(device) else lambda *inputs: build(*inputs)(*inputs)


@dataclass(eq=False)
class Kept:
    """What runs inputs of one kind. A graph remembers only where its constants lie; `run` keeps them alive."""

    run: Run
    inputs: tuple[Tensor | None, ...]
    """Memory that the graph reads."""
    graph: torch.cuda.CUDAGraph | None = None
    output: Tensor | None = None
    """Memory that it writes."""
    fresh: bool = True
    """Not called yet: libraries allocate and choose at the first call, which no graph may contain."""


class Replayed:
    """For inputs of the same shapes: the first call runs as it is, the second is recorded, all others are replayed."""

    def __init__(self, build: Callable[..., Run], device: Device | torch.device) -> None:
        self._build, self._device = build, device
        self._kept: OrderedDict[tuple[Any, ...], Kept] = OrderedDict()
        self._pool: Any = None
        self._lock = Lock()  # between filling a graph's inputs and taking its output

    def __call__(self, *inputs: Tensor | None) -> Tensor:
        with self._lock, queue(self._device):  # nothing can be recorded on the default stream
            try:
                return self._run(inputs)
            except torch.cuda.OutOfMemoryError:
                self._kept.clear()  # who tries again with less finds their memory free
                raise

    def _run(self, inputs: tuple[Tensor | None, ...]) -> Tensor:
        kept = self._of(inputs)
        if kept.fresh:
            kept.fresh = False
            return kept.run(*inputs)
        if kept.graph is None and kept.inputs:
            self._record(kept)
        if kept.graph is None or kept.output is None:
            return kept.run(*inputs)
        refill(kept.inputs, inputs)
        kept.graph.replay()
        return kept.output.clone()  # the next replay writes there again

    def _of(self, inputs: tuple[Tensor | None, ...]) -> Kept:
        key = tuple(None if x is None else (x.shape, x.dtype) for x in inputs)
        if key not in self._kept:
            if len(self._kept) == GRAPHS_KEPT:
                self._kept.popitem(last=False)  # that of the longest ago
            self._kept[key] = Kept(self._build(*inputs), tuple(None if x is None else x.clone() for x in inputs))
        self._kept.move_to_end(key)
        return self._kept[key]

    def _record(self, kept: Kept) -> None:
        """One log line where it does not work; then kernels are launched one by one, as before."""
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        try:
            kept.graph, kept.output = recorded(lambda: kept.run(*kept.inputs), self._device, self._pool)
        except RuntimeError as error:
            shapes = [None if x is None else tuple(x.shape) for x in kept.inputs]
            log.warning("no CUDA graph for inputs %s: %s", shapes, str(error).splitlines()[0])
            kept.inputs, kept.output = (), None


def recorded(
    run: Callable[[], Any], device: Device | torch.device, pool: Any = None
) -> tuple[torch.cuda.CUDAGraph, Any]:
    """What it launches as a graph, and what it returned: memory that each replay writes. RuntimeError: it waits."""
    graph, own = torch.cuda.CUDAGraph(), torch.cuda.current_stream(device)
    with torch.cuda.graph(graph, pool=pool, stream=own, capture_error_mode="thread_local"):
        output = run()
    return graph, output


def refill(there: Sequence[Tensor | None], given: Sequence[Tensor | None]) -> None:
    """Copy into memory of the same shapes."""
    for memory, values in zip(there, given, strict=True):
        if memory is not None and values is not None:
            memory.copy_(values, non_blocking=True)


# For benchmarks


def synchronize(device: Device | torch.device) -> None:
    """Wait until the device has done what it was given; a CPU always has."""
    if on_gpu(device):
        torch.cuda.synchronize(device)


def stopwatch(run: Callable[[], object], device: Device | torch.device) -> Callable[[], float]:
    """What runs it and gives the seconds of once. On a GPU the mean of `LAPS`, launched as one graph and timed by the
    GPU itself: a small product takes less than its launch."""
    if on_gpu(device):
        with queue(device):
            run()
            graph, _ = recorded(lambda: [run() for _ in range(LAPS)], device)

    def seconds() -> float:
        with queue(device):
            begun = Moment(device)
            graph.replay() if on_gpu(device) else run()
            ended = Moment(device)
        ended.wait()
        return begun.until(ended) / (LAPS if on_gpu(device) else 1)

    return seconds


# Memory


def held_mib(device: Device | torch.device) -> float | None:
    """MiB of the GPU that torch holds, what CUDA graphs keep for their next replay among them; None on a CPU."""
    return torch.cuda.memory_reserved(device) / MIB if on_gpu(device) else None


def most_held(device: Device | torch.device) -> int:
    """The most since the start, or since `forget_most_held`."""
    return torch.cuda.max_memory_reserved(device)


def forget_most_held(device: Device | torch.device) -> None:
    """Give back what nothing is in, and count from there."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)


def give_back() -> None:
    """To the GPU, what nothing is in."""
    if has_torch() and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
