"""What we ship for RViz2, Foxglove and Nav2 can be read, and every name in it is one of the node's."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from safetensors import safe_open

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from sartm_ros.node.reference import EVERY_NODE, INPUTS, OUTPUTS, SERVICES
from test.ros.processes import ROOT

NAMESPACE, NODE = "/sartm", "/sartm/segment"
TOPICS = {topic.resolved(NAMESPACE): topic for topic in (*INPUTS, *OUTPUTS)}
IN_RVIZ = ("rgb/image_raw", "thermal/image_raw", "color_mask", "confidence", "overlay", "cloud")
"""For people; the other outputs are for programs."""
RVIZ_POLICIES = {"best_effort": "Best Effort", "reliable": "Reliable", "volatile": "Volatile"}
LAYER = {
    "plugin": str,
    "enabled": bool,
    "combination_method": int,
    "use_approximate_time_sync": bool,
    "sensor_data_depth": int,
    "observation_sources": str,
}
SOURCE = {
    **dict.fromkeys(("segmentation_topic", "confidence_topic", "labels_topic", "pointcloud_topic"), str),
    **dict.fromkeys(("max_obstacle_distance", "min_obstacle_distance", "tile_map_decay_time"), float),
    **dict.fromkeys(("fov_decay_time", "outside_fov_decay_time"), float),
    **dict.fromkeys(("camera_horizontal_fov", "camera_vertical_fov"), float),
    **dict.fromkeys(("use_cost_selection", "visualize_tile_map", "visualize_frustum_fov"), bool),
    "class_types": list,
}
COSTS = ("base_cost", "max_cost", "mark_confidence")
CLASS_TYPE = {"classes": list, **dict.fromkeys((*COSTS, "samples_to_max_cost"), int), "dominant_priority": bool}
"""Parameters of Nav2's semantic segmentation layer and their types, as its source declares them (docs/nav2.md)."""
PANELS = {"Image", "StateTransitions", "Plot", "DiagnosticSummary", "Table", "RosOut", "RawMessages", "CallService"}
PANELS |= {"Parameters", "Tab", "3D"}
"""Panel types as Foxglove writes them before the `!` of a panel's id."""


@pytest.fixture(scope="module")
def rviz() -> dict[str, Any]:
    """The RViz2 layout."""
    return yaml.safe_load((ROOT / "config" / "sartm.rviz").read_text())


@pytest.fixture(scope="module")
def foxglove() -> dict[str, Any]:
    """The Foxglove layout."""
    return json.loads((ROOT / "config" / "foxglove.json").read_text())


def displays(group: dict[str, Any]) -> list[dict[str, Any]]:
    """All displays of a group and of the groups in it."""
    out = []
    for display in group["Displays"]:
        out += displays(display) if display["Class"] == "rviz_common/Group" else [display]
    return out


def strings(tree: Any) -> list[str]:
    """Every string value in a tree of dicts and lists."""
    if isinstance(tree, dict):
        return [s for value in tree.values() for s in strings(value)]
    if isinstance(tree, list):
        return [s for value in tree for s in strings(value)]
    return [tree] if isinstance(tree, str) else []


def leaves(layout: Any) -> list[str]:
    """Panel ids in a tree of splits."""
    return [layout] if isinstance(layout, str) else leaves(layout["first"]) + leaves(layout["second"])


def test_rviz_shows_the_nodes_image_topics_with_their_qos(rviz):
    shown = {display["Topic"]["Value"]: display for display in displays(rviz["Visualization Manager"])}
    assert set(shown) == {f"{NAMESPACE}/{name}" for name in IN_RVIZ}
    for name, display in shown.items():
        assert display["Class"] == f"rviz_default_plugins/{TOPICS[name].type.rsplit('/')[-1]}"
        assert display["Enabled"] is display["Value"]
        qos, topic = TOPICS[name].qos, display["Topic"]
        assert topic["Reliability Policy"] == RVIZ_POLICIES[qos.reliability], name
        assert topic["Durability Policy"] == RVIZ_POLICIES[qos.durability], name
        assert (topic["History Policy"], topic["Depth"]) == ("Keep Last", qos.depth), name


