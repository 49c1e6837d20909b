"""The node's parameters in the tools for recordings: the same defaults, the same files, wrong ones named."""

from __future__ import annotations

from pathlib import Path

import pytest

from sartm_ros.bags.reading import BagError
from sartm_ros.bags.values import CHOICES, DEFAULTS, UNUSED, read_values
from sartm_ros.node.settings import Settings

SHIPPED = Path(__file__).parents[3] / "config" / "segment.yaml"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "node.yaml"
    path.write_text(f"segment:\n  ros__parameters:\n    {text}\n")
    return path


def test_defaults_and_names_are_those_of_the_node():
    pytest.importorskip("rcl_interfaces")
    from sartm_ros.node.parameters import SPECS

    assert {spec.name: spec.default for spec in SPECS if spec.name in DEFAULTS} == DEFAULTS
    assert {spec.name for spec in SPECS} - set(DEFAULTS) == set(UNUSED) - {"use_sim_time"}
    assert {spec.name: spec.choices for spec in SPECS if spec.name in CHOICES} == CHOICES


def test_the_shipped_parameter_file_is_the_defaults():
    assert read_values(SHIPPED, {}) == DEFAULTS


def test_options_come_before_the_file_and_the_file_before_defaults(tmp_path):
    path = written(tmp_path, "sync: {tolerance: 1, max_wait: 0.2}")
    values = read_values(path, {"sync.tolerance": 0.3, "device": None})
    assert (values["sync.tolerance"], values["sync.max_wait"], values["device"]) == (0.3, 0.2, "auto")
    assert isinstance(read_values(path, {})["sync.tolerance"], float)


def test_a_registration_of_calibrate_is_taken(tmp_path):
    text = "registration: {mode: homography, homography: [1.0, 0.0, 5.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]}"
    settings = Settings.of(read_values(written(tmp_path, text), {}))
    assert settings.registration.apply([[1.0, 2.0]]).tolist() == [[6.0, 2.0]]


@pytest.mark.parametrize(
    "text, said",
    [
        ("sync: {tolerence: 1.0}", "sync.tolerence: unknown parameter; did you mean sync.tolerance"),
        ("sync: {tolerance: wide}", "sync.tolerance: got 'wide', expected something like 0.05"),
        ("registration: {shift: [1.0]}", r"registration.shift: got \[1.0\], expected something like"),
        ("thermal: {normalization: none}", "thermal.normalization: got 'none', expected one of checkpoint"),
        ("registration: {mode: depth}", "registration.mode: got 'depth', for `segment` only"),
        ("thermal: {scale: 0.0}", "thermal.scale: got 0"),
        ("checkpoint: nowhere.safetensors", "checkpoint: got 'nowhere.safetensors'.*no such file"),
        ("[", "node.yaml: not YAML"),
    ],
)
def test_a_wrong_file_is_named_with_its_parameter(tmp_path, text, said):
    with pytest.raises(BagError, match=said):
        read_values(written(tmp_path, text), {})


def test_a_file_without_parameters(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text("names: [a, b]\n")
    with pytest.raises(BagError, match="0 sections with ros__parameters; expected one"):
        read_values(path, {})
