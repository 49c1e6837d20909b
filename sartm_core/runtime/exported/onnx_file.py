"""ONNX files: three graphs joined into one under known tensor names, and the one in the middle cut out again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sartm_core.runtime.engines.onnxruntime import PROVIDERS, providers_here, write_onnx
from sartm_core.runtime.exported.description import (
    FRAMES,
    JOINTS,
    OWNER,
    PRESENT,
    RESULTS,
    SCORES,
    Description,
    need,
    parse,
)
from sartm_core.support.files import read_whole
from sartm_core.support.late import torch

if TYPE_CHECKING:
    from sartm_core.runtime.exported.parts import Parts

SUFFIX = ".onnx"


def check_installed() -> None:
    """ValueError when something is missing."""
    need("onnx", "onnx", "onnxscript", "onnxruntime")


def write(parts: Parts, description: Description, path: Path) -> None:
    """The whole graph in one file, weights inside."""
    import onnx

    def exported(name: str, *names: Any) -> Any:
        return onnx.load(write_onnx(getattr(parts, name), path.with_name(f"{name}{SUFFIX}"), *names))

    before = apart(exported("before", FRAMES, JOINTS), "before.")
    network = exported("network", (*JOINTS, PRESENT), (SCORES,))
    if parts.quantise is not None:
        network = parts.quantise(network)
    after = apart(exported("after", (SCORES,), RESULTS), "after.")
    scores = network.graph.output[0]
    whole = onnx.compose.merge_models(before, network, io_map=[(name, name) for name in JOINTS])
    whole = onnx.compose.merge_models(whole, after, io_map=[(SCORES, SCORES)])
    whole.graph.output.append(scores)
    del whole.opset_import[1:]  # joining named the one that all parts have once for each
    onnx.helper.set_model_props(whole, {f"{OWNER}.{name}": text for name, text in description.texts().items()})
    onnx.checker.check_model(whole, full_check=True)
    onnx.save(whole, path)


def apart(model: Any, prefix: str) -> Any:
    """The model with names inside that no other has; inputs and outputs keep theirs."""
    import onnx

    return onnx.compose.add_prefix(model, prefix, rename_inputs=False, rename_outputs=False)


def publish(written: Path, path: Path) -> list[Path]:
    """Move what `write` wrote to its place; returns the files."""
    return [written.replace(path)]


def parts_of(path: Path) -> tuple[bytes, ...]:
    """What the file holds. FileNotFoundError and OSError name it."""
    return (read_whole(path, "checkpoint"),)


def read(path: Path, parts: tuple[bytes, ...]) -> Any:
    """An `onnx.ModelProto`. ValueError when the file is none."""
    need("onnx", "onnx")
    import onnx

    try:
        return onnx.load_model_from_string(parts[0])
    except Exception as error:  # of protobuf's parser, by version
        raise ValueError(f"{path}: not an ONNX file ({error})") from error


def describe(path: Path, parts: tuple[bytes, ...] | None = None) -> Description:
    """The metadata of a file. ValueError when it has none of ours. parts: what was read from it."""
    start = f"{OWNER}."
    entries = {entry.key: entry.value for entry in read(path, parts or parts_of(path)).metadata_props}
    return parse({key[len(start) :]: value for key, value in entries.items() if key.startswith(start)}, path)


def network_of(path: Path, parts: tuple[bytes, ...]) -> bytes:
    """The part between `JOINTS` and `SCORES`, as a file of its own would hold it."""
    from onnx.utils import Extractor

    cut = Extractor(read(path, parts)).extract_model([*JOINTS, PRESENT], [SCORES])
    return bytes(cut.SerializeToString())


class Runner:
    """Runs a whole file, as a program without this project would."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        device = "cuda" if torch.cuda.is_available() else "cpu"
        wanted = [provider for provider in PROVIDERS[device] if provider in providers_here()]
        self._session = onnxruntime.InferenceSession(str(path), providers=wanted)

    def __call__(self, rgb: np.ndarray, thermal: np.ndarray, present: np.ndarray) -> list[np.ndarray]:
        """Frames and what is there of them -> mask, confidence, scores."""
        given = dict(zip((*FRAMES, PRESENT), (rgb, thermal, present), strict=True))
        return [np.asarray(x) for x in self._session.run([*RESULTS, SCORES], given)]
