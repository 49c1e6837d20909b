"""Masks of classes that nobody trained mean nothing: a file that says so is refused unless asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sartm_core.export import __main__ as export
from sartm_core.model.checkpoint import read_metadata, read_stored, write_info
from sartm_core.model.config import ModelConfig
from sartm_core.model.sartm import SARTM
from sartm_core.predict import __main__ as predict
from sartm_core.runtime.segmenter import Segmenter
from test.core import layouts
from test.core.conftest import PLAIN, make_model, stepped

WORDS = "its classes were never trained.*--untrained"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `SARTM(ModelConfig(...)).save(...)` writes it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("fresh")
    return SARTM(ModelConfig(backbone="hiera_nano", classes=("unlabeled", "car"))).save(folder / "fresh.safetensors")


def says_untrained(path: Path) -> bool:
    return read_metadata(path)["info"]["untrained"]


def test_a_file_says_whether_its_classes_were_trained(fresh: Path, tmp_path: Path) -> None:
    assert says_untrained(fresh)
    again = SARTM.load(fresh)
    assert says_untrained(again.save(tmp_path / "again.safetensors", dtype=torch.float16)), "loading trains nothing"
    assert not says_untrained(stepped(again).save(tmp_path / "stepped.safetensors"))
    assert not says_untrained(make_model().save(tmp_path / "trained.safetensors"))


def test_a_file_without_the_word_counts_as_trained(tmp_path: Path) -> None:
    """Those written before it was there."""
    path = make_model().save(tmp_path / "old.safetensors")
    stored, content = read_stored(path), read_metadata(path)
    del content["info"]["untrained"]
    save_file(stored.tensors, path, {"sartm": json.dumps(content)})
    assert Segmenter.load(path, **PLAIN).classes[1] == "car"
    assert not SARTM.load(path).untrained


def test_it_is_refused_by_name_and_taken_when_told(fresh: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"fresh.safetensors.*{WORDS}"):
        Segmenter.load(fresh, **PLAIN)
    trained = make_model().save(tmp_path / "trained.safetensors")
    with pytest.raises(ValueError, match=f"adapters: fresh: .*{WORDS}"):
        Segmenter.load(trained, **PLAIN, adapters=fresh)
    result = Segmenter.load(fresh, **PLAIN, untrained=True)(np.zeros((64, 64, 3), np.uint8))
    assert result.mask.shape == (64, 64)


def test_other_facts_beside_it_do_not_train_it(fresh: Path, tmp_path: Path) -> None:
    assert says_untrained(write_info(fresh, SARTM.load(fresh).info, tmp_path / "other.safetensors"))


def test_predict_refuses_and_can_be_told(fresh: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layouts.save(tmp_path / "a.png", layouts.rgb_of("00001"))
    words = ["--rgb", str(tmp_path / "a.png"), "--checkpoint", str(fresh), "--output", str(tmp_path / "out")]
    words += [word for key, value in PLAIN.items() for word in (f"--{key}", value)]
    with pytest.raises(SystemExit) as stop:
        predict.main(words)
    assert stop.value.code == 2 and "never trained" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert predict.main([*words, "--untrained", "true"]) == 0
    assert (tmp_path / "out" / "mask" / "a.png").is_file()


def test_an_exported_file_says_it_too(fresh: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    out = tmp_path / "fresh.xml"
    words = ["--camera", "64x64", "--size", "64x64", "--format", "openvino", "--checkpoint", str(fresh)]
    assert export.main([*words, "--output", str(out)]) == 0
    with pytest.raises(ValueError, match=WORDS):
        Segmenter.load(out)
