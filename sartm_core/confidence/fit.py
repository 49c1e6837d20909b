"""Fitting the temperatures: frames through the inference path as on the robot, then one number for each set of cameras.

    T = argmin  mean over sets of frames of  NLL(softmax(s / T), true class)

over some labelled pixels of each frame; every set of frames counts the same, however many it has.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sartm_core.checkpoint import load, write_info
from sartm_core.confidence.reliability import Reliability
from sartm_core.data.checked import need_label
from sartm_core.data.labels import IGNORE, remap_table
from sartm_core.data.sources import Source
from sartm_core.model.confidence import CAMERAS, Confidence
from sartm_core.segmenter import Segmenter

log = logging.getLogger(__name__)

FRAMES = 64
"""Most frames of one set, spread evenly."""
PIXELS = 2048
"""Most labelled pixels of one frame, drawn at random."""
LEAST, MOST = 0.05, 20.0
"""Limits of T; at one of them the weights know nothing, or everything."""
STEPS = 100
"""Most iterations of L-BFGS; it takes about ten."""


Pixels = tuple[Tensor, Tensor]
"""Scores (N, C) float32 and true classes (N,) int64."""


def fit(segmenter: Segmenter, sets: Sequence[Source]) -> Confidence:
    """The temperatures of weights whose own are 1. A set of cameras that no frame has keeps 1."""
    generator = torch.Generator().manual_seed(0)
    chosen = [some_pixels(segmenter, source, generator) for source in sets]
    temperatures = []
    for cameras in CAMERAS:
        parts = [pixels[cameras] for pixels in chosen if cameras in pixels]
        temperatures.append(fitted_temperature(parts) if parts else 1.0)
        errors = " -> ".join(f"{calibration_error(parts, t):.3f}" for t in (1.0, temperatures[-1]))
        log.info("confidence from %s: temperature %.3f, ECE %s", cameras, temperatures[-1], errors)
    return Confidence((temperatures[0], temperatures[1], temperatures[2]))


def some_pixels(segmenter: Segmenter, source: Source, generator: torch.Generator) -> dict[str, Pixels]:
    """Scores and truth of random labelled pixels, by cameras."""
    table = remap_table(source.label_set.names, segmenter.classes)
    parts: dict[str, list[Pixels]] = {}
    count = len(source.frames)
    for index in np.unique(np.linspace(0, count - 1, min(count, FRAMES)).round().astype(int)).tolist():
        sample = source.frames[index]
        label = torch.from_numpy(table[need_label(sample, source.label_set.names)]).flatten()  # (H * W,)
        known = torch.nonzero(label != IGNORE)[:, 0]  # (n,)
        places = known[torch.randperm(len(known), generator=generator)[:PIXELS]]  # (N,)
        for cameras in CAMERAS:
            images = [getattr(sample, name) if name in cameras else None for name in ("rgb", "thermal")]
            if sum(image is not None for image in images) == len(cameras.split("+")):
                scores = segmenter.logits(*images, sample.label.shape).flatten(1)  # (C, H * W)
                parts.setdefault(cameras, []).append((scores.cpu()[:, places].T, label[places].long()))
    return {
        cameras: (torch.cat([s for s, _ in all_]), torch.cat([t for _, t in all_])) for cameras, all_ in parts.items()
    }


def fitted_temperature(sets: Sequence[Pixels]) -> float:
    """The T that makes the truth most likely; all sets count the same."""
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = torch.stack([F.cross_entropy(s.double() * torch.exp(-log_t), t) for s, t in sets]).mean()
        total.backward()
        return total

    optimizer.step(loss)
    return float(log_t.detach().exp().clamp(LEAST, MOST))


def calibration_error(sets: Sequence[Pixels], temperature: float) -> float:
    """ECE of all these pixels."""
    counts = Reliability()
    for scores, truth in sets:
        confidence, guess = (scores / temperature).softmax(1).max(1)  # (N,) each
        counts.update(confidence.numpy(), (guess == truth).numpy())
    return counts.ece()


def fit_file(weights: Path, sets: Sequence[Source], output: Path, device: str, sam2: str | None) -> Confidence:
    """Fit the weights of a file and write them with the result to `output`, which may be the same file."""
    model = load(weights, sam2)
    info = replace(model.info, confidence=Confidence())
    model.info = info
    confidence = fit(Segmenter(model, device=device, precision="fp32", engine="torch"), sets)
    write_info(weights, replace(info, confidence=confidence), output)
    return confidence
