"""`train --dry-run`: measured steps, what follows for the run, what it begins with, and no other trace."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.statistics import InputStatistics
from sartm_core.support.fields import from_dict
from sartm_core.support.visualize import caption_height, lightened
from sartm_core.train import __main__ as train
from sartm_core.train import dry_run
from sartm_core.train.config import TrainConfig
from sartm_core.train.dry_report import as_dict, report
from sartm_core.train.dry_run import DryRun, length, measure
from sartm_core.train.module import LitSARTM
from sartm_core.train.pictures import batch_sheet
from test.core.runs import command, write_config


def config_of(path: Path) -> TrainConfig:
    return from_dict(TrainConfig, yaml.safe_load(path.read_text()))


FOUND: dict[str, Any] = {
    "device": "cpu", "memory": 2 * 10**9, "of": 16 * 10**9, "seconds": [9.0, 2.0, 4.0], "waited": [8.0, 0.5, 0.7],
    "validation": 60.0, "steps": 1200, "validations": 4,
    "losses": [{"loss": n, "s0": n / 4} for n in (4.0, 3.0, 2.0, 1.0)],
    "shares": {"s0": 0.25, "cr": 0.75},
    "inputs": {"DIR": [InputStatistics("thermal", 16, 0.1, 0.9, 0.02, (290.0, 310.0))]},
    "ranks": {"rgb/stride_4": 8.0, "rgb/stride_8": 9.2, "thermal/stride_4": 7.0, "fused": 30.1},
}  # fmt: skip


def killed(config: TrainConfig, steps: int, picture: Path | None) -> DryRun:
    """In place of `measure`: what the kernel does when memory is full."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_as_a_command(tmp_path: Path, capsys, monkeypatch) -> None:
    """In a process of its own, as for a user; the folder of a run stays as it is."""
    monkeypatch.chdir(tmp_path)
    config, output = write_config(tmp_path), tmp_path / "run"
    (output / "checkpoints").mkdir(parents=True)
    (output / "config.yaml").write_bytes(config.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    record = tmp_path / "found.json"
    assert (
        train.main([*command(config, output, "--trainer.max_epochs", "3"), "--dry-run", "3", "--json", str(record)])
        == 0
    )
    picture, own = output / "first_batch.png", output / "dry_run.json"
    assert sorted(tmp_path.rglob("*")) == sorted([*before, record, picture, own])
    found = json.loads(record.read_text())
    assert json.loads(own.read_text()) == found
    with Image.open(picture) as sheet:
        assert sheet.width == 3 * 64 and sheet.height > 2 * (32 + caption_height(32))  # two crops of 32x64, a legend
    text = capsys.readouterr().out
    assert "hiera_nano, 2 frames of 32x64 a step, 32-true, cpu" in text and "the run  1 min: " in text
    assert len(found["seconds"]) == len(found["waited"]) == 3 and 100e6 < found["memory"] < found["of"]
    assert sum(found["shares"].values()) == pytest.approx(1) and set(found["shares"]) == {"s0", "s1", "cr"}
    assert "L_cr" in text and f"rgb {found['ranks']['rgb/stride_4']:.1f}" in text and "F~n" in text
    (folder,) = found["inputs"].values()
    assert [camera["camera"] for camera in folder] == ["rgb", "thermal"] and "thermal mean" in text
    assert len(found["losses"]) == 3 and all(step["loss"] > 0 for step in found["losses"])
    assert (found["steps"], found["validations"]) == (9, 3)
    middle = sum(found["seconds"][1:]) / 2
    assert found["hours"] == pytest.approx((9 * middle + 3 * found["validation"]) / 3600)


def test_steps_are_those_of_the_run(tmp_path: Path, monkeypatch) -> None:
    """Its batches, in micro-batches, with its optimizer; a step is counted once however it is cut up."""
    seen: list[int] = []
    step = LitSARTM.training_step
    monkeypatch.setattr(LitSARTM, "training_step", lambda self, b, i: seen.append(len(b["label"])) or step(self, b, i))
    found = measure(config_of(write_config(tmp_path, trainer={"accumulate": 2})), 4)  # an epoch has three
    assert seen == [1] * 8 and len(found.seconds) == 4
    assert all(0 < wait < seconds for wait, seconds in zip(found.waited, found.seconds, strict=True))
    assert found.validation > 0 and found.device == "cpu" and not list(tmp_path.glob("lightning_logs"))
    assert len(found.losses) == 8


def test_mixed_precision_trains(tmp_path: Path) -> None:
    """AdamW was fused, and Lightning refused to clip its gradients."""
    config = config_of(write_config(tmp_path, trainer={"precision": "bf16-mixed"}))
    assert config.optim.clip_norm and len(measure(config, 2).seconds) == 2


@pytest.mark.parametrize(
    ("trainer", "expected"),
    [
        ({"max_epochs": 4, "val_every": 2}, (12, 2)),
        ({"max_epochs": 4, "val_every": 3}, (12, 2)),
        ({"max_epochs": 4, "max_steps": 5}, (5, 2)),
        ({"max_epochs": 4, "max_steps": 50}, (12, 4)),
    ],
)
def test_a_run_ends_with_its_epochs_or_steps_and_a_validation(tmp_path: Path, trainer, expected) -> None:
    assert length(config_of(write_config(tmp_path, trainer=trainer)), steps_per_epoch=3) == expected


def test_the_first_step_and_waiting_are_told_apart(tmp_path: Path) -> None:
    found = DryRun(**FOUND)
    assert found.step == 3 and found.hours == pytest.approx((3600 + 240) / 3600)
    text = report(found, config_of(write_config(tmp_path)))
    assert "2.00 of 16 GB" in text and "3 s, 0.6 s of it waiting" in text
    assert "1.1 hours: 1200 steps, 4 validations" in text and "loss     4 3 2 1\n" in text
    assert "terms    S~0 1 to 0.25 (first step to last, unweighted)\n" in text
    assert "gradient L_cr 75.0%, S~0 25.0% of F~n's" in text
    assert "input    thermal mean 0.1, spread 0.9, 2% clipped (camera 290 to 310, 16 frames), DIR\n" in text
    assert "ranks    rgb 8.0, 9.2; thermal 7.0; F~n 30.1\n" in text
    assert "at most (" in report(replace(found, of=0), config_of(tmp_path / "tiny.yaml"))


def test_losses_are_told_by_step(tmp_path: Path) -> None:
    config = config_of(write_config(tmp_path, trainer={"accumulate": 2}))
    assert as_dict(DryRun(**FOUND), config)["losses"] == [{"loss": 3.5, "s0": 0.875}, {"loss": 1.5, "s0": 0.375}]


def test_a_batch_as_a_picture() -> None:
    """Colours as they were, thermal grey, the label over them; a camera that dropout left out is black."""
    norm = PreprocessConfig()
    image = torch.full((2, 3, 32, 32), 100.0) / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (norm.rgb_mean, norm.rgb_std))
    thermal = torch.linspace(0, 1, 32).expand(2, 1, 32, 32)
    label = torch.zeros(2, 32, 32, dtype=torch.long)
    label[:, 16:] = 1
    batch = {"rgb": (image - mean) / std, "thermal": thermal, "label": label, "name": ["a", "b"]}
    batch["keep"] = torch.tensor([[True, True], [False, True]])
    sheet = np.array(batch_sheet(batch, norm, ("ground", "car"), ((0, 0, 0), (255, 0, 0))))
    cell = 32 + caption_height(32)
    first, second = (sheet[(i + 1) * cell - 32 : (i + 1) * cell] for i in range(2))  # (32, 3 * 32, 3) each
    assert np.abs(first[:16, :32].astype(int) - 100).max() <= 1
    assert np.array_equal(first[:15, 64:], first[:15, :32])
    assert np.abs(first[20, 80].astype(int) - (177, 50, 50)).max() <= 1
    assert first[0, 32].tolist() == [0, 0, 0] and first[0, 63].tolist() == [255, 255, 255]
    assert not second[:, :32].any() and np.array_equal(second[:15, 64:], lightened(second[:, 32:64])[:15])


