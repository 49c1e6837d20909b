"""OpenVINO on the CPU: the fastest there, bf16 where the CPU has it. Compiles once per input size, some seconds."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache as kept
from importlib.metadata import version as version_of
from mmap import mmap
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from sartm_core.preprocess.prepare import Pixels
from sartm_core.runtime.engines import cache
from sartm_core.runtime.engines.base import INT8, Engine, Settings, Source
from sartm_core.runtime.engines.hardware import cpu_flags, cpu_has_avx2_alone, cpu_has_bf16
from sartm_core.runtime.engines.sessions import Session, Sessions, Size, Traceable
from sartm_core.runtime.quantisation.frames import Frames, frames_of
from sartm_core.runtime.quantisation.kept import About, Kept, keep, read
from sartm_core.runtime.quantisation.products import as_convolutions
from sartm_core.runtime.quantisation.quantise import Report, has_nncf, quantise
from sartm_core.support.device import Device
from sartm_core.support.late import torch

if TYPE_CHECKING:
    from sartm_core.runtime.graph.graph import FixedGraph

log = logging.getLogger(__name__)

DEVICE = "CPU"
HINTS = {"fp32": "f32", "bf16": "bf16", INT8: "f32"}
"""OpenVINO's names, of int8 for what stays in float; its fp16 on CPUs overflows in the attention
(docs/performance.md)."""


_making_core = Lock()


@kept
def _core() -> Any:
    import openvino

    return openvino.Core()


def core() -> Any:
    """The one `openvino.Core` of this process, for good.

    Its CPU plugin gives the thread that makes it a stack for signal handlers, and frees that stack when the plugin is
    unloaded, by any thread: the next signal of the first thread, even the end of a child, was a segmentation fault.
    """
    with _making_core:  # a second one would be unloaded
        return _core()


def precisions(device: Device) -> tuple[str, ...]:
    """CPUs only."""
    if device.type != "cpu":
        return ()
    return ("bf16", "fp32") if cpu_has_bf16() else ("fp32",)


def make(source: Source, settings: Settings) -> Engine:
    """Sessions are kept on disk under the weights' SHA-256; with one kept, the model is not touched."""

    def graph(size: Size) -> FixedGraph:
        from sartm_core.runtime.graph.graph import FixedGraph, FoldedSARTM

        return FixedGraph(FoldedSARTM(source()), size, pixels=True)

    def build(size: Size) -> Session:
        if settings.precision != INT8:
            return session(lambda: to_compile(graph(size)), size, settings)
        found = kept_int8(lambda: convert(graph(size)), source, size, settings)
        sessions.watch.instead = "" if found else settings.otherwise
        if found is None:
            return session(lambda: to_compile(graph(size)), size, replace(settings, precision=settings.otherwise))
        return session(lambda: core().read_model(found.xml, found.weights), size, settings, found.digest)

    def prepare(size: Size) -> None:
        missing = "" if source.elsewhere is None else not_kept(size, settings)
        calibration = settings.calibration.folder if missing == INT8 and settings.calibration else None
        if missing:
            source.have_ready(
                lambda: not not_kept(size, settings),
                engine="openvino", precision=missing, threads=settings.threads, calibration=calibration, size=size,
            )  # fmt: skip

    sessions = Sessions(build, built=source.release, prepare=prepare)
    return sessions


def not_kept(size: Size, settings: Settings) -> str:
    """The precision for which `make` would need the model; "" where the last start kept all."""
    if settings.precision == INT8:
        found = read(settings.weights, size)
        if is_to_make(found, settings):
            return INT8
        if found and found.about.report.verdict.is_good:
            return ""
        settings = replace(settings, precision=settings.otherwise)
    return "" if blob_of(size, settings).is_file() else settings.precision


def is_to_make(found: Kept | None, settings: Settings) -> bool:
    """Whether a network is to be quantised in place of what is kept."""
    calibration = settings.calibration
    return bool(calibration and has_nncf() and not (found and calibration.fits(found.about.calibration)))


def kept_int8(network: Callable[[], Any], source: Source, size: Size, settings: Settings) -> Kept | None:
    """The network in int8, made if that is asked for; None, with a warning, where there is none that agrees."""
    found, calibration = read(settings.weights, size), settings.calibration
    if calibration and is_to_make(found, settings):
        log.info("quantising for %dx%d by %s, once; this takes some minutes", *size, calibration)
        info, classes = source().info, source().config.classes
        frames = frames_of(calibration, info.preprocess, size, Pixels.ALWAYS)
        result, report = in_int8(network(), frames, classes, settings)
        found = keep(settings.weights, size, result, About(report, calibration.identity(), str(calibration)))
    if found is not None and found.about.report.verdict.is_good:
        return found
    why = f"it would give {found.about.report}" if found else "it was not quantised for that size"
    log.warning("no int8 for %dx%d, %s instead: %s", *size, settings.otherwise, why)
    return None


def in_int8(network: Any, frames: Frames, classes: Sequence[str], settings: Settings) -> tuple[Any, Report]:
    """As `quantise`, compared with all that the CPU can do."""
    floats = {name: replace(settings, precision=name) for name in reversed(precisions(settings.device))}
    others = {name: session_of(compiled(network, own)) for name, own in floats.items()}
    return quantise(network, frames, classes, lambda other: session_of(compiled(other, settings)), others)


