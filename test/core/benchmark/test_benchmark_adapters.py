"""`sartm benchmark --adapters`: memory and switching of adapters side by side."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from sartm_core.benchmark.__main__ import main
from sartm_core.benchmark.adapters import make_files
from sartm_core.model.checkpoint import comes_from_sam2, load

SMALL = ["--backbones", "nano", "--engine", "torch", "--precision", "fp32", "--resolutions", "64x96", "--runs", "5"]


def test_as_a_process(tmp_path) -> None:
    command = [sys.executable, "-m", "sartm_core.benchmark", "--adapters", "2", *SMALL, "--threads", "1"]
    run = subprocess.run([*command, "--output", str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "| hiera_nano | torch fp32 |" in run.stdout and run.stdout == (tmp_path / "adapters.md").read_text()
    (side,) = json.loads((tmp_path / "adapters.json").read_text())["sides"]
    assert side["identical"] is True
    assert side["one_mb"] > 0 and 0 < side["set_us"] < side["stay_ms"] * 1e3


def test_the_files_share_the_base_and_nothing_else(tmp_path) -> None:
    first, second = (load(path).state_dict() for path in make_files("hiera_nano", 2, tmp_path))
    floats = {name for name, tensor in first.items() if tensor.is_floating_point()}
    equal = {name for name in floats if torch.equal(first[name], second[name])}
    trained = {name for name, _ in load(tmp_path / "hiera_nano_0.safetensors").named_parameters()}
    assert equal & trained == {name for name in floats & trained if comes_from_sam2(name)}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["1"], "--adapters: got 1, expected at least 2"), (["2", "--checkpoint", "default"], "give --backbones instead")],
)
def test_wrong_use_is_named(arguments: list[str], part: str, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--adapters", *arguments])
    assert end.value.code == 2 and part in capsys.readouterr().err
