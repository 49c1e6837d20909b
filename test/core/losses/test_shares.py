"""Gradient shares at F~n, and the ways to let the distillation terms act: balanced, centred, behind a projection."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sartm_core.losses.config import LossConfig
from sartm_core.losses.objective import STEEPEST, Objective
from sartm_core.losses.semantic import semantic_loss
from sartm_core.losses.shares import gradient_norms, gradient_shares
from sartm_core.model.sartm import SARTMOutput

PRESENT = torch.tensor([True, True, True])


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def make_output(dtype: torch.dtype = torch.float32) -> tuple[SARTMOutput, Tensor]:
    """Logits that depend on F~n (width 8, grid 2x3), as in the model; labels of three classes, 16 pixels a cell."""
    fused = torch.randn(2, 8, 2, 3, dtype=dtype, requires_grad=True)
    heads = [F.interpolate(torch.einsum("cd,bdhw->bchw", torch.randn(3, 8, dtype=dtype), fused), scale_factor=16)]
    heads.append(2 * heads[0].flip(1))
    label = torch.tensor([[[0, 1, 2], [2, 1, 0]]] * 2).repeat_interleave(16, 1).repeat_interleave(16, 2)
    return SARTMOutput(heads[0], heads[1], fused), label


def make_objective(**changes) -> Objective:
    settings = {"w0": 1.0, "w1": 0.5, "w2": 1.0, "w3": 1.0, "kind": "ce", "teacher": "clip", **changes}
    return Objective(LossConfig(**settings), 3, 8, F.normalize(torch.randn(3, 5)))


def with_bank(objective: Objective) -> Objective:
    """One step behind it, so that L_cr has something to be consistent with."""
    objective(*make_output())
    return objective


def test_norms_are_those_of_the_gradients_and_shares_of_the_weighted_ones() -> None:
    features = torch.randn(1, 2, 2, 2, requires_grad=True)
    terms = {"a": (0.5, 3 * features[:, 0].sum()), "b": (2.0, features.sum()), "off": (0.0, features.sum())}
    norms = gradient_norms(terms, features)
    assert {name: round(float(norm), 5) for name, norm in norms.items()} == {"a": 6.0, "b": 2.82843}
    shares = gradient_shares({"a": 0.5, "b": 2.0}, norms)
    assert float(shares["a"]) == pytest.approx(3 / (3 + 2 * 8**0.5)) and sum(shares.values()) == pytest.approx(1)
    assert features.grad is None


def test_terms_cut_off_from_the_features_give_no_shares() -> None:
    features, other = torch.randn(1, 2, 2, 2, requires_grad=True), torch.randn(3, requires_grad=True)
    assert gradient_norms({"a": (1.0, other.sum())}, features) == {} and gradient_shares({}, {}) == {}


def test_a_head_of_other_features_does_not_switch_the_shares_off() -> None:
    """Regression: one term without a gradient at F~n, and `balance` left L_cr and L_se at 0."""
    features, other = torch.randn(1, 2, 2, 2, requires_grad=True), torch.randn(3, requires_grad=True)
    terms = {"s0": (1.0, features.sum()), "s1": (0.4, other.sum()), "cr": (0.1, 2 * features.sum())}
    assert set(gradient_norms(terms, features)) == {"s0", "cr"}
    terms["s0"] = (1.0, other.sum())
    assert gradient_norms(terms, features) == {}, "cut off, as below torch.compile"


def test_a_gradient_that_overflows_gives_no_shares() -> None:
    assert gradient_shares({"a": 1.0, "b": 1.0}, {"a": torch.tensor(torch.inf), "b": torch.tensor(1.0)}) == {}


def test_shares_come_with_the_terms_when_asked_for_and_change_nothing() -> None:
    objective, (out, label) = with_bank(make_objective()), make_output()
    state = {name: value.clone() for name, value in objective.state_dict().items()}
    shares = objective.gradient_shares(out, label)
    assert set(shares) == {"s0", "s1", "cr", "se"} and sum(shares.values()) == pytest.approx(1)
    assert objective.training and all(torch.equal(value, state[name]) for name, value in objective.state_dict().items())
    plain, measured = objective.eval()(out, label), objective(out, label, measure=True)
    assert torch.equal(plain["loss"], measured["loss"])
    assert set(measured) - set(plain) == {"share_s0", "share_s1", "share_cr", "share_se"}
    assert float(measured["share_se"]) == pytest.approx(shares["se"])


def test_half_precision_does_not_lose_small_gradients() -> None:
    objective, (out, label) = with_bank(make_objective()), make_output(torch.float16)
    out = SARTMOutput(out.logits, out.aux_logits, out.fused)
    assert all(share > 0 for share in objective.gradient_shares(out, label).values())


def test_balanced_terms_pull_by_their_weight_in_parts_of_the_segmentation() -> None:
    objective, (out, label) = with_bank(make_objective(balance=True, w2=0.25, w3=0.1)), make_output()
    measured = objective(out, label, measure=True)
    assert float(measured["share_cr"]) == pytest.approx(0.25 * float(measured["share_s0"]), rel=1e-4)
    assert float(measured["share_se"]) == pytest.approx(0.1 * float(measured["share_s0"]), rel=1e-4)
    factors = objective.factors.clone()
    next_terms = objective(*make_output())  # between two measurements the factors stay
    assert torch.equal(objective.factors, factors)
    expected = next_terms["s0"] + 0.5 * next_terms["s1"]
    expected = expected + 0.25 * factors[0] * next_terms["cr"] + 0.1 * factors[1] * next_terms["se"]
    torch.testing.assert_close(next_terms["loss"].detach(), expected)


def test_balanced_terms_wait_for_the_first_measurement() -> None:
    objective = with_bank(make_objective(balance=True))
    terms = objective(*make_output())
    torch.testing.assert_close(terms["loss"].detach(), terms["s0"] + 0.5 * terms["s1"])


def test_balance_needs_a_segmentation_loss_to_compare_with() -> None:
    with pytest.raises(ValueError, match=r"balance.*w0 is 0"):
        LossConfig(balance=True, w0=0.0)


def test_a_projection_starts_as_the_identity_and_trains() -> None:
    plain, projected = make_objective(), make_objective(project=True)
    projected.load_state_dict({**plain.state_dict(), "project.weight": projected.project.weight.detach()})
    batches = [make_output() for _ in range(2)]
    for batch in batches:
        losses = [objective(*batch)["loss"] for objective in (plain, projected)]
    torch.testing.assert_close(*losses)
    losses[1].backward()
    (weight,) = projected.parameters()
    assert weight.grad.abs().sum() > 0 and not list(plain.parameters())
    assert not list(make_objective(project=True, w2=0.0, w3=0.0).parameters()), "nothing untrained for DDP to wait for"


def test_a_factor_does_not_explode_when_a_gradient_vanishes_for_a_moment() -> None:
    """Regression: measured once at a hundredth of its gradient, L_se had four fifths of it for the rest of a run."""
    objective = with_bank(make_objective(balance=True))
    objective(*make_output(), measure=True)
    before = objective.factors.clone()
    terms = {"s0": (1.0, torch.tensor(1.0)), "se": (1.0, torch.tensor(1.0))}
    objective._weights(terms, {"s0": torch.tensor(1.0), "se": torch.tensor(1e-9)})
    assert torch.equal(objective.factors, before * torch.tensor([1.0, STEEPEST]))


def test_centred_text_ignores_what_all_names_share() -> None:
    prototypes, text, shared = torch.randn(3, 8), torch.randn(3, 5), 3 * torch.ones(5)
    centred = [semantic_loss(prototypes, PRESENT, t, centre_text=True) for t in (text, text + shared)]
    torch.testing.assert_close(*centred)
    plain = [semantic_loss(prototypes, PRESENT, t) for t in (text, text + shared)]
    assert abs(float(plain[0] - plain[1])) > 1e-3
