"""Prototypes, L_cr and L_se against hand-computed and brute-force values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from sartm_core.losses.consistency import consistency_loss, update_bank
from sartm_core.losses.prototypes import class_prototypes, resize_nearest
from sartm_core.losses.semantic import self_similarity, semantic_loss

HALF = (torch.float16, torch.bfloat16)


# --- MAP ----------------------------------------------------------------------------------------------------------


def loop_prototypes(features: Tensor, label: Tensor, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Per pixel, in float64: the label pixel nearest to the centre of each feature cell names its class."""
    batch, width, h, w = features.shape
    sums, counts = np.zeros((num_classes, width)), np.zeros(num_classes)
    for b, y, x in np.ndindex(batch, h, w):
        row, column = (math.floor((i + 0.5) * n / m) for i, n, m in ((y, label.shape[1], h), (x, label.shape[2], w)))
        if (c := int(label[b, row, column])) != 255:
            sums[c] += features[b, :, y, x].double().numpy()
            counts[c] += 1
    return sums / np.maximum(counts, 1)[:, None], counts > 0


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)),
    stride=st.sampled_from([1, 2, 3, 16]),
    classes=st.integers(2, 6),
    seed=st.integers(0, 1000),
)
def test_prototypes_equal_a_loop_over_pixels(shape: tuple, stride: int, classes: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    features = torch.randn(shape, generator=rng)
    label = torch.randint(0, classes + 1, (shape[0], stride * shape[2], stride * shape[3]), generator=rng)
    label[label == classes] = 255
    prototypes, present = class_prototypes(features, label, classes)
    expected, expected_present = loop_prototypes(features, label, classes)
    np.testing.assert_allclose(prototypes.numpy(), expected, atol=1e-5)
    assert present.tolist() == expected_present.tolist()


@given(fine=st.integers(1, 70), coarse=st.integers(1, 70))
@settings(max_examples=60, deadline=None)
def test_labels_are_taken_from_the_pixel_nearest_to_each_centre(fine: int, coarse: int) -> None:
    taken = resize_nearest(torch.arange(fine).view(1, 1, fine), (1, coarse)).flatten().tolist()
    for cell, pixel in enumerate(taken):
        distances = [abs((2 * p + 1) * coarse - (2 * cell + 1) * fine) for p in range(fine)]  # times 2 * fine * coarse
        assert distances[pixel] == min(distances)


def test_labels_at_stride_16_come_from_the_middle_of_the_cell() -> None:
    label = torch.arange(64 * 96).view(1, 64, 96)
    assert torch.equal(resize_nearest(label, (4, 6)), label[:, 8::16, 8::16])
    expected = F.interpolate(label[None].double(), (4, 6), mode="nearest-exact")[0]
    assert torch.equal(resize_nearest(label, (4, 6)).double(), expected)


def test_a_prototypes_gradient_is_shared_by_its_pixels() -> None:
    features = torch.randn(2, 3, 2, 2, requires_grad=True)
    label = torch.tensor([[[0, 0], [1, 255]], [[0, 1], [1, 1]]])
    class_prototypes(features, label, 3)[0].sum().backward()
    expected = torch.tensor([[[1 / 3, 1 / 3], [1 / 4, 0]], [[1 / 3, 1 / 4], [1 / 4, 1 / 4]]])
    torch.testing.assert_close(features.grad, expected[:, None].expand(2, 3, 2, 2))


def test_all_pixels_ignored_gives_no_prototype_and_a_zero_gradient() -> None:
    features = torch.randn(1, 3, 2, 2, requires_grad=True)
    prototypes, present = class_prototypes(features, torch.full((1, 32, 32), 255), 4)
    prototypes.sum().backward()
    assert not present.any() and torch.equal(prototypes, torch.zeros(4, 3))
    assert torch.equal(features.grad, torch.zeros_like(features))


@pytest.mark.parametrize("dtype", HALF)
def test_prototypes_of_half_precision_features_are_float32_and_close(dtype: torch.dtype) -> None:
    features, label = 300 * torch.rand(4, 3, 16, 16), torch.zeros(4, 16, 16, dtype=torch.int64)
    prototypes, _ = class_prototypes(features.to(dtype), label, 2)  # the sum of 1024 of these is no fp16 number
    assert prototypes.dtype == torch.float32
    torch.testing.assert_close(prototypes[0], features.mean((0, 2, 3)), rtol=1e-2, atol=0)


# --- L_cr ---------------------------------------------------------------------------------------------------------


def test_consistency_equals_the_hand_computed_value() -> None:
    """Class 0 counts; class 1 is not in the batch, class 2 is new to the bank."""
    prototypes = torch.tensor([[math.log(3.0), 0.0], [9.0, 9.0], [5.0, -5.0]])  # softmax of row 0: 3/4, 1/4
    bank = torch.tensor([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]])  # softmax of row 0: 1/2, 1/2
    present, seen = torch.tensor([True, False, True]), torch.tensor([1.0, 1.0, 0.0])
    expected = (0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)) / 2  # mean over the two elements
    assert consistency_loss(prototypes, present, bank, seen).item() == pytest.approx(expected, rel=1e-6)


