"""Confidence: what ECE counts, fitted temperatures, and that the inference path carries them everywhere."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from sartm_core.data.pairs import Sample
from sartm_core.data.sources import Source
from sartm_core.evaluate.plots import plot_reliability
from sartm_core.evaluate.reliability import BINS, Reliability, ReliabilityByPixels
from sartm_core.fit_confidence import __main__ as fit_confidence
from sartm_core.fit_confidence import fit
from sartm_core.model.checkpoint import read_metadata
from sartm_core.model.confidence import CAMERAS, Confidence
from sartm_core.model.sartm import SARTM, ModelInfo
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.runtime.graph.graph import FixedGraph, FoldedSARTM
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.classes import MFNET, LabelSet
from sartm_core.support.fields import from_dict, to_dict
from sartm_core.train import __main__ as train
from sartm_core.train.config import TrainConfig
from sartm_core.train.start import build_model
from test.core.conftest import PLAIN, make_batch, make_frames, make_model
from test.core.data.test_data import write_folder
from test.core.runs import command, write_config

TEMPERATURE = (2.0, 0.5, 4.0)
BIAS = ((), (0.0, 0.7, -0.4, 1.0), (0.0, -2.0, 0.5, 0.0))
CLASSES = ("unlabeled", "car", "person", "bike")
LABELS = LabelSet(CLASSES, MFNET.palette[: len(CLASSES)])


def draws(count: int, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N, C) and truth (N,) drawn from their softmax: perfectly calibrated."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (count, classes)) + np.array([3.0, 0, 0, 0][:classes])
    share = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    truth = (share.cumsum(1) < rng.random((count, 1))).sum(1)
    return scores, np.minimum(truth, classes - 1)


def winners(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidence (N,) and class (N,)."""
    share = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return share.max(1), share.argmax(1)


def test_calibrated_draws_have_no_error_except_where_pixels_are_chosen_by_their_truth() -> None:
    scores, truth = draws(200_000)
    counts = ReliabilityByPixels()
    counts.update(*winners(scores), truth)
    assert counts.all.ece() < 0.005 and counts.called_object.ece() < 0.01
    assert counts.all.mean_confidence() == pytest.approx(counts.all.accuracy(), abs=0.005)
    assert counts.object.mean_confidence() > counts.object.accuracy() + 0.1, "though nobody could know better"


def test_error_of_overconfident_pixels_by_hand() -> None:
    """0.9 said, 0.5 right on 10 pixels; 0.6 said, 0.7 right on 30: (10 * 0.4 + 30 * 0.1) / 40."""
    counts = Reliability()
    counts.update(np.full(10, 0.9), np.arange(10) < 5)
    counts.update(np.full(30, 0.6), np.arange(30) < 21)
    assert counts.ece() == pytest.approx((10 * 0.4 + 30 * 0.1) / 40)
    assert counts.mean_confidence() == pytest.approx((9 + 18) / 40) and counts.accuracy() == pytest.approx(26 / 40)
    row = counts.as_dict()
    assert row["bins"]["from"] == [0.6, pytest.approx(13 / BINS, abs=1e-4)] and row["bins"]["pixels"] == [30, 10]
    assert row["bins"]["confidence"] == pytest.approx([0.6, 0.9]) and row["bins"]["accuracy"] == pytest.approx(
        [0.7, 0.5]
    )


def test_too_sure_and_too_unsure_do_not_cancel_across_bins_and_full_confidence_has_a_bin() -> None:
    counts = Reliability()
    counts.update(np.array([1.0, 1.0, 0.3, 0.3]), np.array([True, False, True, False]))
    assert counts.ece() == pytest.approx((2 * 0.5 + 2 * 0.2) / 4) and counts.pixels[-1] == 2


def test_no_pixels_no_numbers() -> None:
    counts = ReliabilityByPixels()
    counts.update(np.ones((2, 2)), np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8))
    assert all(math.isnan(kind.ece()) for kind in counts.by_pixels().values())
    assert counts.all.as_dict()["ece"] is None and counts.all.as_dict()["bins"]["pixels"] == []


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_scores_scaled_by_a_factor_are_fitted_back(factor: float) -> None:
    scores, truth = draws(40_000)
    pixels = (torch.from_numpy(scores * factor).float(), torch.from_numpy(truth))
    temperature, bias = fit.scaling([pixels], with_bias=False)
    assert temperature == pytest.approx(factor, rel=0.03) and bias == ()
    assert fit.calibration_error([pixels], (temperature, bias)) < 0.01


def test_scores_moved_by_a_bias_are_fitted_back_and_score_better() -> None:
    scores, truth = draws(40_000)
    moved = 2 * (scores - np.array(BIAS[1]))
    pixels = (torch.from_numpy(moved).float(), torch.from_numpy(truth))
    temperature, bias = fit.scaling([pixels], with_bias=True)
    assert temperature == pytest.approx(2, rel=0.05) and bias == pytest.approx(BIAS[1], abs=0.1)
    assert fit.calibration_error([pixels], (temperature, bias)) < 0.01
    assert fit.mean_iou([pixels], (temperature, bias)) > fit.mean_iou([pixels], (1.0, ())) + 0.03
    assert fit.better([pixels], "rgb") == (temperature, bias)


