"""`config/cameras/*.yaml`: each is a parameter file the node takes, alone and after `config/segment.yaml`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="no ROS 2 here: source a distro or pip install '.[ros]'")
import rclpy

from sartm_ros.node import parameters

CONFIG = Path(__file__).resolve().parents[3] / "config"
PRESETS = sorted((CONFIG / "cameras").glob("*.yaml"))
DRIVERS = {"flir_boson", "flir_spinnaker", "generic", "lepton", "optris", "seek"}


def values_of(context, *files: Path) -> dict[str, object]:
    """The node's parameters after its own checks, with these files given as `--params-file`, in this order."""
    arguments = [word for file in files for word in ("--params-file", str(file))]
    node = rclpy.create_node("segment", namespace="sartm", context=context, cli_args=["--ros-args", *arguments])
    try:
        parameters.declare(node)
        assert parameters.unknown(parameters.overrides(node)) == []
        return parameters.read(node)
    finally:
        node.destroy_node()


def flat(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Nested names with dots between, as ROS has them."""
    found: dict[str, object] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def test_there_is_one_for_every_driver() -> None:
    assert {path.stem for path in PRESETS} == DRIVERS


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_the_node_takes_it(context, path: Path) -> None:
    """Also over segment.yaml: the later file wins, what it does not name stays."""
    given = flat(yaml.safe_load(path.read_text())["/**/segment"]["ros__parameters"])
    assert {"thermal.scale", "thermal.unit", "thermal.crop_bottom", "frozen_timeout"} <= given.keys()
    defaults = values_of(context)
    assert values_of(context, path) == defaults | given
    assert values_of(context, CONFIG / "segment.yaml", path) == defaults | given


def test_a_file_after_the_preset_wins(context, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("/**/segment:\n  ros__parameters:\n    thermal: {crop_bottom: 0}\n")
    found = values_of(context, CONFIG / "cameras" / "lepton.yaml", mine)
    assert (found["thermal.crop_bottom"], found["thermal.scale"]) == (0, 0.01)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_temperatures_are_told_only_where_counts_are_temperatures(path: Path) -> None:
    """Of 300 K; a preset whose unit is unknown says no temperature at all."""
    counts = {"flir_spinnaker": 30000, "lepton": 30000, "optris": 1268.5}
    thermal = yaml.safe_load(path.read_text())["/**/segment"]["ros__parameters"]["thermal"]
    assert (thermal["unit"] != "unknown") == (path.stem in counts)
    if path.stem in counts:
        value = counts[path.stem] * thermal["scale"] + thermal["offset"]
        assert value + {"kelvin": 0.0, "celsius": 273.15}[thermal["unit"]] == pytest.approx(300.0)
