"""Segmentation losses and the whole objective against independent computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sartm_core.losses.ce import ce_loss
from sartm_core.losses.config import LossConfig
from sartm_core.losses.objective import Objective
from sartm_core.losses.ohem import hard_pixels, ohem_loss
from sartm_core.model.sartm import SARTMOutput

WEIGHTS = torch.tensor([1.0, 0.5, 4.0])


def brute_force_ohem(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> float:
    losses = sorted(
        (
            -F.log_softmax(logits[b, :, y, x], 0)[target[b, y, x]].item()
            * (1.0 if weights is None else weights[target[b, y, x]].item())
            for b, y, x in np.ndindex(*target.shape)
            if target[b, y, x] != 255
        ),
        reverse=True,
    )
    hard = [value for value in losses if value > -math.log(0.7)]
    fewest = max(1, len(losses) // 16)
    return float(np.mean(hard if len(hard) >= fewest else losses[:fewest]))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("scale", [0.1, 20.0])  # nearly all pixels hard, nearly none
def test_ohem_equals_brute_force(scale: float, weights: Tensor | None) -> None:
    torch.manual_seed(0)
    target = torch.randint(0, 3, (2, 8, 8))
    logits = torch.randn(2, 3, 8, 8) + scale * F.one_hot(target, 3).permute(0, 3, 1, 2)
    target[:, :2] = 255
    expected = brute_force_ohem(logits, target, weights)
    assert ohem_loss(logits, target, weights).item() == pytest.approx(expected, rel=1e-5)


def test_ohem_learns_from_hard_pixels_only() -> None:
    target = torch.tensor([[[0, 0, 1, 255]]])
    logits = torch.tensor([[5.0, -1.0, 0.5, -5.0], [0.0, 0.0, 0.0, 5.0]]).view(1, 2, 1, 4).requires_grad_()
    ohem_loss(logits, target).backward()
    touched = (logits.grad != 0).any(1).flatten()
    assert touched.tolist() == [False, True, True, False]


def test_pixels_that_tie_for_the_last_places_share_them() -> None:
    """64 valid pixels give 4 places: the hardest takes one, six equal ones share the other three."""
    loss = torch.full((70,), 0.01)
    loss[5], loss[[10, 20, 30, 40, 50, 60]], loss[64:] = 0.3, 0.2, -1.0
    share, count = hard_pixels(loss)
    assert count == 4 and share.sum().item() == pytest.approx(4)
    assert share[5] == 1 and share[[10, 20, 30, 40, 50, 60]].tolist() == [0.5] * 6
    order = torch.randperm(70)
    assert torch.equal(hard_pixels(loss[order])[0], share[order])


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_ce_equals_torch(weights: Tensor | None) -> None:
    logits, target = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    target[0, :3] = 255
    torch.testing.assert_close(
        ce_loss(logits, target, weights), F.cross_entropy(logits, target, weights, ignore_index=255)
    )


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("loss", [ohem_loss, ce_loss])
def test_losses_without_a_valid_pixel_are_zero_with_a_gradient(loss, weights: Tensor | None) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    value = loss(logits, torch.full((1, 4, 4), 255), weights)
    value.backward()
    assert value.item() == 0 and torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("loss", [ohem_loss, ce_loss])
def test_losses_of_one_valid_pixel_are_its_cross_entropy(loss) -> None:
    logits, target = torch.randn(1, 3, 4, 4), torch.full((1, 4, 4), 255)
    target[0, 2, 1] = 1
    assert loss(logits, target).item() == pytest.approx(-logits[0, :, 2, 1].log_softmax(0)[1].item(), rel=1e-6)


@pytest.mark.parametrize("loss", [ohem_loss, ce_loss])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_of_half_precision_logits_are_close(loss, dtype: torch.dtype) -> None:
    logits, target = torch.randn(1, 3, 8, 8), torch.randint(0, 3, (1, 8, 8))
    assert loss(logits.to(dtype), target).item() == pytest.approx(loss(logits, target).item(), rel=0.02)


@pytest.mark.parametrize("loss", [ohem_loss, ce_loss])
def test_a_broken_pixel_is_not_passed_over(loss) -> None:
    logits, target = torch.randn(1, 3, 8, 8), torch.randint(0, 3, (1, 8, 8))
    logits[0, 0, 3, 3] = torch.nan
    assert loss(logits, target).isnan()


# --- the whole objective ------------------------------------------------------------------------------------------


def make_output(aux: bool = True, classes: int = 3) -> tuple[SARTMOutput, Tensor]:
    """What a model with width 8 might give for a batch (2, 32, 48), as leaves; and labels with some pixels ignored."""
    logits, second = (torch.randn(2, classes, 32, 48, requires_grad=True) for _ in range(2))
    label = torch.randint(0, classes, (2, 2, 3)).repeat_interleave(16, 1).repeat_interleave(16, 2)
    label[:, :5] = 255
    return SARTMOutput(logits, second if aux else None, torch.randn(2, 8, 2, 3, requires_grad=True)), label


def make_objective(text: bool = True, **changes) -> Objective:
    settings = {"w0": 1.0, "w1": 0.5, "w2": 100.0, "w3": 10.0, "teacher": "clip"}
    return Objective(LossConfig(**{**settings, **changes}), 3, 8, F.normalize(torch.randn(3, 5)) if text else None)


def test_the_objective_is_the_weighted_sum_of_its_terms() -> None:
    objective, (out, label) = make_objective(), make_output()
    objective(out, label)  # fills the bank, so that L_cr is not zero
    terms = objective(*make_output())
    assert set(terms) == {"loss", "s0", "s1", "cr", "se"}
    assert all(terms[name] > 0 and not terms[name].requires_grad for name in ("s0", "s1", "cr", "se"))
    expected = terms["s0"] + 0.5 * terms["s1"] + 100 * terms["cr"] + 10 * terms["se"]
    torch.testing.assert_close(terms["loss"].detach(), expected)


def test_every_output_receives_gradient_from_the_objective() -> None:
    objective = make_objective()
    objective(*make_output())
    out, label = make_output()
    objective(out, label)["loss"].backward()
    for leaf in (out.logits, out.aux_logits, out.fused):
        assert leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "changes,aux,names",
    [
        ({}, False, {"s0", "cr", "se"}),
        ({"w0": 0.0}, True, {"s1", "cr", "se"}),
        ({"w1": 0.0}, True, {"s0", "cr", "se"}),
        ({"w2": 0.0}, True, {"s0", "s1", "se"}),
        ({"w3": 0.0}, True, {"s0", "s1", "cr"}),
        ({"text": False}, True, {"s0", "s1", "cr"}),  # teacher: none
        ({"preset": "sartm", "w0": None, "w1": None, "w2": None, "w3": None}, True, {"s0", "s1"}),
    ],
)
def test_terms_of_weight_zero_are_left_out(changes: dict, aux: bool, names: set[str]) -> None:
    out, label = make_output(aux)
    terms = make_objective(**changes)(out, label)
    assert set(terms) == {"loss", *names}
    terms["loss"].backward()
    for name, leaf in (("s0", out.logits), ("s1", out.aux_logits)):
        if leaf is not None:  # also without weight there is a gradient, of zeros: data parallel training waits for it
            assert bool(leaf.grad.any()) == (name in names)
    assert (out.fused.grad is not None) == bool(names & {"cr", "se"})


def test_class_weights_reach_both_heads() -> None:
    weighted, plain = (make_objective(kind="ce", class_weights=w, w2=0.0, w3=0.0) for w in ((1.0, 0.5, 4.0), None))
    out, label = make_output()
    terms, unweighted = weighted(out, label), plain(out, label)
    for name, logits in (("s0", out.logits), ("s1", out.aux_logits)):
        torch.testing.assert_close(terms[name], F.cross_entropy(logits.detach(), label, WEIGHTS, ignore_index=255))
        assert terms[name] != unweighted[name]


def test_the_bank_follows_training_steps_whatever_the_weights_are() -> None:
    batch = make_output()
    on, off = make_objective(), make_objective(w2=0.0, w3=0.0)
    on.load_state_dict(off.state_dict())
    for objective in (on, off):
        objective(*batch)
    assert on.seen.any() and torch.equal(on.bank, off.bank) and torch.equal(on.seen, off.seen)
    before = on.bank.clone()
    on.eval()(*make_output())
    assert torch.equal(on.bank, before), "it rests in eval mode"


def test_an_objective_continues_from_its_state() -> None:
    first = make_objective()
    first(*make_output())
    second = make_objective()
    second.load_state_dict(first.state_dict())
    for _ in range(2):
        batch = make_output()
        assert torch.equal(first(*batch)["loss"], second(*batch)["loss"])
    assert {name for name, _ in first.named_buffers()} >= {"bank", "seen", "text"}
    assert all(b.is_floating_point() for b in first.buffers()), "an average over weights averages buffers too"
    assert set(make_objective(text=False, class_weights=(1.0, 2.0, 3.0)).state_dict()) == {"bank", "seen"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_objective_of_half_precision_outputs_is_float32_and_close(dtype: torch.dtype) -> None:
    full, half = make_objective(), make_objective()
    half.load_state_dict(full.state_dict())
    for step in range(2):  # the second step has a bank to compare with
        out, label = make_output()
        low = SARTMOutput(out.logits.to(dtype), out.aux_logits.to(dtype), out.fused.to(dtype))
        with torch.autocast("cpu", dtype):
            terms = half(low, label)
        for name, value in full(out, label).items():
            assert terms[name].dtype == torch.float32, name
            assert terms[name].item() == pytest.approx(value.item(), rel=0.03, abs=1e-4), (step, name)
    assert half.bank.dtype == torch.float32


def test_a_batch_without_labels_costs_nothing_and_changes_nothing() -> None:
    objective, (out, label) = make_objective(), make_output()
    objective(*make_output())
    bank = objective.bank.clone()
    terms = objective(out, torch.full_like(label, 255))
    terms["loss"].backward()
    assert all(value == 0 for value in terms.values()) and torch.equal(objective.bank, bank)
    for leaf in (out.logits, out.aux_logits, out.fused):
        assert torch.equal(leaf.grad, torch.zeros_like(leaf))


def test_text_of_another_class_count_is_refused() -> None:
    with pytest.raises(ValueError, match=r"text has shape \(4, 5\), expected \(3, D\)"):
        Objective(LossConfig(), 3, 8, torch.randn(4, 5))
