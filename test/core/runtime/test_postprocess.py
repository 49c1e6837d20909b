"""Class ids and confidence from scores: the short way to the ids gives what the long way gives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sartm_core.runtime import postprocess
from sartm_core.runtime.postprocess import class_ids, enlarge, ids_and_confidence

TIE = 1e-5


def smooth_scores(classes: int, height: int, width: int, seed: int, region: int = 6) -> torch.Tensor:
    """(C, h, w) with regions of some pixels across, as a network gives them."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, classes, max(height // region, 2), max(width // region, 2), generator=generator)
    return F.interpolate(coarse, (height, width), mode="bicubic")[0] * 5


def assert_same_classes(scores: torch.Tensor, size: tuple[int, int]) -> None:
    ids, full = class_ids(scores, size), enlarge(scores, size)
    assert ids.dtype == torch.uint8 and tuple(ids.shape) == size
    chosen = full.gather(0, ids.long()[None])[0]
    assert (full.amax(0) - chosen).max() < TIE  # the chosen class wins, or ties with the winner


@settings(max_examples=60, deadline=None)
@given(
    classes=st.integers(1, 9), height=st.integers(1, 40), width=st.integers(1, 40), tall=st.integers(1, 200),
    wide=st.integers(1, 200), seed=st.integers(0, 99), region=st.sampled_from([6, 20]),
)  # fmt: skip
def test_ids_equal_those_of_enlarged_scores(
    classes: int, height: int, width: int, tall: int, wide: int, seed: int, region: int
) -> None:
    assert_same_classes(smooth_scores(classes, height, width, seed, region), (tall, wide))


@settings(max_examples=60, deadline=None)
@given(
    classes=st.integers(1, 9), height=st.integers(1, 40), width=st.integers(1, 40), times=st.sampled_from([2, 4, 8]),
    seed=st.integers(0, 99), region=st.sampled_from([6, 20]),
)  # fmt: skip
def test_whole_numbers_of_pixels_per_score(
    classes: int, height: int, width: int, times: int, seed: int, region: int
) -> None:
    assert_same_classes(smooth_scores(classes, height, width, seed, region), (times * height, times * width))


@pytest.mark.parametrize("size", [(240, 320), (250, 320), (180, 240)])
def test_only_pixels_along_borders_are_enlarged(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    scores = smooth_scores(4, 60, 80, 0, region=30)
    expected = enlarge(scores, size).argmax(0)
    monkeypatch.setattr(postprocess, "enlarge", lambda *_: pytest.fail("enlarged all"))
    assert (class_ids(scores, size) == expected).all()


def test_scores_without_regions_are_enlarged_at_once() -> None:
    assert_same_classes(torch.randn(5, 20, 30), (80, 120))


def test_ids_and_confidence_by_hand() -> None:
    logits = torch.log(torch.tensor([[[0.2, 0.7]], [[0.8, 0.3]]]))  # (C=2, H=1, W=2) of probabilities
    ids, confidence = ids_and_confidence(logits, (1, 2))
    assert ids.tolist() == [[1, 0]] and confidence.tolist() == [[204, 178]]


def test_confidence_is_the_softmax_of_the_winner() -> None:
    scores = smooth_scores(5, 30, 40, 3)
    ids, confidence = ids_and_confidence(scores, (90, 100))
    probability = enlarge(scores, (90, 100)).softmax(0)
    assert (ids == probability.argmax(0)).all()
    torch.testing.assert_close(confidence.float(), probability.amax(0) * 255, atol=0.51, rtol=0)
