"""The loss that keeps channels apart."""

from __future__ import annotations

import torch

from sartm_core.losses.config import LossConfig
from sartm_core.losses.decorrelation import decorrelation_loss
from sartm_core.losses.objective import Objective
from sartm_core.train.ranks import effective_rank
from test.core.conftest import make_model


def test_equal_channels_give_one_independent_ones_nothing() -> None:
    torch.manual_seed(0)
    one = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(decorrelation_loss(one.repeat(1, 5, 1, 1)), torch.tensor(1.0))
    torch.testing.assert_close(decorrelation_loss(torch.cat((one, -3 * one + 7), dim=1)), torch.tensor(1.0))
    orthogonal = torch.linalg.qr(torch.randn(65, 6))[0]  # (65, 6); without their means still nearly so
    orthogonal = torch.linalg.qr(orthogonal - orthogonal.mean(0))[0].T.reshape(1, 6, 5, 13)
    assert decorrelation_loss(orthogonal) < 1e-10


def test_constant_channels_have_a_finite_gradient() -> None:
    features = torch.zeros(2, 4, 3, 3, requires_grad=True)
    decorrelation_loss(features).backward()
    assert features.grad is not None and features.grad.isfinite().all()


def test_descending_it_raises_the_effective_rank() -> None:
    torch.manual_seed(0)
    features = (torch.randn(2, 2, 8, 8).repeat(1, 8, 1, 1) + 0.1 * torch.randn(2, 16, 8, 8)).requires_grad_(True)

    def rank() -> float:
        return effective_rank(features.detach().permute(0, 2, 3, 1).flatten(0, 2))

    before = rank()
    optimizer = torch.optim.SGD([features], lr=100.0)
    for _ in range(50):
        optimizer.zero_grad()
        decorrelation_loss(features).backward()
        optimizer.step()
    assert before < 3 and rank() > 2 * before


def test_it_is_a_term_of_the_objective_in_training_only() -> None:
    model = make_model(train_encoder=True)
    images = torch.randn(2, 3, 64, 64), torch.rand(2, 1, 64, 64)
    label = torch.zeros(2, 64, 64, dtype=torch.long)
    objective = Objective(LossConfig(kind="ce", decorrelation=2.0), model.config.num_classes, model.encoder.width)
    without = Objective(LossConfig(kind="ce"), model.config.num_classes, model.encoder.width)
    out = model.train()(*images)
    terms, plain = objective(out, label), without(out, label)
    parts = [decorrelation_loss(features) for features in (out.fused, *out.deepest)]
    torch.testing.assert_close(terms["loss"] - plain["loss"], 2 * torch.stack(parts).mean())
    assert "dc" in terms and "dc" not in plain
    assert model.eval()(*images).deepest is None
