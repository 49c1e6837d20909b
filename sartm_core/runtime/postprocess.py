"""From class scores of every 4th pixel to class ids and confidence at the camera's size.

The class of a pixel is the one of the largest score *after* bilinear enlarging. On a CPU most pixels are known without
(`borders`); a GPU, where finding the borders would have to be waited for, enlarges everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sartm_core.preprocess.resize import enlarged
from sartm_core.runtime.batching import FramePair
from sartm_core.runtime.borders import CERTAIN, by_parts
from sartm_core.support.classes import IGNORE
from sartm_core.support.late import F, torch

if TYPE_CHECKING:
    from torch import Tensor

MANY = 0.2
"""Share of cells along borders from which on torch is faster with everything."""
MANY_UNSURE = 0.5
"""The same of those that are not certain, with the confidence."""


def picture(scores: Tensor, pair: FramePair, covered: tuple[int, int]) -> dict[str, Tensor]:
    """(C, h, w) -> `mask` and, if it is wanted, `confidence`, (H, W) uint8 each, at the pair's size.

    covered: size of the scores with their padding, in pixels of the camera.
    """
    height, width = pair.size
    with torch.inference_mode():
        if not unsure(pair):
            return {"mask": class_ids(scores, covered)[:height, :width]}
        ids, confidence = (x[:height, :width] for x in ids_and_confidence(scores, covered))
        if pair.confidence_threshold > 0:
            ids.masked_fill_(confidence < pair.confidence_threshold * CERTAIN, IGNORE)
        return {"mask": ids, "confidence": confidence} if pair.confidence else {"mask": ids}


def picture_of_array(scores: np.ndarray, pair: FramePair, covered: tuple[int, int]) -> dict[str, np.ndarray]:
    """The same without torch."""
    height, width = pair.size
    found = by_parts(scores, covered, unsure(pair))
    assert found is not None, "there is no limit"
    ids, confidence = (np.ascontiguousarray(x[:height, :width]) for x in found)
    if pair.confidence_threshold > 0:
        ids[confidence < pair.confidence_threshold * CERTAIN] = IGNORE
    return {"mask": ids, "confidence": confidence} if pair.confidence else {"mask": ids}


def unsure(pair: FramePair) -> bool:
    """Whether it takes more than the class ids."""
    return pair.confidence or pair.confidence_threshold > 0


def probabilities(scores: Tensor, size: tuple[int, int], covered: tuple[int, int]) -> Tensor:
    """(C, h, w) -> softmax over the classes, (*size, C) float32; `covered` is what `size` is with the padding."""
    with torch.inference_mode():
        if covered != tuple(scores.shape[1:]):
            scores = enlarge(scores, covered)
        shares = scores[:, : size[0], : size[1]].float().softmax(0)  # (C, *size)
        return shares.permute(1, 2, 0)


def probabilities_of_array(scores: np.ndarray, size: tuple[int, int], covered: tuple[int, int]) -> np.ndarray:
    """The same without torch."""
    if covered != scores.shape[1:]:
        scores = np.stack([enlarged(of_class, covered) for of_class in scores])
    shares = scores[:, : size[0], : size[1]]  # (C, *size)
    shares = np.exp(shares - shares.max(0))
    shares /= shares.sum(0)
    return np.ascontiguousarray(shares.transpose(1, 2, 0))


def class_ids(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) float -> (H, W) uint8: the largest of `enlarge(scores, size)`, but for rounding of exact ties."""
    found = by_parts(scores.float().numpy(), size, most=MANY) if scores.device.type == "cpu" else None
    return enlarge(scores, size).max(0).indices.to(torch.uint8) if found is None else torch.from_numpy(found[0])


def ids_and_confidence(scores: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(C, h, w) float -> winning class (H, W) uint8 and its softmax scaled to 0..255 (H, W) uint8."""
    found = by_parts(scores.float().numpy(), size, True, MANY_UNSURE) if scores.device.type == "cpu" else None
    if found is None:
        return answers(enlarge(scores, size))
    return torch.from_numpy(found[0]), torch.from_numpy(found[1])


def answers(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(C, ...) logits, which are overwritten -> class and confidence, (...) uint8 each."""
    best, ids = logits.max(0)
    total = logits.sub_(best).exp_().sum(0)  # the winner's softmax is 1 / total
    return ids.to(torch.uint8), total.reciprocal_().mul_(CERTAIN).round_().to(torch.uint8)


def enlarge(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) -> (C, H, W), bilinear."""
    return F.interpolate(scores[None].float(), size, mode="bilinear", align_corners=False)[0]
