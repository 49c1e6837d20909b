"""The training objective (paper III-F, Eq. 15): L = w0 * L_seg(S~0) + w1 * L_seg(S~1) + w2 * L_cr + w3 * L_se."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sartm_core.losses import segmentation_loss
from sartm_core.losses.config import LossConfig
from sartm_core.losses.consistency import consistency_loss, update_bank
from sartm_core.losses.decorrelation import decorrelation_loss
from sartm_core.losses.prototypes import class_prototypes
from sartm_core.losses.semantic import semantic_loss
from sartm_core.losses.shares import gradient_norms, gradient_shares

if TYPE_CHECKING:
    from sartm_core.model.sartm import SARTMOutput

DISTILLATION = ("cr", "se")
"""Terms that `balance` weighs, in the order of `factors`."""
MOMENTUM = 0.8
"""Part of the old factor that a measurement leaves."""
STEEPEST = 1.5
"""A factor grows by this much at most from one measurement to the next: a term whose gradient vanishes for a moment
would take over when it comes back."""
SHARE = "share_"
"""What the names of gradient shares begin with."""

log = logging.getLogger(__name__)


class Objective(nn.Module):
    """All terms with their weights, and the bank of global prototypes.

    Buffers, all float32 so that an average over weights can average them too: `bank` (C, width), `seen` (C,) 1 for
    classes the bank knows, `text` (C, D) the teacher's embeddings, or None, and with `balance` the factors of L_cr and
    L_se. The bank follows every training step whatever the weights are, because the similarity figure shows it; with
    w2 = w3 = 0 that costs one small product without gradient. In eval mode it rests. With `project` there is one
    trained matrix.
    """

    bank: Tensor
    seen: Tensor
    text: Tensor | None
    class_weights: Tensor | None
    factors: Tensor

    def __init__(self, config: LossConfig, num_classes: int, width: int, text: Tensor | None = None) -> None:
        super().__init__()
        if text is not None and (text.ndim != 2 or len(text) != num_classes):
            raise ValueError(f"Objective: text has shape {tuple(text.shape)}, expected ({num_classes}, D), one a class")
        if text is None and config.w3:
            log.info("w3 is %g, but without a teacher there is no L_se (loss.teacher)", config.w3)
        self.config, self.num_classes = config, num_classes
        self.register_buffer("bank", torch.zeros(num_classes, width))
        self.register_buffer("seen", torch.zeros(num_classes))
        self.register_buffer("text", None if text is None else text.detach().float().clone())
        self.register_buffer("class_weights", weights_tensor(config.class_weights, self.bank), persistent=False)
        if config.balance:
            self.register_buffer("factors", torch.zeros(len(DISTILLATION)))
        self.project: nn.Module = nn.Identity()
        if config.project and (config.w2 or config.w3):
            self.project = nn.Linear(width, width, bias=False)
            nn.init.eye_(self.project.weight)

    def forward(self, out: SARTMOutput, label: Tensor, measure: bool = False) -> dict[str, Tensor]:
        """The loss of a batch, in float32 whatever autocast does.

        Args:
            out: what the model gave for the batch.
            label: (B, H, W) int64 ids at the size of the logits, 255 ignored.
            measure: look at the gradient of every term at F~n too, which costs the backward pass of the heads.

        Returns:
            `loss`, the weighted sum with gradient, and the terms it has, unweighted and detached: `s0`, `s1` with an
            auxiliary head, `cr`, `se` with a teacher, `dc`. A term whose weight is 0 is not computed. With `measure`
            also `share_NAME`, the part of each term in the gradient (`shares.gradient_norms`).
        """
        with torch.autocast(out.fused.device.type, enabled=False):
            terms = {**self._segmentation(out, label), **self._distillation(out, label), **self._decorrelation(out)}
            norms = gradient_norms(terms, out.fused) if measure and out.fused.requires_grad else {}
            weights = self._weights(terms, norms)
            loss = torch.stack([weights[name] * term for name, (_, term) in terms.items()]).sum()
        shares = gradient_shares(weights, norms)
        return {
            "loss": loss,
            **{name: term.detach() for name, (weight, term) in terms.items() if weight},
            **{SHARE + name: share for name, share in shares.items()},
        }

    def gradient_shares(self, out: SARTMOutput, label: Tensor) -> dict[str, float]:
        """The part of each term in the gradient at F~n for a batch, 0..1, by name; moves no bank and no factor."""
        was_training = self.training
        terms = self.eval()(out, label, measure=True)
        self.train(was_training)
        return {name.removeprefix(SHARE): float(value) for name, value in terms.items() if name.startswith(SHARE)}

    def _weights(self, terms: dict[str, tuple[float, Tensor]], norms: dict[str, Tensor]) -> dict[str, float | Tensor]:
        """The factor of each term. With `balance` those of L_cr and L_se follow the norms, which move their average."""
        weights: dict[str, float | Tensor] = {name: weight for name, (weight, _) in terms.items()}
        if not self.config.balance:
            return weights
        for i, name in enumerate(DISTILLATION):
            if self.training and norms.get(name, 0.0) > 0 and "s0" in norms:
                wanted = weights["s0"] * norms["s0"] / norms[name]
                old = self.factors[i]
                if wanted.isfinite():
                    moved = MOMENTUM * old + (1 - MOMENTUM) * wanted
                    self.factors[i] = torch.minimum(moved, STEEPEST * old) if old > 0 else wanted
            if name in weights:
                weights[name] = weights[name] * self.factors[i]
        return weights

    def _segmentation(self, out: SARTMOutput, label: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Name -> weight and value of L_seg of each path.

        A path of weight 0 still gives a zero with a gradient path: data parallel training waits for a gradient of
        every parameter that took part in the forward pass.
        """
        segmentation = segmentation_loss(self.config.kind)
        terms = {}
        for name, weight, logits in (("s0", self.config.w0, out.logits), ("s1", self.config.w1, out.aux_logits)):
            assert weight is not None  # resolved by LossConfig
            if logits is not None:
                term = segmentation(logits, label, self.class_weights) if weight else (logits.float() * 0).sum()
                terms[name] = (weight, term)
        return terms

    def _distillation(self, out: SARTMOutput, label: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Name -> weight and value of L_cr and L_se, where they are on; moves the bank in training mode."""
        w2, w3 = self.config.w2, self.config.w3 if self.text is not None else 0.0
        assert w2 is not None and w3 is not None  # resolved by LossConfig
        terms: dict[str, tuple[float, Tensor]] = {}
        if not (w2 or w3 or self.training):
            return terms
        features = out.fused if w2 or w3 else out.fused.detach()
        prototypes, present = class_prototypes(features, label, self.num_classes)
        seen_by_terms = self.project(prototypes)  # (C, width)
        if w2:
            bank = self.project(self.bank).detach()  # (C, width)
            terms["cr"] = (w2, consistency_loss(seen_by_terms, present, bank, self.seen))
        if w3 and self.text is not None:
            terms["se"] = (w3, semantic_loss(seen_by_terms, present, self.text, self.config.centre_text))
        if self.training:
            update_bank(self.bank, self.seen, prototypes.detach(), present)
        return terms

    def _decorrelation(self, out: SARTMOutput) -> dict[str, tuple[float, Tensor]]:
        """Of F~n and of the trunk's deepest stage of each modality, their mean; in training only."""
        if not self.config.decorrelation or out.deepest is None:
            return {}
        parts = [decorrelation_loss(features) for features in (out.fused, *out.deepest)]
        return {"dc": (self.config.decorrelation, torch.stack(parts).mean())}


def weights_tensor(weights: tuple[float, ...] | None, like: Tensor) -> Tensor | None:
    """Class weights of a config as a tensor beside `like`."""
    return None if weights is None else torch.tensor(weights, dtype=torch.float32, device=like.device)
