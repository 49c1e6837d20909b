"""A run that was cut off anywhere goes on as if nothing had happened, bit for bit."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sartm_core import train
from sartm_core.training.checkpoints import LastCheckpoint
from sartm_core.training.module import LitSARTM

from .runs import command, differences, environment, history, last_state, write_config

TRAIN_AND_DIE = """
import os, signal, sys
from sartm_core import train
from sartm_core.training.module import LitSARTM
victim, original = int(sys.argv.pop(1)), LitSARTM.training_step
def training_step(self, batch, batch_idx):
    if self.trainer.global_step == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, batch, batch_idx)
LitSARTM.training_step = training_step
sys.exit(train.main(sys.argv[1:]))
"""


class Crash(RuntimeError):
    pass


def crash_at(monkeypatch: pytest.MonkeyPatch, cls: type, method: str, call: int) -> None:
    """Let the `call`-th call of a method raise, once."""
    original, calls = getattr(cls, method), []

    def crashing(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            raise Crash
        return original(*args, **kwargs)

    monkeypatch.setattr(cls, method, crashing)


def assert_same_end(straight: Path, resumed: Path) -> None:
    assert history(resumed) == history(straight), "the loss curve"
    assert differences(last_state(straight), last_state(resumed)) == []
    for file in ("weights.safetensors", "prototypes/epoch_0002.npz"):
        assert (straight / file).is_file() and (resumed / file).is_file()


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run nobody disturbs."""
    folder = tmp_path_factory.mktemp("straight")
    assert train.main(command(write_config(folder), folder / "run")) == 0
    assert len(history(folder / "run")) == 2
    return folder


@pytest.mark.parametrize("step", range(1, 7))
def test_a_crash_in_any_step_changes_nothing(straight: Path, tmp_path: Path, monkeypatch, step: int) -> None:
    arguments = command(straight / "tiny.yaml", tmp_path / "run")
    with monkeypatch.context() as patch:
        crash_at(patch, LitSARTM, "training_step", step)
        with pytest.raises(Crash):
            train.main(arguments)
    assert train.main(arguments) == 0
    assert_same_end(straight / "run", tmp_path / "run")


@pytest.mark.parametrize("method,call", [("validation_step", 1), ("validation_step", 4)])
def test_a_crash_in_validation_changes_nothing(straight, tmp_path: Path, monkeypatch, method: str, call: int) -> None:
    arguments = command(straight / "tiny.yaml", tmp_path / "run")
    with monkeypatch.context() as patch:
        crash_at(patch, LitSARTM, method, call)
        with pytest.raises(Crash):
            train.main(arguments)
    assert train.main(arguments) == 0
    assert_same_end(straight / "run", tmp_path / "run")


def test_a_crash_before_a_rare_checkpoint_repeats_the_same_steps(straight: Path, tmp_path: Path, monkeypatch) -> None:
    arguments = command(straight / "tiny.yaml", tmp_path / "run", "--trainer.checkpoint_every", "0")
    with monkeypatch.context() as patch:
        crash_at(patch, LitSARTM, "training_step", 6)  # the last checkpoint is that of the first epoch
        with pytest.raises(Crash):
            train.main(arguments)
    assert train.main(arguments) == 0
    assert_same_end(straight / "run", tmp_path / "run")


def test_accumulated_steps_resume_too(tmp_path: Path, monkeypatch) -> None:
    config = write_config(tmp_path, trainer={"accumulate": 2})
    assert train.main(command(config, tmp_path / "straight")) == 0
    with monkeypatch.context() as patch:
        crash_at(patch, LitSARTM, "training_step", 4)  # between the two micro-batches of the second step
        with pytest.raises(Crash):
            train.main(command(config, tmp_path / "run"))
    assert train.main(command(config, tmp_path / "run")) == 0
    assert_same_end(tmp_path / "straight", tmp_path / "run")


def test_kill_9_with_loader_processes_changes_nothing(straight: Path, tmp_path: Path) -> None:
    arguments = command(straight / "tiny.yaml", tmp_path / "run", "--data.workers", "2", "--trainer.threads", "1")
    killed = subprocess.run(
        [sys.executable, "-c", TRAIN_AND_DIE, "4", *arguments], env=environment(), timeout=120, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL
    assert train.main(arguments) == 0
    assert_same_end(straight / "run", tmp_path / "run")


@pytest.mark.parametrize("step", [2, 3])
def test_ctrl_c_ends_the_step_saves_and_resumes(straight: Path, tmp_path: Path, monkeypatch, capsys, step: int) -> None:
    """Without any checkpoint between epochs; step 3 is the last of the epoch, validation follows."""
    arguments = command(straight / "tiny.yaml", tmp_path / "run", "--trainer.checkpoint_every", "0")
    original = LitSARTM.training_step

    def interrupted(self, batch, batch_idx):
        if self.global_step == step - 1:
            signal.raise_signal(signal.SIGINT)
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(LitSARTM, "training_step", interrupted)
        with pytest.raises(SystemExit) as stop:
            train.main(arguments)
    assert stop.value.code == 130 and f"stopped at step {step}; the same command" in capsys.readouterr().err
    assert train.main(arguments) == 0
    assert_same_end(straight / "run", tmp_path / "run")


def test_a_checkpoint_is_replaced_in_one_step(straight: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """A full disk leaves the checkpoint before it whole, and the same command goes on."""
    arguments = command(straight / "tiny.yaml", tmp_path / "run")
    with monkeypatch.context() as patch:
        fill_the_disk_at(patch, call=3)
        with pytest.raises(SystemExit) as stop:
            train.main(arguments)
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert "last.ckpt cannot be written" in message and "No space left" in message and "same command" in message
    assert not list((tmp_path / "run" / "checkpoints").glob("*.tmp"))
    assert train.main(arguments) == 0
    assert_same_end(straight / "run", tmp_path / "run")


def fill_the_disk_at(patch: pytest.MonkeyPatch, call: int) -> None:
    """From the `call`-th checkpoint on, writing gives what a full disk gives."""
    import torch

    original, calls = LastCheckpoint.save, []

    def save(self, trainer):
        calls.append(1)
        if len(calls) >= call:

            def full(content, file):
                file.write(b"a part")
                raise OSError(28, "No space left on device")

            with pytest.MonkeyPatch.context() as inner:
                inner.setattr(torch, "save", full)
                original(self, trainer)
        else:
            original(self, trainer)

    patch.setattr(LastCheckpoint, "save", save)


def test_a_broken_checkpoint_is_named(straight: Path, tmp_path: Path, capsys) -> None:
    arguments = command(straight / "tiny.yaml", tmp_path / "run", "--trainer.max_epochs", "1")
    assert train.main(arguments) == 0
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SystemExit):
        train.main(arguments)
    assert "last.ckpt is not a checkpoint of this trainer" in capsys.readouterr().err
