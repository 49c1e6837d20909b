"""What a run says, and what it does not start."""

from __future__ import annotations

import json
import logging
import signal
from pathlib import Path

import pytest
import yaml

pytest.importorskip("lightning", reason="no lightning here: pip install '.[train]'")
from sartm_core.support.fields import from_dict, to_dict
from sartm_core.train import __main__ as train
from sartm_core.train.config import TrainConfig
from sartm_core.train.module import LitSARTM
from sartm_core.train.talk import beginning, ending, table

TINY = {
    "model": {"backbone": "hiera_nano", "train_encoder": True},
    "preprocess": {"input_size": [64, 96]},
    "data": {"synthetic_train": 4, "synthetic_val": 2, "crop_size": [64, 64], "workers": 0},
    "trainer": {"max_epochs": 1, "batch_size": 2, "accelerator": "cpu", "threads": 1, "fit_confidence": False},
}


def write_config(folder: Path) -> Path:
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return folder / "tiny.yaml"


def test_a_run_tells_how_it_begins_its_scores_and_where_everything_is(tmp_path: Path, caplog, capsys) -> None:
    caplog.set_level(logging.INFO)
    config, output = str(write_config(tmp_path)), tmp_path / "run"
    assert train.main(["--config", config, "--output", str(output)]) == 0
    said = caplog.text
    assert "starting, 1 epochs of 2 steps" in said and "epoch 1 of 1, step 2: mIoU" in said
    assert "the best so far" in said and f"sartm predict --checkpoint {output / 'weights.safetensors'}" in said
    assert {path.name for path in (output / "pictures").iterdir()} == {"synthetic_best.png", "synthetic_last.png"}
    caplog.clear()
    assert train.main(["--config", config, "--output", str(output)]) == 0
    assert "already finished; best mIoU" in capsys.readouterr().out and not caplog.text
    changes = ["--trainer.max_epochs", "2", "--optim.lr", "1e-5"]
    assert train.main(["--config", config, "--output", str(output), *changes]) == 0
    assert "resuming in epoch 2" in caplog.text and "changed since the last run: optim.lr" in caplog.text


def test_a_longer_run_that_stops_early_is_not_finished(tmp_path: Path, monkeypatch, capsys) -> None:
    """Regression: until it had new best weights, `metrics.json` was that of the shorter run, and nothing went on."""
    arguments = ["--config", str(write_config(tmp_path)), "--output", str(tmp_path / "run")]
    assert train.main(arguments) == 0
    arguments += ["--trainer.max_epochs", "3"]
    original = LitSARTM.training_step

    def interrupted(self, batch, batch_idx):
        signal.raise_signal(signal.SIGINT)
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(LitSARTM, "training_step", interrupted)
        train.main(arguments)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["finished"] is False
    assert train.main(arguments) == 0
    assert "already finished" not in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["finished"] is True


def test_a_run_that_cannot_begin_leaves_no_folder(tmp_path: Path, capsys) -> None:
    config = str(write_config(tmp_path))
    with pytest.raises(SystemExit):
        train.main(["--config", config, "--output", str(tmp_path / "run"), "--data.dataset=folder", "--data", "none"])
    assert not (tmp_path / "run").exists() and "none" in capsys.readouterr().err


def test_every_error_of_a_configuration_is_told_at_once(tmp_path: Path, capsys) -> None:
    (tmp_path / "bad.yaml").write_text(
        yaml.safe_dump({"loss": {"kind": "mse"}, "data": {"workers": "many", "rott": 1}, "modle": {}})
    )
    with pytest.raises(SystemExit) as stop:
        train.main(["--config", str(tmp_path / "bad.yaml"), "--output", str(tmp_path / "run")])
    message = capsys.readouterr().err
    assert stop.value.code == 2
    for name in ("LossConfig.kind", "data.workers", "data.rott", "modle"):
        assert name in message, message


@pytest.mark.parametrize("change", [{"seed": 5}, {"trainer.max_epochs": 9}, {"model.lora_rank": 4}])
def test_only_the_same_run_is_called_finished(tmp_path: Path, change: dict) -> None:
    config = from_dict(TrainConfig, TINY)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(to_dict(config)))
    (tmp_path / "metrics.json").write_text(json.dumps({"finished": True, "miou": 0.5, "epoch": 1}))
    assert "best mIoU 50.0% at epoch 1" in train.finished(config, tmp_path)
    values = to_dict(config)
    ((name, value),) = change.items()
    section, _, field = name.rpartition(".")
    (values[section] if section else values)[field] = value
    assert train.finished(from_dict(TrainConfig, values), tmp_path) == ""
    (tmp_path / "metrics.json").write_text(json.dumps({"finished": False, "miou": 0.5, "epoch": 1}))
    assert train.finished(config, tmp_path) == ""


def test_balanced_terms_are_not_left_off_in_silence_below_torch_compile() -> None:
    from sartm_core.train.setup import check_compile

    balanced = {**TINY, "loss": {"balance": True}}
    check_compile(from_dict(TrainConfig, balanced), 1)
    compiled = {**balanced, "trainer": {**TINY["trainer"], "compile": "eager"}}
    with pytest.raises(ValueError, match="balance with TrainerConfig.compile 'eager'"):
        check_compile(from_dict(TrainConfig, compiled), 1)


def test_a_table_by_class_with_classes_that_do_not_occur() -> None:
    scores = {"urban": {"miou": 0.5, "iou": {"car": 0.756, "tram": None}}}
    assert table(scores, ["urban"], ["car", "tram"]).splitlines() == [
        "                  mIoU        car       tram",
        "  urban           50.0       75.6          -",
    ]


def test_words_where_there_is_nothing_yet(tmp_path: Path) -> None:
    config = from_dict(TrainConfig, TINY)
    assert beginning(config, tmp_path, 7, None, []) == f"{tmp_path}: starting, 1 epochs of 7 steps"
    assert "without a validation" in ending(config, tmp_path, {})
