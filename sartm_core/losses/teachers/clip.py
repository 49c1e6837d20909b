"""`clip`: the text tower of an open_clip model, by a tag of its hub or from a local file."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from sartm_core.losses.config import LossConfig
from sartm_core.model.checkpoint import sha256

WEIGHT_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")


def source(config: LossConfig) -> list[str]:
    """Model and weights; a local file counts by its content."""
    file = local_file(config)
    return [config.teacher_model, config.teacher_weights if file is None else sha256(file)]


def embed(config: LossConfig, texts: list[str]) -> Tensor:
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
