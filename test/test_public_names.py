"""What other people's scripts, robots and files hold on to stays, wherever the code behind it lives."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

import sartm_core

KEPT = Path(__file__).parent / "kept"
"""Files of a version before the rooms moved."""
MODULES = (
    "sartm_core.ablate", "sartm_core.benchmark", "sartm_core.check_data", "sartm_core.compare", "sartm_core.evaluate",
    "sartm_core.export", "sartm_core.figures", "sartm_core.fit_confidence", "sartm_core.import_weights",
    "sartm_core.labels", "sartm_core.predict", "sartm_core.train",
    "sartm_ros.bag", "sartm_ros.benchmark", "sartm_ros.calibrate", "sartm_ros.calibration.selftest",
    "sartm_ros.cameras", "sartm_ros.demo", "sartm_ros.replay_node", "sartm_ros.segment_node",
)  # fmt: skip
"""What `python -m` ran."""


@pytest.mark.parametrize("name", ["SARTM", "ModelConfig", "Segmenter", "FramePair", "Registration"])
def test_the_names_of_the_package(name: str) -> None:
    assert name in sartm_core.__all__ and getattr(sartm_core, name).__name__ == name


@pytest.mark.parametrize("name", MODULES)
def test_python_m(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    if spec.submodule_search_locations is not None:
        assert importlib.util.find_spec(f"{name}.__main__") is not None


def test_a_checkpoint_of_before_loads(tmp_path: Path) -> None:
    """Every tensor under its old name and with its old shape, the metadata as it was written."""
    kept = json.loads((KEPT / "nano.json").read_text())
    tensors = {
        name: torch.tensor(7) if name.endswith("num_batches_tracked") else torch.rand(shape)
        for name, shape in kept["tensors"].items()
    }
    save_file(tensors, tmp_path / "before.safetensors", kept["metadata"])
    model = sartm_core.SARTM.load(tmp_path / "before.safetensors").eval()
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())
    assert model.config.classes == ("unlabeled", "car", "person", "bike") and model.config.lora_rank == 4
    again = model.save(tmp_path / "after.safetensors")
    assert set(sartm_core.SARTM.load(again).state_dict()) == set(state)


def test_a_runs_configuration_of_before_is_understood() -> None:
    pytest.importorskip("lightning")
    config = importlib.import_module("sartm_core.train.config").TrainConfig
    fields = importlib.import_module("sartm_core.support.fields")
    values = yaml.safe_load((KEPT / "config.yaml").read_text())
    assert kept_in(values, fields.to_dict(fields.from_dict(config, values)))


def kept_in(before: object, now: object) -> bool:
    """Whether every field has its value; fields may have come since."""
    if isinstance(before, dict) and isinstance(now, dict):
        return all(name in now and kept_in(value, now[name]) for name, value in before.items())
    return before == now
