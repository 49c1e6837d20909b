"""Several camera pairs on one robot: a segment node for each, in one process, with one model for all of them.

    sartm cameras --ros-args -p cameras_file:=config/cameras.yaml

Each node is a segment node like any other, with its own namespace, topics, parameters and diagnostics; frames of
several cameras that wait at the same moment go through the model as one batch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.exceptions import InvalidNamespaceException, InvalidTopicNameException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_topic_name import validate_topic_name

from sartm_core.support.yaml_text import read_yaml
from sartm_ros import running
from sartm_ros.errors import ParameterError
from sartm_ros.frames.transport import shipped
from sartm_ros.inference.server import ModelServer
from sartm_ros.node import arguments, parameters
from sartm_ros.node.parameters import BY_NAME, MODEL, Spec
from sartm_ros.node.weights import load_segmenter
from sartm_ros.pairing.nearest import STREAMS
from sartm_ros.segment_node import SegmentNode

IMAGES = (*STREAMS, "depth")
CAMERA_KEYS = (*(f"{name}_topic" for name in IMAGES), "namespace", "parameters")
TOP_KEYS = ("model", "common", "cameras")
FILE = "Path of the YAML file that lists the cameras; empty: config/cameras.yaml of the package."


@dataclass(frozen=True)
class CameraPair:
    """One entry of the file."""

    name: str
    namespace: str
    """From /."""
    topics: dict[str, str]
    """Topic of each stream; a name without a leading / is inside the namespace."""
    parameters: dict[str, Any]
    """By full name: the model's, the common ones, its own."""


def read_cameras(path: Path) -> list[CameraPair]:
    """The cameras of a file. Raises ParameterError naming the key, what was found and what was expected."""
    try:
        tree = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ParameterError(f"cameras_file: {error}") from None
    _known(path, "", tree, TOP_KEYS)
    model = _parameters(path, "model", tree.get("model"), lambda name: name in MODEL)
    common = _parameters(path, "common", tree.get("common"), lambda name: name not in MODEL)
    cameras = tree.get("cameras")
    if not isinstance(cameras, dict) or not cameras:
        raise ParameterError(f"{path}: cameras: got {cameras!r}, expected at least one entry NAME: {{...}}")
    taken: dict[str, Any] = {}
    out = []
    for name, entry in cameras.items():
        where = f"cameras.{name}"
        entry = {} if entry is None else entry
        _known(path, where, entry, CAMERA_KEYS)
        own = _parameters(path, f"{where}.parameters", entry.get("parameters"), lambda key: key not in MODEL)
        topics = {stream: _topic(path, f"{where}.{stream}_topic", entry, stream) for stream in IMAGES}
        namespace = _namespace(path, where, entry, name)
        if namespace in taken:
            raise ParameterError(
                f"{path}: {where}: its namespace {namespace} is that of cameras.{taken[namespace]} already, and no two "
                "cameras can share one; set another `namespace`"
            )
        taken[namespace] = name
        out.append(CameraPair(str(name), namespace, topics, model | common | own))
    return out


def _namespace(path: Path, where: str, entry: dict[str, Any], name: Any) -> str:
    """The namespace of a camera, from /."""
    if "namespace" not in entry:
        namespace, hint = f"/sartm/{name}", "; rename the camera, or give it a `namespace`"
    else:
        given = _text(path, f"{where}.namespace", entry["namespace"])
        namespace, where, hint = f"/{given.strip('/')}", f"{where}.namespace", ""
    try:
        validate_namespace(namespace)
    except InvalidNamespaceException as error:
        raise ParameterError(f"{path}: {where}: got '{namespace}': {_first_line(error)}{hint}") from None
    return namespace


def _topic(path: Path, where: str, entry: dict[str, Any], stream: str) -> str:
    """The topic of a stream as it is given; by default that of a node on its own."""
    key = f"{stream}_topic"
    topic = _text(path, where, entry[key]) if key in entry else f"{stream}/image_raw"
    try:
        validate_topic_name(topic)
    except InvalidTopicNameException as error:
        raise ParameterError(f"{path}: {where}: got '{topic}': {_first_line(error)}") from None
    return topic


