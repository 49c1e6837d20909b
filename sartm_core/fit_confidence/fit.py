"""Fitting the confidence: frames through the inference path as on the robot, then T and b for each set of cameras.

    T, b = argmin  mean over sets of frames of  NLL(softmax(s / T + b), true class)

over some labelled pixels of each frame; every set of frames counts the same, however many it has. b moves masks, so it
is kept only where the mean IoU of these pixels does not fall; else T is fitted alone.
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
from tqdm import tqdm

from sartm_core.data.checked import need_label
from sartm_core.data.sources import Source
from sartm_core.evaluate.metrics import ConfusionMatrix
from sartm_core.evaluate.reliability import Reliability
from sartm_core.model.checkpoint import load, write_info
from sartm_core.model.confidence import CAMERAS, Confidence
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.classes import IGNORE, remap_table

log = logging.getLogger(__name__)

FRAMES = 64
"""Most frames of one set, spread evenly."""
PIXELS = 2048
"""Most labelled pixels of one frame, drawn at random."""
LEAST, MOST = 0.05, 20.0
"""Limits of T; at one of them the weights know nothing, or everything."""
FEWEST = 200
"""A class with fewer of these pixels has no bias of its own: likelihood would forget it."""
STEPS = 100
"""Most iterations of L-BFGS; it takes about ten."""

Pixels = tuple[Tensor, Tensor]
"""Scores (N, C) float32 and true classes (N,) int64."""
Scaling = tuple[float, tuple[float, ...]]
"""T and b, () for none."""


def fit(segmenter: Segmenter, sets: Sequence[Source]) -> Confidence:
    """T and b of weights that have none. A set of cameras that no frame has keeps its scores."""
    generator = torch.Generator().manual_seed(0)
    chosen = [some_pixels(segmenter, source, generator) for source in sets]
    found = []
    for cameras in CAMERAS:
        parts = [pixels[cameras] for pixels in chosen if cameras in pixels]
        found.append(better(parts, cameras) if parts else (1.0, ()))
    (t0, b0), (t1, b1), (t2, b2) = found
    return Confidence((t0, t1, t2), (b0, b1, b2))


def better(sets: Sequence[Pixels], cameras: str) -> tuple[float, tuple[float, ...]]:
    """T with b, or T alone, for one set of cameras."""
    plain, with_bias, without = (1.0, ()), scaling(sets, with_bias=True), scaling(sets, with_bias=False)
    best = with_bias if mean_iou(sets, with_bias) >= mean_iou(sets, without) else without
    log.info(
        "confidence from %s: temperature %.3f, class bias %s; ECE %.3f -> %.3f, mean IoU %.3f -> %.3f",
        cameras, best[0], [round(b, 3) for b in best[1]] or "none",
        calibration_error(sets, plain), calibration_error(sets, best), mean_iou(sets, plain), mean_iou(sets, best),
    )  # fmt: skip
    return best


def some_pixels(segmenter: Segmenter, source: Source, generator: torch.Generator) -> dict[str, Pixels]:
    """Scores and truth of random labelled pixels, by cameras."""
    table = remap_table(source.label_set.names, segmenter.classes)
    parts: dict[str, list[Pixels]] = {}
    count = len(source.frames)
    indices = np.unique(np.linspace(0, count - 1, min(count, FRAMES)).round().astype(int)).tolist()
    for index in tqdm(indices, "confidence", unit="frame", disable=None):
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


def scaling(sets: Sequence[Pixels], with_bias: bool) -> Scaling:
    """The T and b that make the truth most likely; all sets count the same. b is relative to class 0."""
    classes = sets[0][0].shape[1]
    seen = sum(torch.bincount(truth, minlength=classes) for _, truth in sets) >= FEWEST  # (C,)
    free = torch.nonzero(seen & (torch.arange(classes) > 0))[:, 0] if with_bias else torch.zeros(0, dtype=torch.long)
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    values = torch.zeros(len(free), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t, values], max_iter=STEPS, line_search_fn="strong_wolfe")

    def bias() -> Tensor:
        return torch.zeros(classes, dtype=torch.float64).index_add(0, free, values)  # (C,)

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = torch.stack([F.cross_entropy(s.double() * torch.exp(-log_t) + bias(), t) for s, t in sets]).mean()
        total.backward()
        return total

    optimizer.step(loss)
    return float(log_t.detach().exp().clamp(LEAST, MOST)), tuple(bias().tolist()) if len(free) else ()


def scaled(scores: Tensor, by: Scaling) -> Tensor:
    """(N, C) scores -> (N, C) scores / T + b."""
    return scores / by[0] + scores.new_tensor(by[1] or 0.0)


def mean_iou(sets: Sequence[Pixels], by: Scaling) -> float:
    """mIoU of these pixels, mean over the sets."""
    found = []
    for scores, truth in sets:
        matrix = ConfusionMatrix(scores.shape[1])
        matrix.update(scaled(scores, by).argmax(1).numpy(), truth.numpy())
        found.append(matrix.miou())
    return float(np.mean(found))


def calibration_error(sets: Sequence[Pixels], by: Scaling) -> float:
    """ECE of all these pixels."""
    counts = Reliability()
    for scores, truth in sets:
        confidence, guess = scaled(scores, by).softmax(1).max(1)  # (N,) each
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