def test_consistency_is_the_element_mean_over_the_classes_that_count() -> None:
    prototypes, bank = torch.randn(5, 7), torch.randn(5, 7)
    present, seen = torch.tensor([1, 1, 0, 1, 0]).bool(), torch.tensor([1.0, 0, 1, 1, 0])
    rows = [0, 3]
    expected = F.kl_div(F.log_softmax(prototypes[rows], 1), F.softmax(bank[rows], 1), reduction="none").mean()
    torch.testing.assert_close(consistency_loss(prototypes, present, bank, seen), expected)
    assert consistency_loss(bank, present, bank, seen).item() == pytest.approx(0, abs=1e-7)


def test_consistency_of_a_single_class_pulls_its_prototype_towards_the_bank() -> None:
    prototypes, bank = torch.randn(3, 6, requires_grad=True), torch.randn(3, 6)
    only = torch.tensor([False, True, False])
    loss = consistency_loss(prototypes, only, bank, torch.ones(3))
    loss.backward()
    assert loss > 0 and torch.equal(prototypes.grad.any(1), only)
    closer = (prototypes - prototypes.grad).detach()
    assert consistency_loss(closer, only, bank, torch.ones(3)) < loss


@pytest.mark.parametrize("present,seen", [([0, 0], [1.0, 1.0]), ([1, 1], [0.0, 0.0]), ([1, 0], [0.0, 1.0])])
def test_consistency_without_a_class_that_counts_is_zero_with_a_gradient(present: list, seen: list) -> None:
    prototypes = torch.randn(2, 4, requires_grad=True)
    loss = consistency_loss(prototypes, torch.tensor(present).bool(), torch.randn(2, 4), torch.tensor(seen))
    loss.backward()
    assert loss.item() == 0 and torch.equal(prototypes.grad, torch.zeros(2, 4))


def test_the_bank_moves_by_a_tenth_and_starts_at_the_first_prototype() -> None:
    bank, seen = torch.tensor([[10.0, 20.0], [1.0, 2.0], [0.0, 0.0]]), torch.tensor([1.0, 1.0, 0.0])
    prototypes = torch.tensor([[0.0, 40.0], [7.0, 7.0], [3.0, -3.0]], requires_grad=True)
    update_bank(bank, seen, prototypes, torch.tensor([True, False, True]))
    torch.testing.assert_close(bank, torch.tensor([[9.0, 22.0], [1.0, 2.0], [3.0, -3.0]]))
    assert seen.tolist() == [1, 1, 1] and not bank.requires_grad
    update_bank(bank, seen, prototypes, torch.zeros(3, dtype=torch.bool))
    torch.testing.assert_close(bank, torch.tensor([[9.0, 22.0], [1.0, 2.0], [3.0, -3.0]]))


def test_an_overflow_does_not_poison_the_bank() -> None:
    bank, seen = torch.ones(2, 2), torch.tensor([1.0, 0.0])
    update_bank(bank, seen, torch.tensor([[math.inf, 0.0], [math.nan, 1.0]]), torch.ones(2).bool())
    assert torch.equal(bank, torch.ones(2, 2)) and seen.tolist() == [1, 0]


# --- L_se ---------------------------------------------------------------------------------------------------------


def test_semantic_equals_the_hand_computed_value() -> None:
    """Orthogonal prototypes, names at 60 degrees: rows softmax(1, 0) and softmax(1, 1/2), twice."""
    prototypes, text = torch.tensor([[2.0, 0.0], [0.0, 0.5]]), torch.tensor([[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    p, q = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-0.5))  # first element of each softmax
    expected = 2 * (q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))) / 4  # mean over 2 x 2
    assert semantic_loss(prototypes, torch.ones(2).bool(), text).item() == pytest.approx(expected, rel=1e-5)


def test_semantic_leaves_out_absent_classes() -> None:
    prototypes, text = torch.randn(6, 8), torch.randn(6, 5)
    present = torch.tensor([1, 0, 1, 1, 0, 1]).bool()
    prototypes[~present] = 0  # as MAP gives them
    student, teacher = (self_similarity(x[present]) for x in (prototypes, text))
    expected = F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="none").mean()
    torch.testing.assert_close(semantic_loss(prototypes, present, text), expected)


def test_semantic_is_zero_for_equal_relations_whatever_the_lengths() -> None:
    text = torch.randn(4, 6)
    scaled = text * torch.tensor([1.0, 2.0, 0.3, 40.0])[:, None]
    assert semantic_loss(scaled, torch.ones(4).bool(), text).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("present", [[0, 0, 0], [0, 1, 0]])
def test_semantic_of_fewer_than_two_classes_is_zero_with_a_gradient(present: list) -> None:
    prototypes = torch.randn(3, 4) * torch.tensor(present)[:, None]
    prototypes.requires_grad_()
    loss = semantic_loss(prototypes, torch.tensor(present).bool(), torch.randn(3, 5))
    loss.backward()
    assert loss.item() == 0 and torch.equal(prototypes.grad, torch.zeros(3, 4))


def test_semantic_pulls_the_relations_towards_the_names() -> None:
    prototypes, text = torch.randn(4, 8, requires_grad=True), torch.randn(4, 6)
    present = torch.tensor([True, True, False, True])
    loss = semantic_loss(prototypes, present, text)
    loss.backward()
    assert prototypes.grad.isfinite().all() and torch.equal(prototypes.grad.any(1), present)
    assert semantic_loss((prototypes - prototypes.grad).detach(), present, text) < loss