def session(network: Callable[[], Any], size: Size, settings: Settings, version: str = "") -> Session:
    """Runs an `openvino.Model` with the inputs of `FixedGraph`, made only if the last start kept nothing.

    version: tells several networks of the same weights apart.
    """
    path, options = blob_of(size, settings, version), compile_options(settings)
    if settings.weights and path.is_file() and (known := imported(path, options)):
        return known
    made = compiled(network(), settings)
    if settings.weights:
        blob = io.BytesIO()
        made.export_model(blob)
        cache.keep(path, blob.getvalue())
        del blob
        if path.is_file():
            del made  # before the other one comes
            if lean := imported(path, options):
                return lean
            made = compiled(network(), settings)
    return session_of(made)


def blob_of(size: Size, settings: Settings, version: str = "") -> Path:
    """Where a compiled network is kept."""
    import openvino

    return cache.path_of(
        "openvino", ".blob", weights=settings.weights, size=size, options=compile_options(settings),
        version=[openvino.__version__, version_of("torch"), version], cpu=sorted(cpu_flags()),
    )  # fmt: skip


def imported(path: Path, options: dict[str, Any]) -> Session | None:
    """Runs what was kept in a file, with each weight in memory once; None when the file is of no use.

    OpenVINO arranges the weights of products its own way at once; of the file it looks at little more after that.
    """
    import openvino

    try:
        pages = cache.mapped(path)
        tensor = openvino.Tensor(np.frombuffer(pages, np.uint8), shared_memory=True)
        ready = core().import_model(tensor, DEVICE, options)
    except (OSError, ValueError, RuntimeError) as error:
        log.warning("%s is of no use (%s): compiling again", path, str(error).splitlines()[0])
        return None
    cache.forget(pages)
    return session_of(ready, pages)


def compiled(network: Any, settings: Settings) -> Any:
    """An `openvino.CompiledModel`."""
    if settings.precision == INT8 and cpu_has_avx2_alone():
        network = as_convolutions(network)
    return (compact if settings.precision == "bf16" else whole)(network, compile_options(settings))


def whole(network: Any, options: dict[str, Any]) -> Any:
    """Compiled as it is."""
    return core().compile_model(network, DEVICE, options)


def compact(network: Any, options: dict[str, Any]) -> Any:
    """Compiled with weights in fp16 on their way to bf16: half the memory. As it is, without room for a file."""
    import openvino

    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "network.xml"
            openvino.save_model(network, file, compress_to_fp16=True)
            return core().compile_model(file, DEVICE, options)
    except (OSError, RuntimeError) as error:
        log.warning("no temporary file for the network (%s): it takes twice the memory", str(error).splitlines()[0])
        return whole(network, options)


def compile_options(settings: Settings) -> dict[str, Any]:
    """For one frame at a time, as soon as possible."""
    options = {"INFERENCE_PRECISION_HINT": HINTS[settings.precision], "PERFORMANCE_HINT": "LATENCY"}
    return options | ({"INFERENCE_NUM_THREADS": settings.threads} if settings.threads else {})


def convert(graph: Traceable) -> Any:
    """The graph as an `openvino.Model` of its one size, ready to be quantised or written: operations have the names of
    their modules."""
    import openvino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return openvino.convert_model(traced(graph.eval(), graph), input=inputs_of(graph))


def to_compile(graph: Traceable) -> Any:
    """The same, to be compiled at once: in a quarter of the time, by the step of `convert_model` that reads torch, and
    as a function, in which weights are constants, and not a tree of modules."""
    import openvino

    try:
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        frontend = FrontEndManager().load_by_framework("pytorch")
        ready = graph.eval()
        flat = traced(lambda *inputs: ready(*inputs), graph)  # read again while converting
        decoder = TorchScriptPythonDecoder(flat, example_input=graph.example())
        loaded = frontend.load(decoder)
        for place, (shape, kind) in zip(loaded.get_inputs(), inputs_of(graph), strict=True):
            loaded.set_partial_shape(place, openvino.PartialShape(shape))
            loaded.set_element_type(place, kind)
        return frontend.convert(loaded)
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError) as error:  # another version's names
        log.info("converting the slow way: %s", str(error).split("\n")[0] or type(error).__name__)
        return convert(graph)


def traced(call: Callable[..., Any], graph: Traceable) -> Any:
    """As TorchScript: tracing is deprecated, and what OpenVINO reads best."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(call, graph.example(), check_trace=False)


def inputs_of(graph: Traceable) -> list[tuple[list[int], Any]]:
    """Shapes and types."""
    import openvino

    return [(list(x.shape), openvino.Type(x.numpy().dtype)) for x in graph.example()]


def session_of(ready: Any, pages: mmap | None = None) -> Session:
    """Inputs are read where they are; the scores are copied out, as the next frame overwrites them.

    Computed by OpenVINO's own threads, and not by the caller's: that one can have a core, and its caches, to itself.

    pages: the file behind the compiled network, which does not keep it itself.
    """
    held = (pages, ready, ready.create_infer_request())  # freed from the last to the first
    del ready, pages

    def run(rgb: np.ndarray, thermal: np.ndarray, present: np.ndarray) -> np.ndarray:
        request = held[-1]
        request.start_async([rgb, thermal, present], share_inputs=True)
        request.wait()
        return np.array(request.get_output_tensor(0).data)

    return run