def _text(path: Path, where: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ParameterError(f"{path}: {where}: got {value!r}, expected a name")
    return value


def _first_line(error: Exception) -> str:
    """What rclpy says about a name, without the name itself and the arrow below it."""
    return str(error).splitlines()[0].rstrip(":")


def _known(path: Path, where: str, tree: Any, known: tuple[str, ...]) -> None:
    at = f"{path}: {where or 'top level'}"
    if not isinstance(tree, dict):
        raise ParameterError(f"{at}: got {tree!r}, expected a mapping with {', '.join(known)}")
    for key in tree:
        if key not in known:
            raise ParameterError(f"{at}: unknown key '{key}'; expected one of {', '.join(known)}")


def _parameters(path: Path, where: str, tree: Any, allowed: Callable[[str], bool]) -> dict[str, Any]:
    """A tree of parameters by full name, each of a type a ROS parameter can have."""
    tree = {} if tree is None else tree
    if not isinstance(tree, dict):
        raise ParameterError(f"{path}: {where}: got {tree!r}, expected a mapping NAME: VALUE")
    flat = dict(_flat(tree))
    if warnings := parameters.unknown(flat):
        raise ParameterError(f"{path}: {where}: {warnings[0]}")
    for name in flat:
        if not allowed(name):
            place = "the model's: it belongs under 'model'" if name in MODEL else "no model parameter"
            raise ParameterError(f"{path}: {where}: '{name}' is {place}; of the model are {', '.join(MODEL)}")
    for name, value in flat.items():
        _typed(path, f"{where}.{name}", value, BY_NAME.get(name))
    return flat


def _typed(path: Path, where: str, value: Any, spec: Spec | None) -> None:
    """Refuse what rclpy would not take for this parameter, or not name."""
    found = spec.converted(value) if spec else value
    if spec is None:
        fits = isinstance(value, (str, bool, int, float))
    elif isinstance(spec.default, list):
        fits = isinstance(found, list) and {type(item) for item in found} == {type(spec.default[0])}
    else:
        fits = type(found) is type(spec.default)
    if not fits:
        expected = "a plain value" if spec is None else _kind(spec.default)
        raise ParameterError(f"{path}: {where}: got {value!r}, expected {expected}")


def _kind(default: Any) -> str:
    """What a value like this one is, in words."""
    if isinstance(default, list):
        return f"{len(default)} {'integers' if isinstance(default[0], int) else 'numbers'} in [...]"
    return {bool: "true or false", int: "an integer", float: "a number", str: "text"}[type(default)]


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def make_nodes(
    path: Path, load: Callable[[dict[str, Any]], Any] = load_segmenter, **kwargs: Any
) -> Iterator[SegmentNode]:
    """The segment nodes of a file, with one model server. kwargs go to each node.

    Raises ParameterError naming the file and the camera.
    """
    server = ModelServer(load, MODEL)
    for camera in read_cameras(path):
        remaps = [f"{stream}/image_raw:={topic}" for stream, topic in camera.topics.items()]
        try:
            node = SegmentNode(
                server=server,
                namespace=camera.namespace,
                parameter_overrides=[Parameter(name, value=value) for name, value in camera.parameters.items()],
                cli_args=["--ros-args", *(part for remap in remaps for part in ("-r", remap))],
                **kwargs,
            )
        except Exception as error:  # rclpy has many types, some of them its own
            if not rclpy.ok(context=kwargs.get("context")):
                raise  # the process is told to end
            raise ParameterError(f"{path}: cameras.{camera.name}: {error}") from error
        yield node


def cameras_file() -> Path:
    """The file that the parameter `cameras_file` of this process names."""
    node = Node("cameras")
    try:
        given: str = node.declare_parameter("cameras_file", "", ParameterDescriptor(description=FILE)).value
    finally:
        node.destroy_node()
    path = Path(given).expanduser() if given else shipped("cameras.yaml")
    if path is None:
        raise ParameterError("cameras_file: empty, and config/cameras.yaml of sartm_ros is not installed; give a path")
    return path


def main(args: list[str] | None = None, load: Callable[[dict[str, Any]], Any] = load_segmenter) -> int:
    """Run the nodes until Ctrl-C or SIGTERM. Exit code 0 then, 1 if they could not start."""
    known = [("cameras_file", "", FILE)]
    return arguments.main(
        args, __doc__, known, lambda given: running.run(lambda: make_nodes(cameras_file(), load), given, name="cameras")
    )


if __name__ == "__main__":
    sys.exit(main())
