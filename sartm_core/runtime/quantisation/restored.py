"""A quantised OpenVINO network with some of its layers in float again.

Both networks have the same operations under the same names; the quantised one has `FakeQuantize` before operations, and
weights in int8. What is put back: inputs as they were before that, weights and biases of the network in float.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

GRAPH = "__module.folded."
"""Before a module's path in the names of its operations."""
QUANTISER = "FakeQuantize"
PASSING = ("Pad", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "MaxPool")
"""Kinds of operations that hand on what they get: a quantiser may be before one instead of after it."""

IMAGES = 2
"""Of the inputs, those that come first; after them, which cameras are there."""
WEIGHTED = ("Convolution", "GroupConvolution", "MatMul")
"""Kinds of operations that are quantised for their speed."""


def layer_of(operation: Any) -> str:
    """Path of the module it is of (`fusion.0.fuse`); "" for what is no module's."""
    name: str = operation.get_friendly_name()
    return name[len(GRAPH) :].partition("/")[0] if name.startswith(GRAPH) else ""


def layers_of(network: Any) -> list[str]:
    """Modules with weights, as data flows."""
    found = (layer_of(one) for one in network.get_ordered_ops() if any(map(is_constant, sources_of(one))))
    return list(dict.fromkeys(filter(None, found)))


def stems_of(network: Any) -> list[Any]:
    """The first operations with weights after the images: few numbers in, and what they lose is lost for all."""
    ahead = [reader.get_node() for port in network.inputs[:IMAGES] for reader in port.get_target_inputs()]
    found: dict[str, Any] = {}
    seen: set[str] = set()
    while ahead:
        operation = ahead.pop()
        if (name := operation.get_friendly_name()) in seen:
            continue
        seen.add(name)
        if operation.get_type_name() in WEIGHTED:
            found[name] = operation
        else:
            ahead += [reader.get_node() for port in operation.outputs() for reader in port.get_target_inputs()]
    return list(found.values())


def restored(quantised: Any, exact: Any, layers: Collection[str]) -> Any:
    """A copy of `quantised` with these layers as in `exact`."""
    network = quantised.clone()
    originals = {one.get_friendly_name(): one for one in exact.get_ops()}
    for operation in network.get_ops():
        original = originals.get(operation.get_friendly_name())
        if original is not None and layer_of(operation) in layers:
            restore(operation, original)
    network.validate_nodes_and_infer_types()
    return network


def restore(operation: Any, original: Any) -> None:
    """Give it the inputs it had."""
    for port, source in zip(operation.inputs(), sources_of(original), strict=True):
        if is_constant(source):
            port.replace_source_output(copied(source).output(0))
        else:
            unquantise(port)


def unquantise(port: Any) -> None:
    """Without the quantiser before it, also where that is before something that hands on and has no other reader."""
    source = port.get_source_output().get_node()
    while source.get_type_name() in PASSING and len(source.output(0).get_target_inputs()) == 1:
        port = source.input(0)
        source = port.get_source_output().get_node()
    if source.get_type_name() == QUANTISER:
        port.replace_source_output(source.input_value(0))


def sources_of(operation: Any) -> list[Any]:
    return [value.get_node() for value in operation.input_values()]


def is_constant(operation: Any) -> bool:
    return bool(operation.get_type_name() == "Constant")


def copied(constant: Any) -> Any:
    import openvino

    copy = openvino.op.Constant(constant.get_data())
    copy.set_friendly_name(constant.get_friendly_name())
    return copy
