"""Scoring frames for an evaluation: views, groups, worst frames, and whether they trained the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score

from sartm_core.data.pairs import Sample
from sartm_core.evaluate import protocol, run
from sartm_core.evaluate.config import CAMERAS, EvaluateConfig
from sartm_core.evaluate.metrics import ConfusionMatrix
from sartm_core.evaluate.tta import Views, segment
from sartm_core.evaluate.worst import FALSE_ALARM, MISSED, WRONG_CLASS, WorstFrames, difference
from sartm_core.model.config import ModelConfig
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.classes import MFNET, PST900
from sartm_core.support.visualize import IGNORE_COLOR
from test.core.conftest import PLAIN, make_frames, make_model

CLASSES = ("unlabeled", "car", "person", "bike")
SIZE = (64, 96)


class StubSegmenter:
    """Says what the first channel of rgb (else thermal) holds: value c means class c. `tilt` favours class 1 on the
    right side, so that a tilted stub is not left-right symmetric."""

    classes, palette = CLASSES, ((0, 0, 0), (64, 0, 128), (64, 64, 0), (0, 128, 192))
    preprocess = PreprocessConfig(input_size=SIZE)

    def __init__(self, tilt: float = 0.0) -> None:
        self.tilt, self.inputs = tilt, []

    def logits(self, rgb, thermal, size, preprocess=None) -> torch.Tensor:
        frame = rgb[..., 0] if rgb is not None else thermal
        assert frame.shape == size
        self.inputs.append((preprocess or self.preprocess).model_size(*frame.shape))
        logits = torch.nn.functional.one_hot(torch.from_numpy(frame).long(), len(CLASSES)).permute(2, 0, 1).float()
        logits[1] += self.tilt * torch.linspace(0, 1, size[1])
        return logits


def sample(name: str, label: np.ndarray, guess: np.ndarray) -> Sample:
    """A frame on which `StubSegmenter` answers `guess` from rgb, and class 0 from thermal alone."""
    rgb = np.repeat(guess[..., None], 3, axis=2).astype(np.uint8)
    return Sample(name, rgb, np.zeros(label.shape, np.uint8), label.astype(np.uint8))


def random_samples(names: list[str]) -> list[Sample]:
    """Frames whose answers are the worse the later they come, but for a shuffle."""
    rng = np.random.default_rng(0)
    frames = []
    for name, share in zip(names, rng.permutation(np.linspace(0.05, 0.9, len(names))), strict=True):
        label = rng.integers(0, 4, SIZE)
        wrong = rng.random(SIZE) < share
        guess = np.where(wrong, rng.integers(0, 4, SIZE), label)
        label[rng.random(SIZE) < 0.1] = 255
        frames.append(sample(name, label, guess))
    return frames


def write_weights(folder: Path) -> Path:
    """A checkpoint with random weights that was, it says, selected on `data`, split `val`."""
    model = make_model()
    data = {"dataset": "folder", "root": "data", "train_split": "train", "val_split": "val", "synthetic_val": 0}
    training = {"config": {"data": data}, "epoch": 3, "step": 40}
    model.info = replace(model.info, preprocess=PreprocessConfig(input_size=SIZE), protocol=training)
    return model.save(folder / "weights.safetensors")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize("cameras", CAMERAS)
def test_one_view_is_the_segmenters_own_mask(weights: Path, cameras: str) -> None:
    segmenter = Segmenter.load(weights, **PLAIN)
    rgb, thermal = make_frames()
    images = (rgb if "rgb" in cameras else None, thermal if "thermal" in cameras else None)
    mask = segment(segmenter, *images, thermal.shape, Views())
    assert mask.dtype == np.uint8 and len(np.unique(mask)) > 1
    np.testing.assert_array_equal(mask, segmenter(*images).mask)


def test_views_average_the_softmax_of_scales_and_flips(weights: Path) -> None:
    segmenter = Segmenter.load(weights, **PLAIN)
    rgb, thermal = make_frames()
    total = torch.zeros(())
    for input_size in (SIZE, (96, 128)):  # 1.5 x 64 and 1.5 x 96, to the nearest multiples of 32 with that area
        norm = PreprocessConfig(input_size=input_size)
        plain = segmenter.logits(rgb, thermal, thermal.shape, norm)
        flipped = segmenter.logits(rgb[:, ::-1], thermal[:, ::-1], thermal.shape, norm).flip(-1)
        total = total + plain.softmax(0) + flipped.softmax(0)
    mask = segment(segmenter, rgb, thermal, thermal.shape, Views((1.0, 1.5), flip=True))
    np.testing.assert_array_equal(mask, total.argmax(0).numpy())
    assert (mask != segmenter(rgb, thermal).mask).any(), "it does make a difference"


def test_scales_change_the_models_input_and_nothing_else() -> None:
    stub, guess = StubSegmenter(), np.random.default_rng(0).integers(0, 4, SIZE)
    frame = sample("a", guess, guess)
    mask = segment(stub, frame.rgb, None, SIZE, Views((0.5, 1.0, 2.0)))
    assert stub.inputs == [(32, 64), (64, 96), (128, 192)]  # 48 is half way between 32 and 64
    np.testing.assert_array_equal(mask, guess)


def test_flip_changes_nothing_for_a_symmetric_model_and_evens_out_a_tilted_one() -> None:
    guess = np.zeros((4, 9), np.uint8)
    frame = sample("a", guess, guess)
    for views in (Views(), Views(flip=True)):
        np.testing.assert_array_equal(segment(StubSegmenter(), frame.rgb, None, guess.shape, views), guess)
    tilted = segment(StubSegmenter(tilt=3.0), frame.rgb, None, guess.shape, Views())
    assert (tilted[:, :3] == 0).all() and (tilted[:, 6:] == 1).all()
    evened = segment(StubSegmenter(tilt=3.0), frame.rgb, None, guess.shape, Views(flip=True))
    np.testing.assert_array_equal(evened, evened[:, ::-1])


def test_groups_and_cameras_have_their_own_matrix() -> None:
    frames = random_samples(["00001D", "00002N", "00003N"])
    result = run.evaluate(StubSegmenter(), frames, MFNET, ("rgb", "thermal"), Views())
    assert result.frames == {"all": 3, "day": 1, "night": 2}
    for group, chosen in {"all": frames, "day": frames[:1], "night": frames[1:]}.items():
        truth = np.concatenate([f.label.ravel() for f in chosen])
        guess = np.concatenate([f.rgb[..., 0].ravel() for f in chosen])[truth != 255]
        expected = jaccard_score(truth[truth != 255], guess, average=None)
        np.testing.assert_allclose(result.matrices["rgb"][group].iou(), expected)
        assert result.matrices["thermal"][group].predicted_pixels()[1:].sum() == 0, "the stub sees nothing there"
    nameless = run.evaluate(StubSegmenter(), random_samples(["a", "b"]), MFNET, ("rgb",), Views())
    assert nameless.frames == {"all": 2} and list(nameless.matrices["rgb"]) == ["all"]


def test_frame_groups() -> None:
    groups = {"00001D": "day", "00002N": "night", "synthetic_3_fog": "fog", "frame12": "other"}
    assert {name: run.frame_group(name) for name in groups} == groups


def test_worst_frames_are_the_worst_and_no_more_are_kept() -> None:
    frames = random_samples([f"frame{i}" for i in range(12)])
    result = run.evaluate(StubSegmenter(), frames, MFNET, ("rgb",), Views(), worst=4)
    known = [f.label != 255 for f in frames]
    means = [jaccard_score(f.label[k], f.rgb[..., 0][k], average="macro") for f, k in zip(frames, known, strict=True)]
    order = np.argsort(means)
    assert [frame.name for frame in result.worst.frames()] == [f"frame{i}" for i in order[:4]]
    assert [frame.miou for frame in result.worst.frames()] == pytest.approx([means[i] for i in order[:4]])
    assert len(result.worst.frames()) == 4, "memory does not grow with the frames"


def test_worst_frames_of_equal_score_are_the_first_and_empty_labels_are_none() -> None:
    worst, label = WorstFrames(2, StubSegmenter.classes, StubSegmenter.palette), np.zeros((4, 4), np.uint8)
    for name in ("a", "b", "c"):
        matrix = ConfusionMatrix(4)
        matrix.update(label + 1, label)
        worst.offer(sample(name, label, label + 1), label, label + 1, matrix)
    worst.offer(sample("ignored", label + 255, label), label + 255, label, ConfusionMatrix(4))
    assert [frame.name for frame in worst.frames()] == ["a", "b"]


def test_difference_tells_misses_false_alarms_and_mix_ups_apart() -> None:
    truth, guess = np.array([[1, 0, 1, 255, 2]], np.uint8), np.array([[0, 1, 2, 1, 2]], np.uint8)
    picture = difference(np.full((1, 5, 3), 100, np.uint8), truth, guess)
    expected = [MISSED, FALSE_ALARM, WRONG_CLASS, IGNORE_COLOR, (50, 50, 50)]
    assert [tuple(pixel) for pixel in picture[0].tolist()] == expected


def test_weights_of_another_data_set_are_named_with_both_class_lists() -> None:
    names = ModelConfig(classes=PST900.names).classes
    with pytest.raises(ValueError, match="'hand-drill'.*'guardrail'.*none but class 0 in common"):
        run.label_table(MFNET.names, names)


@pytest.mark.parametrize(
    "trained,chosen,scored,roles",
    [
        ("train", "val", None, "trained and chose"),
        ("train", "val", "", "trained and chose"),
        ("train", "val", "trainval", "trained and chose"),
        ("train", "test", "trainval", "trained"),
        ("trainval", "test", "train", "trained"),
        ("trainval", "test", "val", "trained"),
        ("trainval", "test", "trainval", "trained"),
        ("train", "train", "train", "trained and chose"),
        ("train", "val", "val", "chose"),
        ("trainval", "val", "test", ""),
        ("train+val", "val", "val", "trained and chose"),
        ("train+val", "test", "trainval", "trained"),
        ("train", "val", "test+val", "chose"),
        ("train+val", "val", "test", ""),
    ],
)
def test_frames_that_trained_the_weights_under_another_splits_name_give_a_warning(
    trained: str, chosen: str, scored: str | None, roles: str
) -> None:
    data = {"dataset": "folder", "root": "data", "train_split": trained, "val_split": chosen}
    config = EvaluateConfig(data="data", split=scored)
    found = protocol.overlap(config, "folder", {"config": {"data": data}}).get("warning", "")
    assert found == (f"frames of this split {roles} these weights: the numbers are optimistic" if roles else "")
