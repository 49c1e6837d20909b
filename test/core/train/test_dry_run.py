"""`train --dry-run`: measured steps, what follows for the run, and no trace."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import yaml

from sartm_core.support.fields import from_dict
from sartm_core.train import __main__ as train
from sartm_core.train import dry_run
from sartm_core.train.config import TrainConfig
from sartm_core.train.dry_run import DryRun, length, measure, report
from sartm_core.train.module import LitSARTM
from test.core.runs import command, write_config


def config_of(path: Path) -> TrainConfig:
    return from_dict(TrainConfig, yaml.safe_load(path.read_text()))


def killed(config: TrainConfig, steps: int) -> DryRun:
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
    assert sorted(tmp_path.rglob("*")) == sorted([*before, record])
    found = json.loads(record.read_text())
    text = capsys.readouterr().out
    assert "hiera_nano, 2 frames of 32x64 a step, 32-true, cpu" in text and f"{found['hours']:.2g} hours" in text
    assert len(found["seconds"]) == len(found["waited"]) == 3 and found["memory"] > 100e6
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
    found = DryRun("cpu", 2 * 10**9, [9.0, 2.0, 4.0], [8.0, 0.5, 0.7], 60.0, 1200, 4)
    assert found.step == 3 and found.hours == pytest.approx((3600 + 240) / 3600)
    text = report(found, config_of(write_config(tmp_path)))
    assert "2.00 GB" in text and "3 s, 0.6 s of it waiting" in text and "1.1 hours: 1200 steps, 4 validations" in text


def test_a_process_without_memory_is_answered_with_what_to_change(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(dry_run, "measure", killed)
    with pytest.raises(SystemExit) as stop:
        train.main(["--config", str(write_config(tmp_path)), "--dry-run"])
    message = capsys.readouterr().err
    assert stop.value.code == 2 and "for want of memory" in message and "activation_checkpointing true" in message


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
