"""L_se (paper III-E, Eq. 14): classes should be as alike in the features as their names are to a text encoder."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

EPS = 1e-6
"""Shortest vector a cosine is taken of."""
ABSENT = -1e4
"""Similarity to a class that is not there: its softmax is exactly 0 in float32, its logarithm finite."""


def semantic_loss(prototypes: Tensor, present: Tensor, text: Tensor, centre_text: bool = False) -> Tensor:
    """KL of the prototypes' self-similarity from that of the text embeddings, mean over all pairs of present classes.

    prototypes (C, width) and text (C, D) float32, present (C,) bool. Similarities are cosines; each row goes through a
    softmax over the classes present. With fewer than 2 of them the result is 0 with a gradient path. `centre_text`: the
    mean over all classes is taken off the text first.
    """
    if centre_text:
        text = text - text.mean(0)
    pairs = present[:, None] & present  # (C, C)
    student, teacher = (self_similarity(x).masked_fill(~pairs, ABSENT) for x in (prototypes, text))
    divergence = F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="none") * pairs  # (C, C)
    return divergence.sum() / pairs.sum().clamp(min=1)


def self_similarity(vectors: Tensor) -> Tensor:
    """(C, D) -> the cosine of every pair, (C, C), -1..1."""
    unit = F.normalize(vectors, dim=1, eps=EPS)
    return unit @ unit.T
