"""Bootstrap intervals against what theory says of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sartm_core.compare.bootstrap import interval, resampled_sums
from sartm_core.compare.config import CompareConfig
from sartm_core.compare.run import FrameCounts, count
from sartm_core.compare.scores import scores, verdict
from sartm_core.evaluate.conventions import usual
from sartm_core.evaluate.metrics import ConfusionMatrix

CLASSES = ("unlabeled", "car", "person")
ALL_SKIP = usual("folder")


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.integers(0, 10**6)),
    st.integers(0, 99),
)
def test_a_resample_is_a_sum_of_as_many_frames(values: np.ndarray, seed: int) -> None:
    with_ones = np.column_stack((values, np.ones(len(values), np.int64)))
    sums = resampled_sums(with_ones, 130, seed)
    assert sums.shape == (130, values.shape[1] + 1) and (sums[:, -1] == len(values)).all()
    assert (sums[:, :-1] >= len(values) * values.min(axis=0)).all()
    assert (sums[:, :-1] <= len(values) * values.max(axis=0)).all()
    np.testing.assert_array_equal(sums, resampled_sums(with_ones, 130, seed))


def test_the_interval_of_a_mean_is_as_wide_as_its_standard_error_says() -> None:
    values = np.random.default_rng(0).normal(3, 2, (400, 1))
    low, high = interval(resampled_sums(values, 4000, 0)[:, 0] / 400, 0.95)
    error = values.std() / np.sqrt(400)
    assert (high - low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.05)
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.1 * error)


def test_what_has_no_value_makes_no_interval() -> None:
    assert interval(np.full(100, np.nan), 0.9) is None
    assert interval(np.array([np.nan, 2.0, 2.0]), 0.9) == (2, 2)


def frame(name: str, truth: np.ndarray, a: np.ndarray, b: np.ndarray) -> FrameCounts:
    return count(name, truth, a, b, len(CLASSES))


def frames_of(seed: int, number: int, wrong: tuple[float, float]) -> list[FrameCounts]:
    """Frames in which A and B get a share of the pixels wrong; how hard a frame is varies, for both alike."""
    rng = np.random.default_rng(seed)
    out = []
    for i in range(number):
        truth = rng.integers(0, 3, (20, 30)).astype(np.uint8)
        hard = rng.uniform(0.2, 1.8)
        masks = [np.where(rng.random(truth.shape) < share * hard, (truth + 1) % 3, truth) for share in wrong]
        out.append(frame(f"f{i}", truth, *(mask.astype(np.uint8) for mask in masks)))
    return out


def test_a_clear_difference_is_found_and_none_is_not_invented() -> None:
    better = scores(frames_of(0, 40, (0.30, 0.25)), CLASSES, ALL_SKIP, CompareConfig())
    assert verdict(better["all"]["miou"]) == "B" and list(better) == ["all"], "names of one group"
    few = CompareConfig(resamples=200)
    even = [scores(frames_of(seed, 20, (0.3, 0.3)), CLASSES, ALL_SKIP, few) for seed in range(20)]
    verdicts = [verdict(found["all"]["miou"]) for found in even]
    assert verdicts.count("unclear") >= 16, "of twenty intervals of 95 %, about one misses"


def test_the_seed_moves_the_interval_and_nothing_else() -> None:
    inside = frames_of(2, 8, (0.3, 0.2))
    one, two = (scores(inside, CLASSES, ALL_SKIP, CompareConfig(seed=seed))["all"]["miou"] for seed in (0, 1))
    assert one["difference"] == two["difference"] and one["interval"] != two["interval"]


def test_a_class_in_few_frames_has_no_interval() -> None:
    empty, one = np.zeros((4, 4), np.uint8), np.eye(4, dtype=np.uint8)
    inside = [frame(f"f{i}", one if i < 4 else empty, one, empty) for i in range(20)]
    row = scores(inside, CLASSES, ALL_SKIP, CompareConfig(resamples=100))["all"]["classes"]
    assert row["car"]["frames"] == 4 and row["car"]["difference"] < 0 and row["car"]["interval"] is None
    assert row["unlabeled"]["interval"] is not None


def test_swapping_the_two_mirrors_everything() -> None:
    inside = frames_of(3, 12, (0.3, 0.2))
    swapped = [replace(one, counts=one.counts[::-1]) for one in inside]
    here, back = (scores(pairs, CLASSES, ALL_SKIP, CompareConfig())["all"]["miou"] for pairs in (inside, swapped))
    assert (back["a"], back["b"], back["difference"]) == (here["b"], here["a"], -here["difference"])
    assert back["interval"] == pytest.approx([-here["interval"][1], -here["interval"][0]])


def test_pairing_takes_out_what_is_hard_for_both() -> None:
    pairs = frames_of(1, 40, (0.3, 0.27))
    low, high = scores(pairs, CLASSES, ALL_SKIP, CompareConfig())["all"]["miou"]["interval"]
    counts = np.stack([one.counts for one in pairs]).reshape(40, -1)
    a, b = (resampled_sums(counts, 2000, seed).reshape(-1, 2, 3, 3)[:, m] for seed, m in ((1, 0), (2, 1)))
    loose = np.subtract(*((sums[:, 0] / sums[:, 1]).mean(axis=1) for sums in (b, a)))
    assert high - low < 0.5 * np.subtract(*np.quantile(loose, (0.975, 0.025)))


def test_groups_and_absent_classes() -> None:
    truth = np.zeros((4, 4), np.uint8)
    truth[0] = 1
    wrong = truth.copy()
    wrong[1] = 1
    inside = [
        frame("00001D", truth, wrong, truth),
        frame("00002D", truth, truth, truth),
        frame("00003N", truth, truth, wrong),
    ]
    found = scores(inside, CLASSES, ALL_SKIP, CompareConfig(resamples=100))
    assert {name: row["frames"] for name, row in found.items()} == {"all": 3, "day": 2, "night": 1}
    assert found["night"]["miou"]["interval"] is None and found["night"]["miou"]["difference"] < 0
    absent = found["all"]["classes"]["person"]
    assert absent == {"a": None, "b": None, "difference": None, "interval": None, "frames": 0, "true_pixels": 0}
    matrix = ConfusionMatrix(3)
    for guess in (wrong, truth):
        matrix.update(guess, truth)
    assert found["day"]["miou"]["a"] == matrix.miou() and found["day"]["miou"]["b"] == 1