def test_a_bias_that_costs_iou_is_left_out() -> None:
    """IoU likes rare classes told more often than likelihood does: weighted training, as ours, has them so."""
    scores, truth = draws(40_000)
    pixels = (torch.from_numpy(scores + np.array([0, 0.7, 0.7, 0.7])).float(), torch.from_numpy(truth))
    with_bias = fit.scaling([pixels], with_bias=True)
    assert with_bias[1][1:] == pytest.approx([-0.7] * 3, abs=0.1)
    assert fit.mean_iou([pixels], with_bias) < fit.mean_iou([pixels], (1.0, ()))
    assert fit.better([pixels], "rgb") == fit.scaling([pixels], with_bias=False)


def test_a_class_that_the_frames_do_not_have_is_not_forgotten() -> None:
    scores, truth = draws(20_000)
    keep = truth != 3
    pixels = (torch.from_numpy(scores[keep]).float(), torch.from_numpy(truth[keep]))
    assert fit.scaling([pixels], with_bias=True)[1][3] == 0


def test_every_set_counts_the_same_however_large() -> None:
    scores, truth = draws(40_000)
    parts = [(torch.from_numpy(scores * f).float(), torch.from_numpy(truth)) for f in (1.0, 3.0)]
    few = [(parts[0][0][:8000], parts[0][1][:8000]), parts[1]]
    (of_few, _), (of_all, _) = (fit.scaling(sets, with_bias=False) for sets in (few, parts))
    assert of_few == pytest.approx(of_all, rel=0.05) and 1.3 < of_all < 2.7


def test_weights_that_are_always_right_stay_within_limits() -> None:
    scores, right = torch.eye(4) * 10, torch.arange(4)
    assert fit.LEAST <= fit.scaling([(scores, right)], with_bias=False)[0] < 1
    assert fit.scaling([(scores, (right + 1) % 4)], with_bias=False)[0] == fit.MOST


class StubSegmenter:
    """Scores of the stored maps, scaled by the cameras it is given."""

    classes = CLASSES
    factors = dict(zip(CAMERAS, TEMPERATURE, strict=True))

    def logits(self, rgb, thermal, size) -> torch.Tensor:
        given = "+".join(name for name, image in (("rgb", rgb), ("thermal", thermal)) if image is not None)
        image = rgb if rgb is not None else thermal
        return torch.from_numpy(image).permute(2, 0, 1).float() * self.factors[given]


def frames_of_draws(count: int, cameras: str = "rgb+thermal") -> list[Sample]:
    """Frames whose images are calibrated scores."""
    scores, truth = draws(count * 48 * 64)
    maps, labels = scores.reshape(count, 48, 64, 4), truth.reshape(count, 48, 64).astype(np.uint8)
    labels[:, :4] = 255
    images = [[maps[i] if name in cameras else None for name in ("rgb", "thermal")] for i in range(count)]
    return [Sample(str(i), *images[i], labels[i]) for i in range(count)]


def test_each_set_of_cameras_has_its_own_temperature() -> None:
    frames = frames_of_draws(12)
    found = fit.fit(StubSegmenter(), [Source("a", frames, LABELS, len(frames))])
    assert found.temperature == pytest.approx(TEMPERATURE, rel=0.05)
    assert all(bias == () or max(map(abs, bias)) < 0.2 for bias in found.class_bias), "there is none to find"


def test_frames_of_one_camera_fit_that_one_alone() -> None:
    frames = frames_of_draws(12, "thermal")
    found = fit.fit(StubSegmenter(), [Source("a", frames, LABELS, len(frames))])
    assert found.temperature == (1.0, 1.0, pytest.approx(TEMPERATURE[2], rel=0.05))
    assert found.class_bias[:2] == ((), ())


def with_temperature(model: SARTM) -> SARTM:
    model.info = replace(model.info, confidence=Confidence(TEMPERATURE, BIAS), preprocess=PreprocessConfig((64, 96)))
    return model


def test_the_graph_calibrates_for_the_cameras_at_hand(nano: SARTM) -> None:
    rgb, thermal = make_batch()
    plain = FoldedSARTM(nano)
    warm, warm_info = FoldedSARTM(with_temperature(nano)), nano.info.confidence
    assert not plain.calibrated, "weights without a temperature pay nothing"
    layout, fixed = plain.layout((64, 96)), FixedGraph(warm, (64, 96))
    given = ((True, True), (True, False), (False, True))
    with torch.inference_mode():
        for present, temperature, bias in zip(given, TEMPERATURE, BIAS, strict=True):
            images = [image if here else None for image, here in zip((rgb, thermal), present, strict=True)]
            expected = plain(*images, layout) / temperature + torch.tensor(bias or 0.0).view(-1, 1, 1)
            torch.testing.assert_close(warm_info.applied(plain(*images, layout), *present), expected)
            torch.testing.assert_close(warm(*images, layout), expected)
            by_flag = fixed(rgb, thermal, torch.tensor(present))
            torch.testing.assert_close(by_flag, expected, atol=1e-4, rtol=1e-4)


