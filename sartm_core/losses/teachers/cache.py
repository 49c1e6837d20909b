"""Text embeddings on disk: one small safetensors file per set of names and teacher, in `$SARTM_CACHE`, else
`$XDG_CACHE_HOME/sartm`, else `~/.cache/sartm`."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sartm_core.losses.config import LossConfig
from sartm_core.losses.teachers import teacher_of
from sartm_core.support.files import cache_folder, replacing

log = logging.getLogger(__name__)

VERSION = 1
"""Part of the file's name: raise it when the same names would get other embeddings."""


def cache_file(config: LossConfig, classes: Sequence[str]) -> Path:
    """Named by a digest of all that decides the embeddings."""
    content = [VERSION, config.teacher, teacher_of(config.teacher).source(config), config.prompt, list(classes)]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return cache_folder() / f"text-{key}.safetensors"


def read_cache(path: Path, count: int) -> Tensor | None:
    """Cached embeddings, or None when there are none or the file is broken (then with a warning)."""
    if not path.is_file():
        return None
    try:
        text = load_file(path)["text"]
        if text.ndim == 2 and len(text) == count and text.dtype == torch.float32 and bool(text.isfinite().all()):
            return text
        problem: object = f"{tuple(text.shape)} {text.dtype} in it"
    except (SafetensorError, KeyError, OSError) as error:
        problem = error
    log.warning("%s: not usable (%s); the text embeddings are computed anew", path, problem)
    return None


def write_cache(path: Path, text: Tensor) -> None:
    """Keep embeddings for the next run; a cache that cannot be written is no more than a warning."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            save_file({"text": text.contiguous()}, temporary)
    except (OSError, SafetensorError) as error:
        log.warning("%s: cannot be written (%s); the text embeddings are computed again next time", path, error)
