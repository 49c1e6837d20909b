"""Small weights and frames for the tests of the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sartm_core.figures import __main__ as figures
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.support.classes import IGNORE
from test.core.conftest import make_model

SIZE = (64, 96)


def write_weights(path: Path, seed: int = 1, **changes) -> Path:
    model = make_model(**changes)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    model.info = replace(model.info, preprocess=PreprocessConfig(input_size=SIZE))
    return model.save(path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("a") / "weights.safetensors")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("b") / "weights.safetensors", seed=7)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five frames with a block of car and a block of person at places that change."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for folder in ("rgb", "thermal", "labels"):
        (root / folder).mkdir()
    names = [f"0000{i}" for i in range(5)]
    for i, name in enumerate(names):
        label = np.zeros(SIZE, np.uint8)
        label[16:48, 16 * i : 16 * i + 16] = 1
        label[32:64, 80 - 16 * i : 96 - 16 * i] = 2
        label[:2] = IGNORE
        rgb = np.clip(rng.integers(0, 60, (*SIZE, 3)) + 60 * label[..., None], 0, 255).astype(np.uint8)
        thermal = np.clip(rng.integers(0, 60, SIZE) + 90 * (label == 2), 0, 255).astype(np.uint8)
        for folder, image in (("rgb", rgb), ("thermal", thermal), ("labels", label)):
            Image.fromarray(image).save(root / folder / f"{name}.png")
    (root / "val.txt").write_text("\n".join(names))
    return root


def error_of(capsys, *argv: str) -> str:
    with pytest.raises(SystemExit) as stop:
        figures.main(list(argv))
    assert stop.value.code == 2
    return capsys.readouterr().err