def test_without_a_bias_masks_stay_and_the_confidence_changes(tmp_path: Path) -> None:
    model = with_temperature(make_model())
    path = model.save(tmp_path / "weights.safetensors")
    warm = Segmenter.load(path, **PLAIN)
    model.info = replace(model.info, confidence=Confidence())
    plain = Segmenter(model.eval(), **PLAIN)
    assert warm.info.confidence == Confidence(TEMPERATURE, BIAS)
    before, after = (segmenter(*make_frames()) for segmenter in (plain, warm))
    np.testing.assert_array_equal(before.mask, after.mask)
    assert after.confidence.mean() < before.confidence.mean(), "T = 2: less sure"


def test_old_files_have_no_temperature_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    path = make_model().save(tmp_path / "weights.safetensors")
    content = read_metadata(path)
    assert content["info"].pop("confidence") == {"temperature": [1.0, 1.0, 1.0], "class_bias": [[], [], []]}
    assert from_dict(ModelInfo, content["info"]).confidence == Confidence() == SARTM.load(path).info.confidence
    with pytest.raises(ValueError, match="temperature: got .*, expected positive"):
        Confidence((1.0, 0.0, 1.0))
    with pytest.raises(ValueError, match="class_bias: got .*, expected a bias"):
        Confidence(class_bias=((0.0, 1.0), (0.0, 1.0, 2.0), ()))


def test_a_run_ends_with_fitted_weights_and_an_heir_starts_without(tmp_path: Path) -> None:
    config, output = write_config(tmp_path, trainer={"max_steps": 2}), tmp_path / "run"
    assert train.main(command(config, output)) == 0
    metrics = json.loads((output / "metrics.json").read_text())
    model = SARTM.load(output / "weights.safetensors")
    assert to_dict(model.info.confidence) == metrics["confidence"] and metrics["finished"]
    assert model.info.confidence != Confidence()
    assert model.info.metrics["miou"] == metrics["miou"], "the rest of the metadata stays"
    before = (output / "weights.safetensors").read_bytes()
    assert train.main(command(config, output)) == 0
    assert (output / "weights.safetensors").read_bytes() == before, "a second command has nothing to do"
    values = yaml.safe_load((output / "config.yaml").read_text())
    heir = build_model(from_dict(TrainConfig, {**values, "init": str(output / "weights.safetensors")}))
    assert heir.info.confidence == Confidence()


def test_a_run_need_not_fit(tmp_path: Path) -> None:
    config, output = write_config(tmp_path, trainer={"max_steps": 1}), tmp_path / "run"
    assert train.main(command(config, output, "--trainer.fit_confidence", "false")) == 0
    assert SARTM.load(output / "weights.safetensors").info.confidence == Confidence()
    assert "confidence" not in json.loads((output / "metrics.json").read_text())


def test_command_fits_old_files_of_half_precision_and_changes_nothing_else(tmp_path: Path, capsys) -> None:
    model = with_temperature(make_model())
    model.info = replace(model.info, metrics={"miou": 0.5})
    old = model.save(tmp_path / "old.safetensors", dtype=torch.float16)
    root, new = write_folder(tmp_path / "data"), tmp_path / "new.safetensors"
    arguments = ["--checkpoint", str(old), "--data", str(root), "--device", "cpu"]
    assert fit_confidence.main([*arguments, "--output", str(new)]) == 0
    fitted = SARTM.load(new).info
    assert fitted.metrics == {"miou": 0.5} and fitted.confidence != model.info.confidence
    assert f"thermal: temperature {fitted.confidence.temperature[2]:.3f}" in capsys.readouterr().out
    assert abs(new.stat().st_size - old.stat().st_size) < 1000, "still of half precision"
    assert fit_confidence.main([*arguments, "--output", str(old)]) == 0
    assert SARTM.load(old).info.confidence == fitted.confidence, "whatever it had before"


@pytest.mark.parametrize(
    "options,message",
    [
        ([], "give --data DIR or --synthetic N"),
        (["--data", "nowhere"], "nowhere"),
        (["--sintetic", "1"], "--synthetic"),
    ],
)
def test_wrong_commands_say_what_is_wrong(tmp_path: Path, capsys, options: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as stop:
        fit_confidence.main([*options, "--output", str(tmp_path / "new.safetensors")])
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_diagram_with_and_without_pixels(tmp_path: Path) -> None:
    scores, truth = draws(5000)
    counts = ReliabilityByPixels()
    counts.update(*winners(scores * 2), truth)
    rows = [{kind: c.as_dict() for kind, c in of.by_pixels().items()} for of in (counts, ReliabilityByPixels())]
    plot_reliability(dict(zip(("rgb", "thermal"), rows, strict=True)), tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").stat().st_size > 10_000
