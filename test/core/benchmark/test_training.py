"""`python -m sartm_core.benchmark --training`: two loops, the same steps."""

from __future__ import annotations

import copy
import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from sartm_core.benchmark import training
from sartm_core.data.config import DataConfig, SourceConfig
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.train.config import TrainConfig
from test.core.conftest import CONVNEXT, train_lora
from test.core.runs import write_config
from test.core.train.steps import FROZEN, SIZE, build, forward, gradients, train_config, training_batch


def small() -> TrainConfig:
    config = train_config()
    return replace(
        config,
        data=replace(config.data, dataset="folder", root=training.NO_ROOT, crop_size=SIZE, workers=0),
        preprocess=replace(config.preprocess, input_size=SIZE),
        trainer=replace(config.trainer, batch_size=2, precision="bf16-mixed", accelerator="cpu"),
    )


@pytest.mark.parametrize("backbone", ["hiera_nano", CONVNEXT])
def test_a_pass_for_each_camera_gives_the_same_loss_and_gradients(backbone: str) -> None:
    config = train_config(model=replace(FROZEN, backbone=backbone))
    model, objective = build(config)
    train_lora(model)
    batch, passes, found = training_batch(config, 2), [], []
    model.encoder.trunk.register_forward_pre_hook(lambda module, args: passes.append(len(args[0])))
    for plain in (False, True):
        if plain:
            training.one_camera_a_pass(model)
        model.zero_grad()
        loss = copy.deepcopy(objective)(forward(model, batch), batch["label"])["loss"]  # its prototypes move
        loss.backward()
        found.append({"loss": loss.detach(), **{name: g.clone() for name, g in gradients(model).items()}})
    assert passes == [4, 2, 2]
    ours, theirs = found
    scale = max(float(gradient.abs().max()) for gradient in ours.values())
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-3, atol=1e-5 * scale)


def test_both_loops_are_timed_and_told(monkeypatch) -> None:
    """The real thing, each in a process of its own."""
    result = training.run(small(), 1, threads=1)
    assert json.loads(json.dumps(result)) == result
    plain, ours = result["loops"]
    assert (plain["precision"], ours["precision"]) == ("32-true", "bf16-mixed")
    for loop in (plain, ours):
        assert len(loop["seconds"]) == len(loop["waited"]) == training.TURNS
        assert min(*loop["seconds"], loop["crops_per_second"], loop["loader"], loop["peak_bytes"]) > 0
    assert result["frames"] == "16 made-up frames of 64x96 (no data.root)"
    text = training.report(result)
    assert "## Training hiera_nano at 64x96, batch 2 (encoder frozen, with adapters)" in text
    assert f"| bf16-mixed | {ours['crops_per_second']:.3g} " in text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: (c, 0), "--steps: got 0"),
        (lambda c: (replace(c, data=replace(c.data, root="nowhere")), 1), "data.root: no folder nowhere"),
        (lambda c: (replace(c, trainer=replace(c.trainer, precision="16-mixed")), 1), "needs a GPU"),
    ],
)
def test_what_cannot_be_timed_is_named(change, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        training.run(*change(small()), None)


def test_a_process_that_ends_is_told_with_a_remedy(monkeypatch) -> None:
    def worker(*args):
        raise training.WorkerError("killed, most likely for want of memory")

    monkeypatch.setattr(training, "Worker", worker)
    with pytest.raises(ValueError, match=r"want of memory.*a smaller trainer\.batch_size"):
        training.run(small(), 1, None)


def test_the_plain_loop_has_nothing_that_makes_it_quick() -> None:
    config = training.read_config(Path(__file__).resolve().parents[3] / "config" / "train" / "default.yaml")
    assert config.data.cache == "memory" and config.data.synthetic_pool > 0
    plain = training.plainly(config)
    assert (plain.data.cache, plain.data.synthetic_pool, plain.trainer.precision) == ("none", 0, "32-true")
    assert replace(plain, data=config.data, trainer=config.trainer) == config


def test_every_shipped_configuration_can_be_timed() -> None:
    """Those of the paper without Meta's file and without data."""
    folder = Path(__file__).resolve().parents[3] / "config" / "train"
    for path in sorted(folder.glob("*.yaml")):
        config = training.read_config(path)
        assert config.sam2 is None and config.init == "random"
        data = yaml.safe_load(path.read_text())["data"]
        assert config.data.dataset == data.get("dataset", "synthetic")
        assert len(config.data.sources) == len(data.get("sources", ()))


def test_a_configuration_of_several_sources_is_timed_on_made_up_frames(tmp_path: Path) -> None:
    data = DataConfig(root=training.NO_ROOT, sources=(SourceConfig(root="a"), SourceConfig("synthetic")), workers=0)
    config = training.read_config(write_config(tmp_path))
    config = replace(
        config, data=replace(data, crop_size=SIZE), preprocess=PreprocessConfig(input_size=SIZE),
        trainer=replace(config.trainer, batch_size=2, accumulate=1),
    )  # fmt: skip
    with ExitStack() as stack:
        made_up, frames = training.with_frames(config, stack)
        assert made_up.data.sources == () and "made-up" in frames
        batch = next(training.endless(training.training_loader(made_up)))
        assert batch["rgb"].shape == (2, 3, *SIZE)
