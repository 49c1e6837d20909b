"""What each ablation table varies. A new table is one function plus one line in `TABLES`.

A variant is the configuration of the command with a few fields changed, so a table shows how far *your* configuration
depends on them; with the paper's configuration it is the paper's table. `paper.py` tells how the paper was read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sartm_core.ablate import paper
from sartm_core.losses.config import LOSS_PRESETS
from sartm_core.train.config import TrainConfig

RANKS = (4, 8, 16, 32, 64)
HEADS = ("fpn", "deeplab", "segformer")
SWEEPS: Mapping[str, tuple[float, ...]] = {
    "w1": (0.05, 0.03, 0.008, 0.004, 0.002),
    "w2": (10, 100, 1000, 10_000, 100_000),
    "w3": (1, 10, 50, 100, 1000),
}
"""Values of Table VII."""
OWN_W1, BALANCED = LOSS_PRESETS["sartm"][1], 0.1
"""Weight of the auxiliary loss, and gradient of a balanced term, in table `distillation`."""


@dataclass(frozen=True)
class Variant:
    """One row of a table."""

    name: str
    """Folder of its runs and its key in the paper's table."""
    label: str
    """As the table prints it."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Dotted fields of `TrainConfig` that differ from the configuration."""
    reference: str | None = None
    """Name of the row it is compared with; None for a reference row itself."""
    group: str = ""
    """Sweep it belongs to, where a table has several."""


@dataclass(frozen=True)
class Table:
    """One ablation: the paper's numbers and the variants that measure them again."""

    paper: paper.PaperTable
    """What the paper prints."""
    variants: Callable[[TrainConfig, Mapping[str, Sequence[float]]], list[Variant]]
    """(configuration, sweeps given instead of the paper's) -> rows."""


def rank(config: TrainConfig, sweeps: Mapping[str, Sequence[float]]) -> list[Variant]:
    """Table IV."""
    return each_value("rank", "model.lora_rank", RANKS, config.model.lora_rank)


def components(config: TrainConfig, sweeps: Mapping[str, Sequence[float]]) -> list[Variant]:
    """Table V."""
    return [
        Variant("full", "SARTM"),
        Variant("without_language", "without language", {"loss.w3": 0.0}, "full"),
        Variant("without_aux_head", "without auxiliary head", {"model.aux_head": "none"}, "full"),
    ]


def losses(config: TrainConfig, sweeps: Mapping[str, Sequence[float]]) -> list[Variant]:
    """Table VI; every row is compared with the one above."""
    return [
        Variant("ce_s0", "L_CE(S0)", {"loss.w1": 0.0, "loss.w2": 0.0, "loss.w3": 0.0}),
        Variant("ce_s0_s1", "+ L_CE(S1)", {"loss.w2": 0.0, "loss.w3": 0.0}, "ce_s0"),
        Variant("cr", "+ L_cr", {"loss.w3": 0.0}, "ce_s0_s1"),
        Variant("cr_se", "+ L_se", {}, "cr"),
    ]


def weights(config: TrainConfig, sweeps: Mapping[str, Sequence[float]]) -> list[Variant]:
    """Table VII: w1 alone, then w2 beside the configuration's w1, then w3 beside both."""
    later: dict[str, dict[str, Any]] = {
        "w1": {"loss.w2": 0.0, "loss.w3": 0.0}, "w2": {"loss.w3": 0.0}, "w3": {},
    }  # fmt: skip
    return [
        variant
        for name, values in (sweeps or SWEEPS).items()
        for variant in each_value(name, f"loss.{name}", values, getattr(config.loss, name), later[name])
    ]


def distillation(config: TrainConfig, sweeps: Mapping[str, Sequence[float]]) -> list[Variant]:
    """Not of the paper: ways to let L_cr and L_se act, against none of them."""
    off = {"loss.w1": OWN_W1, "loss.w2": 0.0, "loss.w3": 0.0}
    balanced = {**off, "loss.w2": BALANCED, "loss.w3": BALANCED, "loss.balance": True}
    centred = {**balanced, "loss.centre_text": True}
    return [
        Variant("none", "without L_cr and L_se", off),
        Variant("as_given", "the configuration's", {}, "none"),
        Variant("balanced", f"each {BALANCED:g} of the gradient of L(S0)", balanced, "none"),
        Variant("centred_text", "the same, centred text", centred, "none"),
        Variant("projected", "centred text, behind a projection", {**centred, "loss.project": True}, "none"),
    ]


def head(config: TrainConfig, sweeps: Mapping[str, Sequence[float]]) -> list[Variant]:
    """Table VIII, without language."""
    own = config.model.aux_head if config.model.aux_head in HEADS else HEADS[0]
    return [
        Variant(name, name, {"model.aux_head": name, "loss.w3": 0.0}, None if name == own else own) for name in HEADS
    ]


def each_value(
    name: str, key: str, values: Sequence[float], own: float, fixed: Mapping[str, Any] | None = None
) -> list[Variant]:
    """A row for each value of one field; they are compared with the configuration's own value, or with the first."""
    reference = own if own in values else values[0]
    return [
        Variant(
            f"{name}_{value:.10g}", f"{name} {value:.10g}", {key: value, **(fixed or {})},
            None if value == reference else f"{name}_{reference:.10g}", name,
        )
        for value in values
    ]  # fmt: skip


TABLES: dict[str, Table] = {
    "rank": Table(paper.RANK, rank),
    "components": Table(paper.COMPONENTS, components),
    "losses": Table(paper.LOSSES, losses),
    "weights": Table(paper.WEIGHTS, weights),
    "head": Table(paper.HEAD, head),
    "distillation": Table(paper.DISTILLATION, distillation),
}
