"""What `train --dry-run` found, for people and for programs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby
from typing import Any

from sartm_core.train.config import TrainConfig
from sartm_core.train.dry_run import GB, DryRun

NAMES = {"s0": "S~0", "s1": "S~1", "cr": "L_cr", "se": "L_se", "dc": "decorrelation"}
"""Terms of the objective as docs and paper call them."""


def report(found: DryRun, config: TrainConfig) -> str:
    """A few lines for people."""
    height, width = config.data.crop_size
    whose = "of this process; loader processes come on top" if found.device == "cpu" else "given out by torch"
    of = f" of {found.of / GB:.3g}" if found.of else ""
    timed, wait = len(found.seconds) - 1, statistics.median(found.waited[1:])
    inputs = [(root, camera) for root, cameras in found.inputs.items() for camera in cameras]
    losses = by_step(found, config)
    lines = [
        ("memory", f"{found.memory / GB:.2f}{of} GB at most ({whose})"),
        ("a step", f"{found.step:.3g} s, {wait:.2g} s of it waiting for frames (median of {timed} after the first)"),
        (
            "the run",
            f"{duration(found.hours)}: {found.steps} steps, {found.validations} validations of "
            f"{found.validation:.2g} s",
        ),
        *(("input", f"{camera}, {root}") for root, camera in inputs),
        ("loss", " ".join(f"{values['loss']:.3g}" for values in losses)),
        (
            "terms",
            ", ".join(f"{NAMES[n]} {losses[0][n]:.3g} to {losses[-1][n]:.3g}" for n in losses[0] if n in NAMES)
            + " (first step to last, unweighted)",
        ),
        ("gradient", f"{shares(found.shares)} of F~n's"),
        ("ranks", ranks(found.ranks)),
    ]
    head = (
        f"{config.model.backbone}, {config.trainer.batch_size} frames of {height}x{width} a step, "
        f"{config.trainer.precision}, {found.device}\n"
    )
    return head + "".join(f"{name:<8} {text}\n" for name, text in lines)


def as_dict(found: DryRun, config: TrainConfig) -> dict[str, Any]:
    """All of it, for JSON; the losses by optimizer step."""
    return {**asdict(found), "losses": by_step(found, config), "hours": found.hours}


def by_step(found: DryRun, config: TrainConfig) -> list[dict[str, float]]:
    """The losses of each optimizer step, the mean over its micro-batches."""
    count = config.trainer.accumulate
    steps = [found.losses[i : i + count] for i in range(0, len(found.losses), count)]
    return [{name: statistics.fmean(part[name] for part in parts) for name in parts[0]} for parts in steps]


def shares(found: Mapping[str, float]) -> str:
    """Each term's part of the gradient, the largest first."""
    ranked = sorted(found.items(), key=lambda item: -item[1])
    return ", ".join(f"{NAMES[name]} {share:.1%}" for name, share in ranked) or "nothing is"


def ranks(found: Mapping[str, float]) -> str:
    """Effective ranks by modality and stride."""
    parts = []
    for modality, names in groupby(found, key=lambda name: name.partition("/")[0]):
        values = ", ".join(f"{found[name]:.1f}" for name in names)
        parts.append(f"{modality.replace('fused', 'F~n')} {values}")
    return "; ".join(parts)


def duration(hours: float) -> str:
    """In words."""
    return f"{hours:.2g} hours" if hours >= 1 else f"{max(1, round(60 * hours))} min"
