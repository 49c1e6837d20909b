"""A CUDA device that is not there: the code runs as on a GPU, its tensors are computed by the CPU, and what costs is
counted.

    gpu = FakeGpu(monkeypatch)
    with gpu: ...
    gpu.counts                  # Counter of the names below

Tensors say `device='cuda:0'`; every operation on them comes by `__torch_dispatch__`. As on a real one:
- whoever reads a value (`.item()`, `bool`, boolean indices, `nonzero`) waits for all that was queued; so does a copy
  from or to memory that is not pinned, or without `non_blocking`
- what a copy brings to pinned memory is there after a wait, not before; what it takes from there must stay until then
- a stream sees what another one made only after it waited for it
- while a CUDA graph is recorded nothing can be waited for or copied; a replay reads and writes the memory of then, and
  memory that was freed since is garbage
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map

from test.core.fake_gpu_parts import Lent, OnGpu, Stream, as_bytes, check, is_mask, is_view, shares_memory

COPIES_IN, BYTES_IN, COPIES_OUT, WAITS, KERNELS, GRAPHS = (
    "copies in",
    "bytes in",
    "copies out",
    "waits",
    "kernels",
    "graphs",
)
COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default,
    aten._unique2.default, aten.unique_dim.default, aten.bincount.default, aten.repeat_interleave.Tensor,
}  # fmt: skip
"""Operations whose result, or its size, the CPU must know."""
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
WHOLE = {aten.scaled_dot_product_attention.default, aten.batch_norm.default}
"""Their parts depend on what the GPU can do."""
FREE = {aten.empty.memory_format, aten.empty_like.default, aten.empty_strided.default, aten.new_empty.default}
"""Memory alone."""
GARBAGE = 0xA5


class FakeGpu(TorchDispatchMode):
    """The device, and `torch.cuda` for it while the monkeypatch lasts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.stream = Stream()
        self.streams = {self.stream}
        self.refuses_graphs = False
        self.pinned: list[torch.Tensor] = []
        self._moment = 0
        self._done = 0
        self._pending: list[tuple[int, Callable[[], None]]] = []
        self._recording: list[tuple[Any, Any, Any, Any]] | None = None
        self._own: set[int] = set()
        monkeypatch.setattr(torch.__future__, "get_overwrite_module_params_on_conversion", lambda: True)
        torch._C._ensureCUDADeviceGuardSet()  # type: ignore[attr-defined]
        for name, stand_in in self._torch_cuda().items():
            monkeypatch.setattr(torch.cuda, name, stand_in)

    def __enter__(self) -> FakeGpu:
        torch._C._set_only_lift_cpu_tensors(True)  # type: ignore[attr-defined]  # `torch.tensor` of lists comes by, too
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        torch._C._set_only_lift_cpu_tensors(False)  # type: ignore[attr-defined]
        super().__exit__(*error)

    # torch.cuda

    def _torch_cuda(self) -> dict[str, Any]:
        gpu = self

        class Event:
            def __init__(self, enable_timing: bool = False, blocking: bool = False) -> None:
                self.at = -1

            def record(self) -> None:
                gpu._moment += 1
                self.at = gpu._moment

            def synchronize(self) -> None:
                gpu.wait("an event", self.at)

            def elapsed_time(self, later: Event) -> float:
                if min(self.at, later.at) < 0 or max(self.at, later.at) > gpu._done:
                    raise RuntimeError("device not ready")
                return float(later.at - self.at)

        class Graph:
            def __init__(self) -> None:
                self.steps: list[tuple[Any, Any, Any, Any]] = []

            def replay(self) -> None:
                gpu.counts[GRAPHS] += 1
                with _disable_current_modes():
                    for step in self.steps:
                        gpu.again(*step)

        @contextlib.contextmanager
        def stream(chosen: Stream) -> Iterator[None]:
            before, gpu.stream = gpu.stream, chosen
            gpu.streams.add(chosen)
            yield
            gpu.stream = before

        @contextlib.contextmanager
        def graph(into: Graph, pool: Any, stream: Stream, capture_error_mode: str) -> Iterator[None]:
            assert stream is gpu.stream is not default, "nothing can be recorded on the default stream"
            if gpu.refuses_graphs:
                raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore lines")
            gpu._recording, gpu._own = into.steps, set()
            try:
                yield
            finally:
                gpu._recording = None

        default = self.stream
        return {
            "is_available": lambda: True, "is_initialized": lambda: True, "_lazy_init": lambda: None,
            "device_count": lambda: 1, "current_device": lambda: 0, "get_device_name": lambda *_: "no GPU",
            "current_stream": lambda *_: gpu.stream, "Stream": Stream, "stream": stream, "Event": Event,
            "CUDAGraph": Graph, "graph": graph, "graph_pool_handle": object, "empty_cache": lambda: None,
            "synchronize": lambda *_: gpu.wait("torch.cuda.synchronize"),
        }  # fmt: skip

    def wait(self, why: str, until: int | None = None) -> None:
        """All that was queued, or what came before a moment, gets done."""
        if self._recording is not None:
            raise RuntimeError(f"CUDA error: {why} is not permitted when stream is capturing")
        self.counts[WAITS] += 1
        until = self._moment if until is None else until
        for _, finish in [one for one in self._pending if one[0] <= until]:
            finish()
        self._pending = [one for one in self._pending if one[0] > until]
        self._done = max(self._done, until)

    def later(self, finish: Callable[[], None]) -> None:
        self._moment += 1
        self._pending.append((self._moment, finish))

    # Operations

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        moves = func.overloadpacket is aten.to or "device" in kwargs or kwargs.get("pin_memory")
        if OnGpu not in types and not moves:
            return func(*args, **kwargs)  # on the CPU
        with torch.inference_mode(False), torch.no_grad():  # a view of an inference tensor cannot be wrapped
            return self.dispatch(func, args, dict(kwargs))

    def dispatch(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if func not in WHOLE and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), COMPOSITE.name):
            with self:  # of its parts
                return func._op_dk(COMPOSITE, *args, **kwargs)
        if func is aten.copy_.default and isinstance(args[0], OnGpu) != isinstance(args[1], OnGpu):
            return self.copy(*args, **kwargs)
        if func is aten._to_copy.default and "device" in kwargs:
            to_gpu = torch.device(kwargs["device"]).type == "cuda"
            if to_gpu != isinstance(args[0], OnGpu):
                return self.to_copy(args[0], to_gpu, kwargs)
        return self.compute(func, args, kwargs)

    def to_copy(self, source: torch.Tensor, to_gpu: bool, kwargs: dict[str, Any]) -> torch.Tensor:
        values = source.values if isinstance(source, OnGpu) else source
        made = torch.empty_like(values, dtype=kwargs.get("dtype"), memory_format=kwargs.get("memory_format"))
        there = OnGpu(made, self.stream) if to_gpu else made
        return self.copy(there, source, kwargs.get("non_blocking", False))

    def copy(self, target: torch.Tensor, source: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
        """Between the CPU and the device."""
        if isinstance(target, OnGpu):
            self.counts[COPIES_IN] += 1
            self.counts[BYTES_IN] += source.nbytes
            target.values.copy_(source)
            self.queue([], [target])
            host = source
            before = as_bytes(source).clone()
            self.later(lambda: check(torch.equal(before, as_bytes(source)), "pinned memory was written too early"))
        else:
            assert isinstance(source, OnGpu)
            self.counts[COPIES_OUT] += 1
            self.queue([source], [])
            host = target
            brought = source.values.clone()
            as_bytes(target).fill_(GARBAGE)
            self.later(lambda: target.copy_(brought))
        if not (non_blocking and any(shares_memory(host, pinned) for pinned in self.pinned)):
            self.wait("a copy of memory that is not pinned")
        elif self._recording is not None:
            raise RuntimeError("CUDA error: this fake records no copies")
        return target

    def compute(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        pinned = kwargs.pop("pin_memory", False)
        wanted = kwargs.pop("device", None)
        given = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
        on_gpu = [x for x in given if isinstance(x, OnGpu)]
        to_gpu = torch.device(wanted).type == "cuda" if wanted is not None else bool(on_gpu)
        if wanted is not None and not to_gpu:
            kwargs["device"] = wanted
        for other in given:
            check(not on_gpu or isinstance(other, OnGpu) or other.dim() == 0, f"{func}: one tensor is on the CPU")
        if on_gpu and (func in WAITING or (func in INDEXING and any(is_mask(x) for x in tree_flatten(args[1])[0]))):
            self.wait(str(func))
        made = self.run(func, args, kwargs)
        if pinned:
            self.pinned.append(made)
        if not to_gpu:
            return made
        known = {id(x.values): x for x in on_gpu}
        outs = tree_map(lambda x: known.get(id(x), OnGpu(x, self.stream)) if isinstance(x, torch.Tensor) else x, made)
        self.counts[KERNELS] += func not in FREE and not is_view(func)
        self.queue(on_gpu, [x for x in tree_flatten(outs)[0] if isinstance(x, OnGpu)])
        if self._recording is not None:
            lent = (args, kwargs)
            if not all(id(x) in self._own for x in on_gpu):
                lent = tree_map(lambda x: Lent(x) if isinstance(x, OnGpu) and id(x) not in self._own else x, lent)
            self._recording.append((func, *lent, outs))
            self._own |= {id(x) for x in tree_flatten(outs)[0]}
        return outs

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = tree_map(lambda x: x.values if isinstance(x, OnGpu) else x, (args, kwargs))
        return func(*args, **kwargs)

    def again(self, func: Any, args: Any, kwargs: Any, outs: Any) -> None:
        """A step of a graph, into the memory of its recording."""
        args, kwargs = tree_map(lambda x: x.there() if isinstance(x, Lent) else x, (args, kwargs))
        for new, old in zip(tree_flatten(self.run(func, args, kwargs))[0], tree_flatten(outs)[0], strict=True):
            if isinstance(old, OnGpu) and not shares_memory(new, old.values):
                old.values.copy_(new)

    def queue(self, reads: list[OnGpu], writes: list[OnGpu]) -> None:
        self.stream.queued += 1
        for x in reads:
            others = x.stream is not self.stream and x.stream in self.streams  # else a constant of an earlier test
            check(
                not others or x.queued <= self.stream.seen.get(x.stream, -1),
                "a stream reads what another one may not have finished",
            )
        for x in writes:
            x.stream, x.queued = self.stream, self.stream.queued
