"""Folders with one camera: they train, validate, are checked and scored as that camera alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sartm_core.check_data import __main__ as check_data
from sartm_core.data.datasets import detect_dataset, open_dataset, open_pairs
from sartm_core.evaluate import __main__ as evaluate
from sartm_core.preprocess.normalise import normalize_rgb
from sartm_core.train import __main__ as train
from sartm_core.train.frames import draw_keep
from sartm_core.train.loading import training_set, validation_loaders
from sartm_core.train.module import cameras
from test.core.conftest import make_model
from test.core.data.test_data import config_for, write_folder
from test.core.runs import command, history, write_config

MISSING = {"rgb": "thermal", "thermal": "rgb"}


def write_alone(root: Path, camera: str) -> Path:
    """Frames of one camera; thermal images as large as the labels."""
    write_folder(root)
    shutil.rmtree(root / MISSING[camera])
    if camera == "thermal":
        for path in (root / "thermal").iterdir():
            shutil.copy(root / "labels" / path.name, path)
    return root


@pytest.mark.parametrize("camera", MISSING)
def test_such_a_folder_opens(tmp_path: Path, camera: str) -> None:
    root = write_alone(tmp_path, camera)
    assert detect_dataset(root) == "folder"
    frames = open_dataset("folder", root, "train")
    sample = frames[0]
    assert frames.cameras == (camera,) and getattr(sample, MISSING[camera]) is None and sample.size == (48, 64)
    with pytest.raises(ValueError, match=f"has images of {camera} alone; this needs both cameras"):
        open_pairs(root)


@pytest.mark.parametrize("camera", MISSING)
def test_its_items_have_zeros_for_the_other_and_never_lose_the_only_one(tmp_path: Path, camera: str) -> None:
    config = config_for(write_alone(tmp_path, camera), modality_dropout=0.5, thermal_jitter=0.3, darken=1.0, blur=1.0)
    frames = training_set(config)
    for epoch in range(8):
        item = frames[epoch, 0]
        assert item["keep"].tolist() == [camera == "rgb", camera == "thermal"]
        assert not item[MISSING[camera]].any() and item[camera].any()
        assert item["rgb"].shape == (3, 32, 64) and item["thermal"].shape == (1, 32, 64)


def test_modality_dropout_knows_what_is_there() -> None:
    assert {tuple(draw_keep(0.5, (False, True)).tolist()) for _ in range(20)} == {(False, True)}


@pytest.mark.parametrize("camera", MISSING)
def test_validation_gives_the_model_that_camera_alone(tmp_path: Path, camera: str) -> None:
    loaders = validation_loaders(config_for(write_alone(tmp_path, camera)))
    (batch,) = next(iter(loaders["folder"]))
    rgb, thermal, keep = cameras(batch)
    assert keep is None and (rgb is None, thermal is None) == (camera == "thermal", camera == "rgb")
    assert (rgb if camera == "rgb" else thermal).shape[-2:] == (64, 96)


def test_a_batch_of_both_kinds_says_which_frame_has_what() -> None:
    both = {"rgb": torch.zeros(2, 3, 4, 4), "thermal": torch.zeros(2, 1, 4, 4)}
    keep = torch.tensor([[True, False], [True, True]])
    assert cameras({**both, "keep": keep})[2] is keep
    assert cameras({**both, "keep": keep[1:]}) == (both["rgb"], both["thermal"], None)


def test_the_colour_image_is_what_the_robot_sees(tmp_path: Path) -> None:
    settings = {"scale_range": [1.0, 1.0], "hflip": 0.0, "color_jitter": 0.0, "blur": 0.0, "crop_size": [64, 96]}
    config = config_for(write_folder(tmp_path, size=(64, 96)), **settings)
    shutil.rmtree(tmp_path / "thermal")
    frames = training_set(config)
    _, index = frames.frame_of(0, 0)
    assert torch.equal(frames[0, 0]["rgb"], normalize_rgb(frames.parts[0].frames[index].rgb, config.preprocess))


@pytest.mark.parametrize("camera", MISSING)
def test_a_run_mixes_it_with_pairs(tmp_path: Path, camera: str) -> None:
    write_alone(tmp_path / "alone", camera)
    write_folder(tmp_path / "pairs")
    data = {"dataset": "synthetic", "root": str(tmp_path), "synthetic_train": None, "epoch_frames": 4,
            "sources": [{"root": "alone"}, {"root": "pairs"}]}  # fmt: skip
    assert train.main(command(write_config(tmp_path, data=data), tmp_path / "run")) == 0
    last = history(tmp_path / "run")[-1]
    assert np.isfinite(last["loss"]) and {"alone", "pairs"} <= last.keys()


@pytest.mark.parametrize("camera", MISSING)
def test_it_is_scored_with_that_camera(tmp_path: Path, camera: str, capsys: pytest.CaptureFixture[str]) -> None:
    weights = make_model().save(tmp_path / "weights.safetensors")
    root = write_alone(tmp_path / "data", camera)
    arguments = ["--checkpoint", str(weights), "--data", str(root), "--output", str(tmp_path / "out")]
    assert evaluate.main(arguments) == 0
    result = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert result["protocol"]["cameras"] == [camera] and list(result["scores"]) == [camera]
    with pytest.raises(SystemExit):
        evaluate.main([*arguments, "--cameras", MISSING[camera]])
    assert f"the frames have {camera} alone; give --cameras {camera}" in capsys.readouterr().err


@pytest.mark.parametrize("camera", MISSING)
def test_check_data_warns_of_it_and_checks_the_rest(tmp_path: Path, camera: str, capsys) -> None:
    root = write_alone(tmp_path, camera)
    (root / "test.txt").write_text("00001D\n")
    (root / "val.txt").write_text("00002N\n")
    (root / "train.txt").write_text("00002N\n")
    assert check_data.main(["--dataset", "folder", "--data", str(root)]) == 1
    text = capsys.readouterr().out
    assert f"{MISSING[camera]}: no such folder: the frames are of {camera} alone" in text
    assert "frame '00002N' is in 'train' too" in text and text.count("fault ") == 1
    (root / "val.txt").write_text("00001D\n")
    (root / "test.txt").unlink()
    assert check_data.main(["--dataset", "folder", "--data", str(root)]) == 0
