"""OpenVINO files, network in .xml and weights in .bin: three graphs joined into one, the middle one cut out again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sartm_core.runtime.engines.openvino import DEVICE, HINTS, convert, core
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
from sartm_core.support.text import plain

if TYPE_CHECKING:
    from sartm_core.runtime.exported.parts import Parts

SUFFIX, WEIGHTS_SUFFIX = ".xml", ".bin"


def check_installed() -> None:
    """ValueError when something is missing."""
    need("openvino", "openvino")


def write(parts: Parts, description: Description, path: Path) -> None:
    """The whole graph: `path` and its weights beside it."""
    import openvino

    before, network, after = (convert(part) for part in (parts.before, parts.network, parts.after))
    if parts.quantise is not None:
        network = parts.quantise(network)
    set_names(before.inputs, FRAMES)
    set_names(network.inputs[len(JOINTS) :], (PRESENT,))
    join(before.results, network.inputs[: len(JOINTS)], JOINTS)
    join(network.results, after.inputs, (SCORES,))
    set_names(after.outputs, RESULTS)
    parameters = [*before.get_parameters(), network.inputs[len(JOINTS)].get_node()]
    whole = openvino.Model([*after.results, *network.results], parameters, OWNER)
    for key, text in description.texts().items():
        whole.set_rt_info(text, [OWNER, key])
    openvino.save_model(whole, path, compress_to_fp16=False)


def set_names(ports: Sequence[Any], names: Sequence[str]) -> None:
    for port, own in zip(ports, names, strict=True):
        port.get_tensor().set_names({own})


def join(results: Sequence[Any], inputs: Sequence[Any], names: Sequence[str]) -> None:
    """Feed what a model gives to the inputs of another; the tensors between get these names."""
    for result, port, own in zip(results, inputs, names, strict=True):
        source = result.input_value(0)
        source.get_tensor().set_names({own})
        feed(port, source)


def feed(port: Any, source: Any) -> None:
    """Whatever reads `port` reads `source` instead."""
    for reader in port.get_target_inputs():
        reader.replace_source_output(source)


def publish(written: Path, path: Path) -> list[Path]:
    """Move what `write` wrote to its place; at no time does a network stand beside the weights of another one."""
    path.unlink(missing_ok=True)
    weights = written.with_suffix(WEIGHTS_SUFFIX).replace(path.with_suffix(WEIGHTS_SUFFIX))
    return [written.replace(path), weights]


def parts_of(path: Path) -> tuple[bytes, ...]:
    """What the file and its weights hold. FileNotFoundError and OSError name the one that cannot be read."""
    try:
        return read_whole(path, "checkpoint"), read_whole(path.with_suffix(WEIGHTS_SUFFIX), "checkpoint")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; an OpenVINO network is a .xml and a .bin of the same name") from error


def read(path: Path, parts: tuple[bytes, ...]) -> Any:
    """An `openvino.Model`, with a copy of the weights. ValueError when the file is none."""
    check_installed()
    try:
        return core().read_model(*parts)
    except RuntimeError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ValueError(f"{path}: OpenVINO cannot read it ({plain(lines[-1] if lines else 'no reason')})") from error


def describe(path: Path, parts: tuple[bytes, ...] | None = None) -> Description:
    """The metadata of a file. ValueError when it has none of ours. parts: what was read from it."""
    model = read(path, parts or parts_of(path))
    if not model.has_rt_info([OWNER]):
        return parse({}, path)
    entries = model.get_rt_info([OWNER]).value
    return parse({key: str(value) for key, value in entries.items()}, path)


def network_of(path: Path, parts: tuple[bytes, ...]) -> Any:
    """The part between `JOINTS` and `SCORES`, an `openvino.Model`."""
    import openvino

    whole = read(path, parts)
    tensors = {own: port for op in whole.get_ops() for port in op.outputs() for own in port.get_names()}
    inputs = []
    for own in JOINTS:
        port = tensors[own]
        inputs.append(openvino.op.Parameter(port.get_element_type(), port.get_partial_shape()))
        feed(port, inputs[-1].output(0))
    scores = openvino.op.Result(tensors[SCORES])
    return openvino.Model([scores], [*inputs, tensors[PRESENT].get_node()], OWNER)


class Runner:
    """Runs a whole file, as a program without this project would."""

    def __init__(self, path: Path) -> None:
        options = {"INFERENCE_PRECISION_HINT": HINTS["fp32"]}
        self._compiled = core().compile_model(path, DEVICE, options)

    def __call__(self, rgb: np.ndarray, thermal: np.ndarray, present: np.ndarray) -> list[np.ndarray]:
        """Frames and what is there of them -> mask, confidence, scores."""
        results = self._compiled(dict(zip((*FRAMES, PRESENT), (rgb, thermal, present), strict=True)))
        return [results[own] for own in (*RESULTS, SCORES)]
