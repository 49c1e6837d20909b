"""Scores and losses against independent computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchmetrics.classification import MulticlassConfusionMatrix

from sartm_core.losses.ohem import ce_loss, ohem_loss
from sartm_core.metrics import ConfusionMatrix


def test_confusion_matrix_equals_torchmetrics() -> None:
    rng = np.random.default_rng(0)
    guess, label = rng.integers(0, 4, (3, 20, 20)), rng.integers(0, 4, (3, 20, 20))
    label[rng.random(label.shape) < 0.2] = 255
    label[label == 2] = 0  # an absent class
    ours = ConfusionMatrix(5)
    for g, t in zip(guess, label, strict=True):
        ours.update(g, t)
    theirs = MulticlassConfusionMatrix(5, ignore_index=255)(torch.from_numpy(guess), torch.from_numpy(label)).numpy()
    assert (ours.counts[:, :5] == theirs).all()
    union = theirs.sum(0) + theirs.sum(1) - np.diag(theirs)
    assert np.isnan(ours.iou()[4]) and math.isnan(ours.accuracy()[2]) and ours.iou()[2] == 0
    np.testing.assert_allclose(ours.iou()[:4], (np.diag(theirs) / np.maximum(union, 1))[:4])
    assert ours.miou() == pytest.approx(np.mean(ours.iou()[:4]))


def test_unsure_prediction_is_a_miss() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([1, 255, 255]), np.array([1, 1, 255]))
    assert matrix.iou()[1] == 0.5 and matrix.accuracy()[1] == 0.5


def test_confusion_matrix_refuses_odd_input() -> None:
    with pytest.raises(ValueError, match="label: id 7 found, expected 0..1 or 255"):
        ConfusionMatrix(2).update(np.array([0]), np.array([7]))
    with pytest.raises(ValueError, match="prediction: got shape"):
        ConfusionMatrix(2).update(np.zeros((2, 2)), np.zeros((2, 3)))
    assert math.isnan(ConfusionMatrix(2).miou())


def brute_force_ohem(logits: torch.Tensor, target: torch.Tensor) -> float:
    losses = sorted(
        (
            -F.log_softmax(logits[b, :, y, x], 0)[target[b, y, x]].item()
            for b, y, x in np.ndindex(*target.shape)
            if target[b, y, x] != 255
        ),
        reverse=True,
    )
    hard = [value for value in losses if value > -math.log(0.7)]
    fewest = max(1, len(losses) // 16)
    return float(np.mean(hard if len(hard) >= fewest else losses[:fewest]))


@pytest.mark.parametrize("scale", [0.1, 20.0])  # nearly all pixels hard, nearly none
def test_ohem_equals_brute_force(scale: float) -> None:
    torch.manual_seed(0)
    target = torch.randint(0, 3, (2, 8, 8))
    logits = torch.randn(2, 3, 8, 8) + scale * F.one_hot(target, 3).permute(0, 3, 1, 2)
    target[:, :2] = 255
    assert ohem_loss(logits, target).item() == pytest.approx(brute_force_ohem(logits, target), rel=1e-5)


@pytest.mark.parametrize("loss", [ohem_loss, ce_loss])
def test_losses_without_a_valid_pixel_are_zero_with_a_gradient(loss) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    value = loss(logits, torch.full((1, 4, 4), 255))
    value.backward()
    assert value.item() == 0 and torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("loss", [ohem_loss, ce_loss])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_of_half_precision_logits_are_close(loss, dtype: torch.dtype) -> None:
    logits, target = torch.randn(1, 3, 8, 8), torch.randint(0, 3, (1, 8, 8))
    assert loss(logits.to(dtype), target).item() == pytest.approx(loss(logits, target).item(), rel=0.02)
