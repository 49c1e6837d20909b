"""`Segmenter.batch`: pairs of several cameras in one forward pass, each as if it were alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.preprocess.registration import Registration
from sartm_core.runtime.batching import FramePair
from sartm_core.runtime.network import GRIDS_KEPT
from sartm_core.runtime.segmenter import SegmentationResult, Segmenter
from test.core.conftest import PLAIN, make_frames, make_model, train_lora

SHIFTED = Registration.scale_shift((0.5, 0.5), (5, -3))
RANGE = ThermalNorm("range", 50.0, 150.0)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    model = train_lora(make_model()).eval()
    model.info = replace(model.info, preprocess=PreprocessConfig(input_size=(64, 96)))
    return Segmenter(model, name="tiny", **PLAIN)


def alone(segmenter: Segmenter, pair: FramePair) -> SegmentationResult:
    return segmenter(
        pair.rgb,
        pair.thermal,
        confidence_threshold=pair.confidence_threshold,
        registration=pair.registration,
        thermal_norm=pair.thermal_norm,
    )


@pytest.fixture
def passes(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Frames in each forward pass since the test began."""
    counts: list[int] = []
    run = segmenter._network._run

    def counted(rgb, thermal):
        counts.append(len(rgb if rgb is not None else thermal))
        return run(rgb, thermal)

    monkeypatch.setattr(segmenter._network, "_run", counted)
    return counts


def test_a_mixed_batch_equals_one_by_one_in_the_same_order(segmenter: Segmenter, passes: list[int]) -> None:
    rgb, thermal = make_frames(48, 72)
    large_rgb, large_thermal = make_frames(96, 144)  # other cameras, the same model size
    tall_rgb, tall_thermal = make_frames(96, 64)
    pairs = [
        FramePair(rgb, thermal),
        FramePair(tall_rgb, tall_thermal),
        FramePair(rgb[::-1], None),
        FramePair(rgb, thermal, registration=SHIFTED),
        FramePair(None, thermal),
        FramePair(rgb, thermal, thermal_norm=RANGE),
        FramePair(large_rgb, large_thermal[:40], confidence_threshold=0.5),
        FramePair(None, large_thermal, thermal_norm=RANGE),
    ]
    results = segmenter.batch(pairs)
    assert passes == [4, 1, 1, 2]
    for pair, result in zip(pairs, results, strict=True):
        single = alone(segmenter, pair)
        assert result.mask.shape == pair.size
        np.testing.assert_allclose(result.confidence.astype(int), single.confidence.astype(int), atol=1)
        assert (result.mask == single.mask).mean() > 0.999
        assert set(result.timing) == {"preprocess", "forward", "postprocess"}
    assert (results[6].mask == 255).any() and not (results[0].mask == 255).any()
    for other in (3, 5):  # registration and normalisation did something
        assert (results[other].confidence != results[0].confidence).mean() > 0.1


def test_timing_is_that_of_the_group(segmenter: Segmenter) -> None:
    rgb, thermal = make_frames()
    first, second, lone = segmenter.batch([FramePair(rgb, thermal), FramePair(rgb, thermal), FramePair(rgb, None)])
    assert first.timing == second.timing != lone.timing
    assert first.timing is not second.timing


def test_an_empty_batch_is_empty(segmenter: Segmenter, passes: list[int]) -> None:
    assert segmenter.batch([]) == [] and passes == []


def test_a_bad_frame_is_named_with_its_pair(segmenter: Segmenter, passes: list[int]) -> None:
    rgb, thermal = make_frames()
    with pytest.raises(ValueError, match=r"^pair 1: thermal: got shape \(48, 64\) float64"):
        segmenter.batch([FramePair(rgb, thermal), FramePair(rgb, thermal.astype(np.float64))])
    with pytest.raises(ValueError, match="^rgb, thermal: both are None"):
        segmenter.batch([FramePair(None, None)])
    with pytest.raises(ValueError, match=r"confidence_threshold: got 1.5, expected 0..1"):
        FramePair(rgb, thermal, confidence_threshold=1.5)
    assert passes == []


def test_registration_moves_what_thermal_shows(segmenter: Segmenter) -> None:
    """The registered frame gives what the same frame, moved by hand, gives."""
    rgb, thermal = make_frames(64, 96)
    moved = np.roll(thermal, (3, 8), (0, 1))
    moved[:3], moved[:, :8] = 0, 0
    unit = ThermalNorm("unit")
    registration = Registration((1, 0, 8, 0, 1, 3, 0, 0, 1))
    by_hand = segmenter(rgb, moved, thermal_norm=unit)
    warped = segmenter(rgb, thermal, registration=registration, thermal_norm=unit)
    assert (warped.mask == by_hand.mask).mean() > 0.999
    assert (segmenter(rgb, thermal, thermal_norm=unit).confidence != by_hand.confidence).mean() > 0.1


def test_sampling_grids_are_made_once_and_few_are_kept(segmenter: Segmenter) -> None:
    rgb, thermal = make_frames()
    segmenter._network._grid.cache_clear()
    for _ in range(3):
        segmenter(rgb, thermal, registration=Registration.scale_shift((0.5, 0.5), (5, -3)))
    assert segmenter._network._grid.cache_info()[:2] == (2, 1)  # hits, misses
    for shift in range(GRIDS_KEPT + 2):
        segmenter.inputs(FramePair(rgb, thermal, Registration.scale_shift((1, 1), (shift, 0))))
    assert segmenter._network._grid.cache_info().currsize == GRIDS_KEPT


@pytest.mark.parametrize("pad", ["none", "square"])
def test_scores_are_those_that_the_mask_was_made_of(pad: str) -> None:
    rgb, thermal = make_frames(64, 96)
    segmenter = Segmenter(make_model().eval(), preprocess=PreprocessConfig(input_size=(64, 96), pad=pad), **PLAIN)
    asked, plain = (segmenter.batch([FramePair(rgb, thermal, scores=wanted)])[0] for wanted in (True, False))
    assert plain.scores is None and asked.scores is not None
    assert asked.scores.shape == (16, 24, len(segmenter.classes)) and asked.scores.dtype == np.float32
    np.testing.assert_allclose(asked.scores.sum(-1), 1, atol=1e-5)
    expected = segmenter.scores(segmenter.inputs(FramePair(rgb, thermal)))[0, :, :16].softmax(0)  # without padding
    np.testing.assert_allclose(asked.scores, np.moveaxis(expected.numpy(), 0, -1), atol=1e-6)
    assert (asked.mask == plain.mask).all()
