"""The trainer and the evaluation as commands, on a tiny run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from sam2.build_sam import build_sam2

from sartm_core.data.config import DataConfig
from sartm_core.evaluate import __main__ as evaluate
from sartm_core.model.checkpoint import read_metadata
from sartm_core.model.config import ModelConfig
from sartm_core.model.sartm import SARTM
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.fields import from_dict
from sartm_core.train import __main__ as train
from sartm_core.train.config import OptimConfig, TrainConfig
from sartm_core.train.frames import draw_keep
from sartm_core.train.loading import training_set
from sartm_core.train.module import LitSARTM, lr_factor
from sartm_core.train.records import shareable
from sartm_core.train.start import build_model
from test.core.conftest import make_frames
from test.core.data.test_data import SMALL, write_folder


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    root = write_folder(tmp_path / "data")
    data = {
        "dataset": "folder",
        "root": str(root),
        "crop_size": [32, 64],
        "workers": 0,
        "synthetic_train": 2,
        "synthetic_val": 0,
    }
    path = tmp_path / "tiny.yaml"
    model = {**SMALL["model"], "lora_rank": 2, "train_encoder": True, "train_decoder_transformer": True}
    path.write_text(yaml.safe_dump({**SMALL, "model": model, "data": data, "optim": {"ema_decay": 0.5}}))
    return path


def test_train_resume_and_evaluate(config_file: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    output = tmp_path / "run"
    command = ["--config", str(config_file), "--output", str(output), "--trainer.accelerator", "cpu"]
    assert train.main([*command, "--trainer.max_epochs", "1"]) == 0
    first = json.loads((output / "metrics.json").read_text())
    assert first["epoch"] == 1 and 0 <= first["folder"]["miou"] <= 1
    assert yaml.safe_load((output / "config.yaml").read_text())["trainer"]["max_epochs"] == 1
    assert list((output / "tensorboard").iterdir())

    steps = []
    original = LitSARTM.training_step
    monkeypatch.setattr(LitSARTM, "training_step", lambda *a: (steps.append(1), original(*a))[1])
    assert train.main([*command, "--trainer.max_epochs", "2"]) == 0
    assert len(steps) == 2, "the second command trains the second epoch only"
    state = torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["epoch"] == 1 and state["global_step"] == 4

    model = SARTM.load(output / "weights.safetensors")
    assert model.config.classes == ("unlabeled", "car", "person", "bike")
    assert model.info.protocol["config"]["data"]["dataset"] == "folder"
    assert model.info.protocol["config"]["data"]["root"] == "data", "the folder's name, not this machine's path"
    assert model.info.preprocess.input_size == (64, 96)
    capsys.readouterr()

    arguments = [
        "--checkpoint",
        str(output / "weights.safetensors"),
        "--data",
        str(tmp_path / "data"),
        "--output",
        str(tmp_path / "eval"),
    ]
    assert evaluate.main(arguments) == 0
    report = json.loads((tmp_path / "eval" / "evaluation.json").read_text())
    assert set(report["scores"]) == {"rgb+thermal", "rgb", "thermal"}
    assert report["scores"]["rgb"]["night"]["frames"] == 1 and report["scores"]["rgb"]["all"]["frames"] == 2
    assert "rgb+thermal" in capsys.readouterr().out


def test_max_steps_between_validations_still_leaves_weights(config_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    assert train.main(["--config", str(config_file), "--output", str(output), "--trainer.max_steps", "1"]) == 0
    assert (output / "weights.safetensors").is_file() and json.loads((output / "metrics.json").read_text())["step"] == 1


def test_every_epoch_can_be_resumed_however_rarely_it_validates(config_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    limits = ["--trainer.val_every", "2", "--trainer.max_epochs", "1"]
    assert train.main(["--config", str(config_file), "--output", str(output), *limits]) == 0
    assert torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 2
    assert json.loads((output / "metrics.json").read_text())["epoch"] == 1


def test_a_failed_first_command_does_not_block_the_corrected_one(config_file: Path, tmp_path: Path) -> None:
    command = ["--config", str(config_file), "--output", str(tmp_path / "run"), "--trainer.max_steps", "1"]
    with pytest.raises(SystemExit):
        train.main([*command, "--data.root", "nowhere", "--model.lora_rank", "3"])
    assert train.main(command) == 0


def test_newly_frozen_parts_of_init_make_a_full_checkpoint(tmp_path: Path) -> None:
    """An adapter file would leave out what the first run trained and the second froze."""
    start = SARTM(ModelConfig(backbone="hiera_nano", classes=("a", "b"), train_decoder_transformer=True))
    start.info = replace(start.info, base_name="base.pt", base_sha256="0" * 64)
    path = start.save(tmp_path / "start.safetensors", kind="full")
    values = {"model": {"backbone": "hiera_nano", "classes": ["a", "b"]}, "init": str(path)}
    model = build_model(from_dict(TrainConfig, values))
    assert read_metadata(model.save(tmp_path / "next.safetensors"))["kind"] == "full"
    values["model"]["lora_rank"] = 2
    with pytest.raises(ValueError, match=r"is another network, \(file, run\) differ in .*lora_rank"):
        build_model(from_dict(TrainConfig, values))


def test_adapters_on_an_official_file_train_and_run(config_file: Path, tmp_path: Path) -> None:
    official = tmp_path / "sam2.1_hiera_tiny.pt"
    torch.save({"model": build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu").state_dict()}, official)
    output = tmp_path / "run"
    frozen = ["--model.train_encoder", "false", "--model.train_decoder_transformer", "false"]
    backbone = ["--model.backbone", "sam2.1_hiera_t", "--sam2", str(official), "--trainer.max_steps", "1"]
    assert train.main(["--config", str(config_file), "--output", str(output), *backbone, *frozen]) == 0
    weights = output / "weights.safetensors"
    assert read_metadata(weights)["kind"] == "adapter" and weights.stat().st_size < official.stat().st_size / 4
    rgb, thermal = make_frames()
    assert Segmenter.load(weights, device="cpu", sam2=official)(rgb, thermal).mask.shape == rgb.shape[:2]


def test_another_model_in_the_same_output_is_refused(config_file: Path, tmp_path: Path, capsys) -> None:
    output = tmp_path / "run"
    assert train.main(["--config", str(config_file), "--output", str(output), "--trainer.max_steps", "1"]) == 0
    with pytest.raises(SystemExit):
        train.main(["--config", str(config_file), "--output", str(output), "--model.lora_rank", "4"])
    assert "another configuration: model.lora_rank was 2, is 4. Choose" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["--data.root", "nowhere"], "nowhere"),
        (["--data.rot", "x"], "did you mean --data.root"),
        (["--init", "nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_wrong_commands_say_what_is_wrong(
    config_file: Path, tmp_path: Path, capsys, arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        train.main(["--config", str(config_file), "--output", str(tmp_path / "run"), *arguments])
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_modality_dropout_never_drops_both() -> None:
    keep = torch.stack([draw_keep(0.4) for _ in range(2000)])  # (N, 2)
    assert keep.any(1).all()
    assert (~keep).float().mean(0).tolist() == pytest.approx([0.4, 0.4], abs=0.05)


def test_items_depend_on_seed_epoch_and_index_alone(config_file: Path) -> None:
    """Not on workers, order, or the state of the global generator; which is left as it was."""
    config = from_dict(TrainConfig, yaml.safe_load(config_file.read_text()))
    frames = training_set(config)
    first = frames[3, 1]
    torch.manual_seed(99)
    before = torch.get_rng_state()
    frames[0, 0]
    again = frames[3, 1]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in ("rgb", "thermal", "label", "keep"))
    assert not torch.equal(frames[4, 1]["rgb"], first["rgb"]), "another epoch is augmented anew"
    last = len(frames) - 1
    assert frames[0, last]["name"] != frames[1, last]["name"], "synthetic scenes are new ones in every epoch"


def test_lr_rises_then_falls_to_zero() -> None:
    optim = OptimConfig(warmup_ratio=0.1, power=0.9)
    factors = [lr_factor(step, 100, optim) for step in range(101)]
    assert factors[0] == pytest.approx(0.1) and factors[10] == pytest.approx(1.0) and factors[100] == 0
    assert factors[55] == pytest.approx(0.5**0.9)
    assert all(b > a for a, b in zip(factors[:11], factors[1:11], strict=False))
    assert all(b < a for a, b in zip(factors[10:], factors[11:], strict=False))


def test_select_on_test_is_in_the_protocol(config_file: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "test.txt").write_text("00002N\n")
    output = tmp_path / "run"
    arguments = ["--config", str(config_file), "--output", str(output), "--trainer.max_steps", "1"]
    assert train.main([*arguments, "--select-on", "test"]) == 0
    protocol = SARTM.load(output / "weights.safetensors").info.protocol
    assert protocol["config"]["data"]["val_split"] == "test" and "(test)" in protocol["selection"]


def test_a_checkpoint_tells_no_path_of_this_machine(tmp_path: Path) -> None:
    data = DataConfig("folder", str(tmp_path / "frames"), registration=str(tmp_path / "registration.yaml"))
    values = shareable(replace(from_dict(TrainConfig, SMALL), data=data))
    assert (values["data"]["root"], values["data"]["registration"]) == ("frames", "registration.yaml")
    assert str(tmp_path) not in json.dumps(values)