def test_rviz_window_state_places_every_display(rviz):
    state = bytes.fromhex(rviz["Window Geometry"]["QMainWindow State"])
    images = [d["Name"] for d in displays(rviz["Visualization Manager"]) if d["Class"].endswith("/Image")]
    for name in ["Displays", *images]:
        assert name.encode("utf-16-be") in state, name
        assert rviz["Window Geometry"][name] == {"collapsed": False}


def test_foxglove_places_every_panel_once(foxglove):
    panels = foxglove["configById"]
    placed = leaves(foxglove["layout"])
    placed += [leaf for panel in panels.values() for tab in panel.get("tabs", ()) for leaf in leaves(tab["layout"])]
    assert sorted(placed) == sorted(panels)
    assert {panel.split("!")[0] for panel in panels} <= PANELS


def test_foxglove_names_only_topics_and_services_of_the_node(foxglove):
    known = set(TOPICS) | {name for name in EVERY_NODE if name.startswith("/")}
    services = {name.replace("~", NODE) for name, _, _ in SERVICES}
    texts = [*strings(foxglove["configById"]), *foxglove["configById"]["3D!cloud"]["topics"]]
    named = {re.split(r"[.\[{]", text)[0] for text in texts if text.startswith("/")}
    assert named <= known | services, named - known - services
    assert {
        "/sartm/overlay",
        "/sartm/color_mask",
        "/sartm/cloud",
        "/sartm/objects_json",
        "/sartm/state",
        "/diagnostics",
        "/sartm/segment/reload",
    } <= named


def test_foxglove_plots_keys_that_the_node_sends(foxglove, rig):
    text = json.dumps(foxglove["configById"]).replace(r"\"", '"')
    robot = rig()
    robot.until(lambda: robot.diagnostics, "diagnostics")
    assert set(re.findall(r'name=="([^"]+)"', text)) == {robot.diagnostics[-1].status[0].name}
    plotted = set(re.findall(r'key=="([^"]+)"', text))
    assert plotted and plotted <= set(robot.numbers())


def typed(block: dict[str, Any], types: dict[str, type]) -> bool:
    """Whether a block has exactly these parameters, of exactly these types (ROS takes no integer for a float)."""
    return {name: type(value) for name, value in block.items()} == types


def test_nav2_parameters_have_the_layers_names_and_types():
    costmap = yaml.safe_load((ROOT / "config" / "nav2_semantic_layer.yaml").read_text())["local_costmap"]
    parameters = costmap["local_costmap"]["ros__parameters"]
    layer = parameters["semantic_segmentation_layer"]
    assert "semantic_segmentation_layer" in parameters["plugins"]
    for name in layer["observation_sources"].split():
        source = layer.pop(name)
        kinds = [source.pop(kind) for kind in source["class_types"]]
        assert typed(source, SOURCE)
        for kind in kinds:
            assert typed(kind, CLASS_TYPE)
            assert all(0 <= kind[cost] <= 255 for cost in COSTS) and kind["mark_confidence"] < 255
        classes = [name for kind in kinds for name in kind["classes"]]
        with safe_open(ROOT / "sartm_core" / "weights" / "default.safetensors", "np") as weights:
            shipped = json.loads(weights.metadata()["sartm"])["model"]["classes"]
        assert sorted(classes) == sorted(shipped)
        types = {
            f"{key}_topic": TOPICS[source[f"{key}_topic"]].type for key in ("segmentation", "confidence", "labels")
        }
        image = "sensor_msgs/msg/Image"
        wanted = {"segmentation_topic": image, "confidence_topic": image, "labels_topic": "vision_msgs/msg/LabelInfo"}
        assert types == wanted
        assert TOPICS[source["labels_topic"]].qos.durability == "transient_local"
    assert typed(layer, LAYER)


def test_the_nav2_page_lists_every_parameter_of_the_file():
    page = (ROOT / "docs" / "nav2.md").read_text()
    table = page.split("## Parameters")[1].split("\n## ")[0]
    listed = set(re.findall(r"`\.?([a-z_]+)`", table))
    assert {name for block in (LAYER, SOURCE, CLASS_TYPE) for name in block} - {"plugin"} <= listed
