"""Text embeddings of the class names by the teacher of a config: computed once, then read from the cache."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sartm_core.losses.config import LossConfig
from sartm_core.losses.teachers import teacher_of
from sartm_core.losses.teachers.cache import cache_file, read_cache, write_cache

log = logging.getLogger(__name__)


def text_embeddings(config: LossConfig, classes: Sequence[str]) -> Tensor | None:
    """(C, D) float32 of length 1 each, in id order; None for `teacher: none`.

    Raises ValueError saying what to do when the teacher's package, model, tag or file is missing or unreadable.
    """
    teacher = teacher_of(config.teacher)
    if teacher is None:
        return None
    texts = [config.prompt.replace("{}", name) for name in classes]
    path = cache_file(config, classes)
    cached = read_cache(path, len(classes))
    if cached is not None:
        return cached
    log.info("text embeddings of %d classes by %s", len(classes), config.teacher)
    with torch.random.fork_rng(devices=()), torch.no_grad():  # a run draws the same numbers, cached or not
        text = F.normalize(teacher.embed(config, texts).float().cpu(), dim=1)
    write_cache(path, text)
    return text
