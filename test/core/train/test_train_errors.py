"""What can go wrong in a training: a clear error, exit code 2, and nothing lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sartm_core.train import __main__ as train
from sartm_core.train.module import LitSARTM
from test.core.runs import command, history, write_config


def fails(capsys: pytest.CaptureFixture, arguments: list[str], code: int = 2) -> str:
    """The message of a command that must end with this exit code, without a traceback."""
    with pytest.raises(SystemExit) as stop:
        train.main(arguments)
    message = capsys.readouterr().err
    assert stop.value.code == code and "Traceback" not in message
    return message


def test_a_loss_that_is_not_finite_names_step_and_frames_and_can_be_resumed(tmp_path, capsys, monkeypatch) -> None:
    arguments = command(write_config(tmp_path), tmp_path / "run")
    original = LitSARTM.training_step
    with monkeypatch.context() as patch:

        def poisoned(self, batch, batch_idx):
            if self.global_step == 4:
                batch["rgb"] = torch.full_like(batch["rgb"], torch.nan)
            return original(self, batch, batch_idx)

        patch.setattr(LitSARTM, "training_step", poisoned)
        message = fails(capsys, arguments)
    assert "the loss is not finite at step 4" in message and "0000" in message and "--optim.lr" in message
    assert train.main(arguments) == 0
    rows = history(tmp_path / "run")
    assert rows[-1]["step"] == 6 and all(np.isfinite(row["loss"]) for row in rows)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_corrupt_image_is_named_also_from_a_loader_process(tmp_path: Path, capsys, workers: str) -> None:
    config = write_config(tmp_path)
    path = tmp_path / "data" / "rgb" / "00003N.jpg"
    path.write_bytes(path.read_bytes()[:200])
    message = fails(capsys, command(config, tmp_path / "run", "--data.workers", workers))
    assert "rgb/00003N.jpg: not a readable image" in message and message.startswith("train: ")


def test_label_ids_beyond_the_label_set_are_named(tmp_path: Path, capsys) -> None:
    config = write_config(tmp_path)
    label = np.zeros((48, 64), np.uint8)
    label[0, 0], label[0, 1] = 23, 255
    Image.fromarray(label).save(tmp_path / "data" / "labels" / "00002D.png")
    message = fails(capsys, command(config, tmp_path / "run"))
    assert "frame '00002D' holds ids [23]; its label set has 9 classes" in message


def test_classes_that_no_label_set_has_are_refused(tmp_path: Path, capsys) -> None:
    names = "[unlabeled, car, person, sled]"
    message = fails(capsys, command(write_config(tmp_path), tmp_path / "run", "--model.classes", names))
    assert "['sled'] occur in no label set of 'folder'" in message


def test_a_missing_sam2_file_is_named(tmp_path: Path, capsys) -> None:
    options = ["--model.backbone", "sam2.1_hiera_t", "--model.train_encoder", "false", "--sam2", "nowhere.pt"]
    message = fails(capsys, command(write_config(tmp_path), tmp_path / "run", *options))
    assert "no file nowhere.pt; give the .pt file as downloaded from Meta" in message


def test_too_few_frames_for_a_batch_are_told(tmp_path: Path, capsys) -> None:
    message = fails(capsys, command(write_config(tmp_path), tmp_path / "run", "--trainer.batch_size", "8"))
    assert "batch_size: 8, but there are only 6 training frames" in message


def test_an_output_that_cannot_be_made_is_named(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert "file/run" in fails(capsys, command(write_config(tmp_path), tmp_path / "file" / "run"))


def test_validation_without_a_labelled_pixel_is_told(tmp_path: Path, capsys) -> None:
    """It used to end well, without any weights."""
    config = write_config(tmp_path)
    (tmp_path / "data" / "val.txt").write_text("00001N\n")
    Image.fromarray(np.full((48, 64), 255, np.uint8)).save(tmp_path / "data" / "labels" / "00001N.png")
    message = fails(capsys, command(config, tmp_path / "run"))
    assert "validation of ['folder'] saw no labelled pixel" in message


@pytest.mark.parametrize(
    "option,value,expected",
    [
        ("--trainer.precision", "16-mixed", "needs a GPU"),
        ("--trainer.max_steps", "-5", "TrainerConfig.max_steps: got -5"),
        ("--trainer.accelerator", "gpu", "gpu"),
    ],
)
def test_settings_this_machine_cannot_do_are_told(tmp_path: Path, capsys, option: str, value: str, expected) -> None:
    if value == "gpu" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    arguments = command(write_config(tmp_path), tmp_path / "run")
    assert expected in fails(capsys, [*arguments, option, value])


def test_a_broken_configuration_in_the_output_is_named(tmp_path: Path, capsys) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text("- 1")
    message = fails(capsys, command(write_config(tmp_path), tmp_path / "run"))
    assert "config.yaml is not a configuration" in message


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you Tried to allocate 9 bytes."),
    ],
)
def test_full_memory_says_what_to_do(tmp_path: Path, capsys, monkeypatch, error: RuntimeError) -> None:
    def full(self, batch, batch_idx):
        raise error

    monkeypatch.setattr(LitSARTM, "training_step", full)
    message = fails(capsys, command(write_config(tmp_path), tmp_path / "run"), code=1)
    assert "Tried to allocate" in message and "activation_checkpointing" in message and "--dry-run" in message


def write_kelvin(root: Path) -> None:
    for path in (root / "thermal").glob("*.png"):
        counts = np.asarray(Image.open(path)).astype(np.float32)  # 28000..31000 of 0.01 K
        Image.fromarray(counts / 100).save(path.with_suffix(".tif"))
        path.unlink()


def test_kelvin_in_unit_mode_is_refused_and_not_passed_as_295(tmp_path: Path, capsys) -> None:
    config = write_config(tmp_path, preprocess={"input_size": [64, 96], "thermal": {"mode": "unit"}})
    write_kelvin(tmp_path / "data")
    for options in ([], ["--dry-run"]):
        message = fails(capsys, command(config, tmp_path / "run", *options))
        assert "data: thermal input: a mean of 295" in message and "--preprocess.thermal.mode standardise" in message
    assert train.main(command(config, tmp_path / "run", "--preprocess.thermal.mode", "standardise")) == 0


def test_1000_counts_in_unit_mode_are_warned_of(tmp_path: Path, caplog) -> None:
    config = write_config(tmp_path, preprocess={"input_size": [64, 96], "thermal": {"mode": "unit"}})
    assert train.main(command(config, tmp_path / "run", "--trainer.max_steps", "1")) == 0
    assert "thermal input: a spread of 0.0" in caplog.text and "--preprocess.thermal.mode standardise" in caplog.text
