"""A run that was cut off anywhere goes on as if nothing had happened, bit for bit."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sartm_core.train import __main__ as train
from sartm_core.train.checkpoints import LastCheckpoint
from sartm_core.train.module import LitSARTM
from test.core.conftest import make_model
from test.core.runs import command, differences, environment, history, last_state, write_config

TRAIN_AND_DIE = """
import os, signal, sys
from sartm_core.train import __main__ as train
from sartm_core.train.module import LitSARTM
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
    best = [load_file(run / "weights.safetensors") for run in (straight, resumed)]
    assert best[0].keys() == best[1].keys() and all(torch.equal(best[0][name], best[1][name]) for name in best[0])
    prototypes = [dict(np.load(run / "prototypes" / "epoch_0002.npz")) for run in (straight, resumed)]
    for name, value in prototypes[0].items():
        np.testing.assert_array_equal(value, prototypes[1][name])


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


def test_more_steps_go_on_where_max_steps_ended_an_epoch(straight: Path, tmp_path: Path) -> None:
    """It used to skip the rest of that epoch, and then to train no more at all."""
    arguments = command(straight / "tiny.yaml", tmp_path / "run", "--optim.warmup_ratio", "0", "--optim.power", "0")
    assert train.main(command(straight / "tiny.yaml", tmp_path / "whole", *arguments[4:])) == 0
    for steps in ("2", "4", "-1"):
        assert train.main([*arguments, "--trainer.max_steps", steps]) == 0
    assert history(tmp_path / "run") == history(tmp_path / "whole")
    odd = differences(last_state(tmp_path / "whole"), last_state(tmp_path / "run"))
    assert odd in ([], [".callbacks.BestWeights.best"]), "the stops were validated too, and may have been better"
    assert [json.loads((tmp_path / run / "metrics.json").read_text())["finished"] for run in ("run", "whole")]


def test_a_better_last_validation_is_not_overwritten_by_worse_ones(tmp_path: Path, monkeypatch) -> None:
    """The validation at the end comes behind the last checkpoint, which did not know of it."""
    arguments = command(write_config(tmp_path, trainer={"val_every": 2}), tmp_path / "run")
    original = LitSARTM.scores
    with monkeypatch.context() as patch:
        patch.setattr(LitSARTM, "scores", lambda self: {**original(self), "miou": 0.9})
        assert train.main([*arguments, "--trainer.max_epochs", "1"]) == 0
    assert train.main([*arguments, "--trainer.max_epochs", "2"]) == 0
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["miou"] == 0.9


def test_a_run_goes_on_with_its_own_configuration_only(straight: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    """Except for what may change, and that is applied: a lower rate after a loss that was not finite."""
    arguments = command(straight / "tiny.yaml", tmp_path / "run")
    assert train.main([*arguments, "--trainer.max_epochs", "1"]) == 0
    for option, value in (
        ("--data.val_split", "test"),
        ("--data.synthetic_val", "3"),
        ("--seed", "1"),
        ("--loss.kind", "ce"),
        ("--data.hflip", "0.1"),
        ("--optim.ema_decay", "0"),
    ):
        with pytest.raises(SystemExit) as stop:
            train.main([*arguments, option, value])
        assert stop.value.code == 2 and f"{option[2:]} was" in capsys.readouterr().err
    rates: list[float] = []
    original = LitSARTM.training_step

    def noting(self, batch, batch_idx):
        rates.extend(group["lr"] for group in self.optimizers().param_groups)
        return original(self, batch, batch_idx)

    monkeypatch.setattr(LitSARTM, "training_step", noting)
    assert train.main([*arguments, "--optim.lr", "1e-9"]) == 0
    assert len(rates) == 3 * 4 and 0 < max(rates) <= 1e-9  # four groups of parameters


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


@pytest.mark.parametrize("accumulate", [1, 2])
def test_sigterm_to_all_processes_of_a_run_saves_and_resumes(straight: Path, tmp_path: Path, accumulate: int) -> None:
    """Regression: the trainer took its loader processes' end for a crash, and nothing was saved."""
    options = ["--data.workers", "2", "--trainer.threads", "1", "--trainer.accumulate", str(accumulate)]
    arguments = command(straight / "tiny.yaml", tmp_path / "run", *options)
    kill = "import subprocess; sent or subprocess.run(['kill', '-TERM', '--', f'-{os.getpgrp()}']); sent.append(1)"
    code = "sent = []" + TRAIN_AND_DIE.replace("os.kill(os.getpid(), signal.SIGKILL)", kill)  # not by their parent
    assert "SIGKILL" not in code
    command_line = [sys.executable, "-c", code, str(4 // accumulate), *arguments]
    ended = subprocess.run(
        command_line, env=environment(), timeout=120, capture_output=True, text=True, start_new_session=True
    )
    assert ended.returncode == 130 and "the same command" in ended.stderr and "Traceback" not in ended.stderr
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert train.main(arguments) == 0
    if accumulate == 1:
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


def test_a_full_disk_leaves_the_checkpoint_before_it(straight: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """The limit on file sizes makes torch's own writer fail, as a full disk does."""
    arguments = command(straight / "tiny.yaml", tmp_path / "run")
    original, calls = LastCheckpoint.save, []

    def save(self, trainer):
        calls.append(1)
        with limited_files(100_000) if len(calls) == 3 else contextlib.nullcontext():
            original(self, trainer)

    with monkeypatch.context() as patch:
        patch.setattr(LastCheckpoint, "save", save)
        with pytest.raises(SystemExit) as stop:
            train.main(arguments)
    message = capsys.readouterr().err
    assert stop.value.code == 1 and "Traceback" not in message
    assert "last.ckpt cannot be written" in message and "before it is whole" in message and "same command" in message
    assert not list((tmp_path / "run" / "checkpoints").glob("*.tmp"))
    assert train.main(arguments) == 0
    assert_same_end(straight / "run", tmp_path / "run")


def test_weights_that_do_not_fit_the_disk_are_told(straight: Path, tmp_path: Path, capsys) -> None:
    model = make_model()
    with limited_files(100_000), pytest.raises(OSError, match="weights.safetensors cannot be written"):
        model.save(tmp_path / "weights.safetensors")
    assert not list(tmp_path.iterdir())


@contextlib.contextmanager
def limited_files(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_broken_checkpoint_is_named(straight: Path, tmp_path: Path, capsys) -> None:
    arguments = command(straight / "tiny.yaml", tmp_path / "run", "--trainer.max_epochs", "1")
    assert train.main(arguments) == 0
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SystemExit):
        train.main([*arguments[:-1], "2"])
    assert "last.ckpt is not a checkpoint of this trainer" in capsys.readouterr().err
