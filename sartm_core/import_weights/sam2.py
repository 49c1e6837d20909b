"""Weights of the `sam2` package's own modules, as a fine-tuning of SAM2 leaves them: `SAM2Base` or `ImageEncoder`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from sartm_core.import_weights.taking import TOKENS, Imported, backbone_of, take
from sartm_core.model.config import ModelConfig
from sartm_core.model.sartm import SARTM

KIND_MODEL, KIND_ENCODER = "SAM2 model", "SAM2 image encoder"
ENCODER_PARTS = ("trunk.", "neck.")
"""What the names of an image encoder's own state dict begin with."""
SAM2_TOKENS = 4
"""Output tokens of an official decoder: one mask, and three guesses that are no classes."""


def import_sam2(tensors: Mapping[str, Tensor], path: Path, classes: Sequence[str] | None) -> Imported:
    """The network with these weights. ValueError names what does not fit.

    A decoder with one token per class (and token 0) gives a network that runs; from any other file the classes are
    untrained, and the result is a base for training.
    """
    is_encoder = all(name.startswith(ENCODER_PARTS) for name in tensors)
    names = {f"image_encoder.{name}" if is_encoder else name: name for name in tensors}
    source = {name: tensors[inner] for name, inner in names.items()}
    backbone = backbone_of(source, path)
    if classes is None:
        raise ValueError(f"{path}: a {KIND_MODEL} has no class names; give --classes NAME NAME ...")
    takes_classes = has_classes(source, path, len(classes))
    config = ModelConfig(backbone=backbone, classes=tuple(classes), lora_rank=0, fusion="late", aux_head="none")
    imported = Imported(SARTM(config), KIND_ENCODER if is_encoder else KIND_MODEL)
    take(imported, source, names, takes_classes, path)
    if not takes_classes:
        imported.notes.append(
            "the classes are untrained: this file is a base for training "
            "(sartm train --init FILE --init_as_base true), its masks mean nothing yet"
        )
    return imported


def has_classes(source: Mapping[str, Tensor], path: Path, count: int) -> bool:
    """Whether the decoder's tokens are classes: `count` behind token 0, in a number that is not SAM2's own."""
    if TOKENS not in source or source[TOKENS].shape[0] == SAM2_TOKENS:
        return False
    tokens = source[TOKENS].shape[0]
    if tokens != count + 1:
        raise ValueError(
            f"{path}: its decoder has {tokens} output tokens, {tokens - 1} classes behind the first; "
            f"--classes names {count}"
        )
    return True
