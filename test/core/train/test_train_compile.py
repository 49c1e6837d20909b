"""torch.compile of the training step: the same numbers, the same files."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from sartm_core.train import __main__ as train
from sartm_core.train.compiling import compiled
from sartm_core.train.config import COMPILERS
from test.core.conftest import make_model
from test.core.runs import command, differences, history, last_state, write_config
from test.core.train.steps import build, gradients, train_config, training_batch


def test_a_compiled_step_is_one_graph_with_the_same_result() -> None:
    import torch._dynamo

    config = train_config()
    model, objective = build(config)
    batch, results = training_batch(config, 1), []
    names = list(model.state_dict())
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    traced = compiled(model, "eager")
    assert traced is not None
    for run in (model, traced, traced):
        model.zero_grad()
        loss = copy.deepcopy(objective)(run(batch["rgb"], batch["thermal"], keep=batch["keep"]), batch["label"])["loss"]
        loss.backward()
        results.append((loss.item(), {name: g.clone() for name, g in gradients(model).items()}))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert not torch._dynamo.utils.counters["graph_break"]
    assert list(model.state_dict()) == names
    for loss, grads in results[1:]:
        assert loss == results[0][0] and grads.keys() == results[0][1].keys()
        assert all(torch.equal(g, results[0][1][name]) for name, g in grads.items())


def test_a_compiled_run_resumes_and_leaves_the_same_files(tmp_path: Path) -> None:
    """With averaged weights and recomputed activations; `compile` may change when a run goes on."""
    small = {"train_encoder": False, "train_decoder_transformer": False, "fusion": "mean", "aux_head": "none"}
    start = make_model(lora_rank=2, fusion="mean", aux_head="none").save(tmp_path / "start.safetensors")
    options = {
        "--init": str(start), "--trainer.activation_checkpointing": "true",
        "--optim.warmup_ratio": "0", "--optim.power": "0",
    }  # fmt: skip
    flat, config = [part for pair in options.items() for part in pair], write_config(tmp_path, model=small)
    assert train.main(command(config, tmp_path / "straight", *flat)) == 0
    run = command(config, tmp_path / "run", *flat)
    assert train.main([*run, "--trainer.compile", "eager", "--trainer.max_steps", "2"]) == 0
    assert train.main([*run, "--trainer.compile", "none"]) == 0
    assert history(tmp_path / "run") == history(tmp_path / "straight")
    odd = differences(last_state(tmp_path / "straight"), last_state(tmp_path / "run"))
    assert odd in ([], [".callbacks.BestWeights.best"]), "names and values of all weights are the same"


def test_compilers_are_named_and_several_processes_refused(tmp_path: Path, capsys, monkeypatch) -> None:
    config = write_config(tmp_path)
    for options, message in (
        (["--trainer.compile", "true"], f"TrainerConfig.compile: got 'true', expected one of {COMPILERS}"),
        (["--trainer.compile", "eager"], "TrainerConfig.compile: 'eager' with 2 processes; it is for one"),
    ):
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(SystemExit) as stop:
            train.main(command(config, tmp_path / "run", *options))
        assert stop.value.code == 2 and message in capsys.readouterr().err
        assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_compiler_that_fails_is_named_with_what_to_do(tmp_path: Path, capsys, monkeypatch) -> None:
    """Inductor without a C++ compiler fails in the first step."""
    from torch._dynamo.exc import TorchDynamoException

    def broken(*args, **kwargs):
        raise TorchDynamoException("no working C++ compiler\nwith details")

    monkeypatch.setattr(torch, "compile", lambda *args, **kwargs: broken)
    with pytest.raises(SystemExit) as stop:
        train.main(command(write_config(tmp_path), tmp_path / "run", "--trainer.compile", "inductor"))
    message = capsys.readouterr().err
    assert stop.value.code == 2 and "Traceback" not in message
    assert "'inductor' failed (no working C++ compiler). The same command with --trainer.compile none" in message
