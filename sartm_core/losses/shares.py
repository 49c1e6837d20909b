"""How much each term of the objective pulls at F~n, the features all of them share: the norm of its gradient there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sartm_core.support.distributed import all_sum

FIRST = "s0"
"""The term of path one, which every model has."""
HALF_SCALE = 2.0**12
"""Terms are multiplied by this where F~n is float16: a gradient of a mean over pixels would be 0 there."""


def gradient_norms(terms: Mapping[str, tuple[float, Tensor]], features: Tensor) -> dict[str, Tensor]:
    """Norm of the gradient of each unweighted term at F~n, over the whole batch, that of all processes.

    Args:
        terms: name -> weight and value; a term of weight 0 is left out.
        features: F~n (B, width, h, w), which the terms were computed from.

    Returns:
        name -> scalar float32, without terms that do not depend on F~n (a head that reads other features). Empty where
        F~n is cut off from the logits of path one: below torch.compile, whose graph is one piece, or without gradient.
    """
    scale = HALF_SCALE if features.dtype is torch.float16 else 1.0
    norms = {}
    for name, (weight, term) in terms.items():
        if not weight:
            continue
        (gradient,) = torch.autograd.grad(term * scale, features, retain_graph=True, allow_unused=True)
        if gradient is None:
            if name == FIRST:
                return {}
            continue
        norms[name] = all_sum((gradient.float() / scale).square().sum()).sqrt()
    return norms


def gradient_shares(weights: Mapping[str, float | Tensor], norms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Part of each weighted term in the sum of the norms, 0..1; norms that are not finite (overflow) give none."""
    weighted = {name: weights[name] * norm for name, norm in norms.items()}
    if not weighted:
        return {}
    total = torch.stack(list(weighted.values())).sum()
    return {name: value / total for name, value in weighted.items()} if bool(total.isfinite() & (total > 0)) else {}