def slept(config: TrainConfig, steps: int, picture: Path | None) -> DryRun:
    """In place of `measure`: would go on for long."""
    time.sleep(600)
    raise AssertionError


def test_it_ends_before_the_system_ends_it(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(dry_run, "measure", slept)
    monkeypatch.setattr(dry_run, "available", lambda: 5 * 10**8)
    with pytest.raises(SystemExit) as stop:
        train.main(["--config", str(write_config(tmp_path)), "--dry-run"])
    message = capsys.readouterr().err
    assert stop.value.code == 1 and "stopped before the system would: 0.5 of" in message
    assert all(f"--trainer.{name}" in message for name in ("activation_checkpointing", "batch_size", "accumulate"))


def test_a_process_without_memory_is_answered_with_what_to_change(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(dry_run, "measure", killed)
    with pytest.raises(SystemExit) as stop:
        train.main(["--config", str(write_config(tmp_path)), "--dry-run"])
    message = capsys.readouterr().err
    assert stop.value.code == 1 and "for want of memory" in message and "activation_checkpointing true" in message


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "required: --output"),
        (["--dry-run", "1"], "--dry-run: got 1, expected at least 2 steps"),
        (["--dry-run", "--output", "RUN", "--seed", "5"], "holds a run of another configuration: seed was 0, is 5"),
    ],
)
def test_wrong_use_is_named(tmp_path: Path, capsys, options: list[str], expected: str) -> None:
    config, output = write_config(tmp_path), tmp_path / "run"
    (output / "checkpoints").mkdir(parents=True)
    (output / "config.yaml").write_bytes(config.read_bytes())
    with pytest.raises(SystemExit) as stop:
        train.main(["--config", str(config), *(str(output) if word == "RUN" else word for word in options)])
    assert stop.value.code == 2 and expected in capsys.readouterr().err
