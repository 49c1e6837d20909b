"""Crops drawn by class over the whole data set, and thermal frames that training sees as the robot does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sartm_core.data.checked import ANY, CheckedFrames, some_pixel
from sartm_core.data.pairs import Sample
from sartm_core.preprocess.config import ThermalNorm
from sartm_core.preprocess.normalise import normalize_thermal
from sartm_core.preprocess.prepare import prepare
from sartm_core.train.frames import TrainingFrames
from sartm_core.train.loading import training_set
from test.core.data.test_data import config_for, write_folder

CLASSES = ("unlabeled", "car", "person", "bike")
NAMES = tuple(f"{i:03}" for i in range(10))
PLAIN = {
    "scale_range": [1.0, 1.0], "hflip": 0.0, "color_jitter": 0.0, "blur": 0.0, "thermal_shift": 0.0,
    "modality_dropout": 0.0,
}  # fmt: skip


def write_rare(root: Path) -> Path:
    """Ten frames full of cars; a few pixels of a bike are in frame 7 alone, a person in 7 and 8."""
    write_folder(root, NAMES)
    for index, name in enumerate(NAMES):
        label = np.zeros((48, 64), np.uint8)
        label[:30] = 1
        if index in (7, 8):
            label[40:42, 2:4] = 2
        if index == 7:
            label[46, 62:] = 3
        Image.fromarray(label).save(root / "labels" / f"{name}.png")
    return root


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_classes_are_drawn_equally_often_whatever_their_frames(tmp_path: Path, cache: str) -> None:
    frames = training_set(config_for(write_rare(tmp_path), focus=1.0, cache=cache)).parts[0].frames
    assert {c: list(map(int, numbers)) for c, numbers in frames.frames_with.items()} == {
        1: list(range(10)), 2: [7, 8], 3: [7],
    }  # fmt: skip
    torch.manual_seed(0)
    drawn = [frames.of_some_class(0) for _ in range(900)]
    assert all(index in frames.frames_with[class_id] for index, class_id in drawn)
    counts = Counter(class_id for _, class_id in drawn)
    assert all(abs(counts[class_id] - 300) < 60 for class_id in (1, 2, 3))
    cars = Counter(index for index, class_id in drawn if class_id == 1)
    assert len(cars) == 10 and max(cars.values()) < 60, "each frame with it equally likely"


def test_a_rare_class_is_in_a_third_of_the_crops(tmp_path: Path) -> None:
    """By frame it would be in a thirtieth."""
    config = config_for(write_rare(tmp_path), focus=1.0, **PLAIN, crop_size=[32, 32])
    frames = training_set(config)
    bikes = sum((frames[epoch, 0]["label"] == 3).any().item() for epoch in range(60))
    assert 10 < bikes < 40


def test_the_index_follows_the_models_classes(tmp_path: Path) -> None:
    config = config_for(write_rare(tmp_path), focus=1.0)
    samples = training_set(config).parts[0].frames.frames
    frames = CheckedFrames(samples, samples.label_set.names, ("unlabeled", "person"))
    frames.load(0, by_class=True)
    assert list(frames.frames_with) == [1] and frames.frames_with[1].tolist() == [7, 8]


def test_a_pixel_is_of_the_class_that_was_asked_for() -> None:
    label = np.zeros((20, 30), np.uint8)
    label[3, 29], label[19, 0], label[5] = 2, 3, 255
    torch.manual_seed(0)
    assert some_pixel(label, 2) == (3, 29) and some_pixel(label, 3) == (19, 0) and some_pixel(label, 1) is None
    assert {some_pixel(label, ANY) for _ in range(30)} == {(3, 29), (19, 0)}


def thermal_frame(kind: str) -> np.ndarray:
    """(96, 128) with noise, missing pixels, and an object so hot that percentiles of a crop without it differ."""
    rng = np.random.default_rng(0)
    kelvin = rng.normal(290, 2, (96, 128))
    kelvin[:20, :40] = 330
    if kind == "float32":
        kelvin[50:60, 60:70] = np.nan
        kelvin[60, :10] = np.inf
        return kelvin.astype(np.float32)
    return (kelvin * 100 if kind == "uint16" else kelvin - 230).round().astype(kind)


@pytest.mark.parametrize("kind", ["float32", "uint16", "uint8"])
@pytest.mark.parametrize("mode", ["percentile", "unit"])
def test_training_sees_the_thermal_frame_as_the_robot_does(kind: str, mode: str) -> None:
    """Percentiles used to be those of the crop, and NaN its median."""
    thermal = thermal_frame(kind)
    sample = Sample("x", np.zeros((96, 128, 3), np.uint8), thermal, np.zeros((96, 128), np.uint8))
    norm = {"input_size": [96, 128], "thermal": {"mode": mode, "low": 2.0}}
    whole = config_with(norm, crop_size=[96, 128])
    _, robot = prepare(sample.rgb, thermal, whole.preprocess)
    assert torch.equal(frames_of(sample, whole)[0]["thermal"], robot[0])
    crop = frames_of(sample, config_with(norm, crop_size=[32, 32]))
    for seed in range(5):
        torch.manual_seed(seed)
        part = crop[0]["thermal"][0]
        windows = robot[0, 0].unfold(0, 32, 1).unfold(1, 32, 1)  # (65, 97, 32, 32)
        assert (windows == part).flatten(2).all(2).any(), "a crop is a window of it"


def config_with(preprocess: dict, **data):
    from dataclasses import replace

    from sartm_core.preprocess.config import PreprocessConfig
    from sartm_core.support.fields import from_dict

    config = config_for(None, **{**PLAIN, "synthetic_train": 1, **data})
    return replace(config, preprocess=from_dict(PreprocessConfig, preprocess))


def frames_of(sample: Sample, config) -> TrainingFrames:
    return TrainingFrames(CheckedFrames([sample], CLASSES, CLASSES), config)


def test_missing_pixels_become_low_in_training_too() -> None:
    thermal = thermal_frame("float32")
    values = normalize_thermal(thermal, ThermalNorm())
    sample = Sample("x", None, thermal, np.zeros((96, 128), np.uint8))
    item = frames_of(sample, config_with({"input_size": [96, 128]}, crop_size=[96, 128]))[0]
    assert (item["thermal"][0, 50:60, 60:70] == 0).all() and torch.equal(item["thermal"][0], torch.from_numpy(values))
