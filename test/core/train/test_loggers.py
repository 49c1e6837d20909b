"""Loggers beside TensorBoard: pictures for all, one run of Weights & Biases for a run folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sartm_core.train import __main__ as train
from sartm_core.train.config import TrainerConfig
from sartm_core.train.loggers import show
from test.core.runs import command, write_config


class Album:
    """A logger that takes pictures."""

    def __init__(self) -> None:
        self.pictures: dict[str, list[np.ndarray]] = {}

    def log_image(self, name: str, images: list[np.ndarray]) -> None:
        self.pictures[name] = images


def test_pictures_go_to_all_that_take_them() -> None:
    album, picture = Album(), np.zeros((4, 6, 3), np.uint8)
    show([album, object()], "val/yard", picture, 7)
    assert album.pictures["val/yard"][0] is picture


def test_an_unknown_logger_is_told_with_the_known() -> None:
    with pytest.raises(ValueError, match=r"logger: got 'wandbb', expected one of \('wandb',\); did you mean 'wandb'"):
        TrainerConfig(logger=("wandbb",))


def test_without_wandb_it_says_what_to_install(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sartm_core.train.loggers.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stop:
        train.main(command(write_config(tmp_path), tmp_path / "run", "--logger", "wandb"))
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith(
        'train: TrainerConfig.logger: wandb is not installed; pip install "sartm_ros[wandb]"\n'
    )
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_wandb_offline_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for name, value in (("MODE", "offline"), ("DIR", ""), ("PROJECT", "yard"), ("SILENT", "true")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    run = command(write_config(tmp_path), tmp_path / "run", "--logger", "wandb")
    assert train.main([*run, "--trainer.max_epochs", "1"]) == 0
    run_id = (tmp_path / "run" / "wandb_id.txt").read_text()
    assert train.main(run) == 0
    assert (tmp_path / "run" / "wandb_id.txt").read_text() == run_id
    folders = sorted((tmp_path / "run" / "wandb").glob("offline-run-*"))
    assert len(folders) == 2 and all(folder.name.endswith(f"-{run_id}") for folder in folders)
    for folder in folders:
        (record,) = folder.glob("run-*.wandb")
        content = record.read_bytes()
        assert all(word in content for word in (b"train/loss", b"val/miou", b"yard", b"crop_size"))
        assert list((folder / "files" / "media" / "images" / "val").glob("*.png"))
