"""From the tensors of a SAM2 model to those of a SARTM: which goes where, which is left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from sartm_core.model.checkpoint import SKIPPED, TAKEN, comes_from_sam2
from sartm_core.model.sartm import SARTM
from sartm_core.support.torch_file import shared_prefix

ENCODER, STAND_IN = "encoder.", "stand_in."
CLASS_PARTS = ("mask_decoder.sam.mask_tokens.", "mask_decoder.sam.output_hypernetworks_mlps.")
"""SARTM's tensors with one part per class."""
TOKENS = "sam_mask_decoder.mask_tokens.weight"
HYPERNETWORKS = "sam_mask_decoder.output_hypernetworks_mlps."
PATCHES = "image_encoder.trunk.patch_embed.proj.weight"
SIZES = {(96, 12): "t", (96, 16): "s", (112, 24): "b+", (144, 48): "l"}
"""(channels of the first stage, blocks) of SAM2's encoders -> size."""
ONLY_2_1 = ("no_obj_embed_spatial", "obj_ptr_tpos_proj.")
"""Tensors that SAM2.1 has and SAM2.0 has not."""


@dataclass
class Imported:
    """A network filled from other files, and what became of their tensors."""

    model: SARTM
    kind: str
    """What the file was taken for."""
    used: list[str] = field(default_factory=list)
    """Names in the files of the tensors that are in the model now."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Names in the files of the tensors that are not -> why."""
    fresh: list[str] = field(default_factory=list)
    """Names in SARTM of the tensors that no file gave: still as initialised."""
    notes: list[str] = field(default_factory=list)
    """What the user should know."""

    def as_text(self) -> str:
        """A few lines for people."""
        config = self.model.config
        lines = [f"{self.kind}: {config.backbone}, {config.num_classes} classes: {', '.join(config.classes)}"]
        lines.append(f"used      {len(self.used)} tensors")
        reasons = Counter(self.ignored.values())
        lines += [f"ignored   {count} tensors: {reason}" for reason, count in reasons.most_common()]
        groups = Counter(name.split(".")[0] for name in self.fresh)
        if groups:
            listed = ", ".join(f"{name} ({count})" for name, count in groups.items())
            lines.append(f"untrained {len(self.fresh)} tensors that no file gave: {listed}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)]) + "\n"

    def as_dict(self) -> dict[str, object]:
        """All of it, for JSON."""
        lists = {"used": self.used, "ignored": self.ignored, "untrained": self.fresh, "notes": self.notes}
        config = self.model.config
        return {"kind": self.kind, "backbone": config.backbone, "classes": list(config.classes), **lists}


def backbone_of(source: Mapping[str, Tensor], path: Path) -> str:
    """Name of the backbone with these tensors of a SAM2 model. ValueError names the file."""
    if PATCHES not in source:
        prefix = shared_prefix(source)
        hint = f" (all its names begin with {prefix!r}: write it without)" if prefix else ""
        raise ValueError(
            f"{path}: lacks {PATCHES!r}; expected the weights of a SAM2 model or of its image encoder{hint}"
        )
    blocks = "image_encoder.trunk.blocks."
    count = len({name[len(blocks) :].split(".")[0] for name in source if name.startswith(blocks)})
    shape = (source[PATCHES].shape[0], count)
    if shape not in SIZES:
        known = ", ".join(f"{size}: {channels} and {n}" for (channels, n), size in SIZES.items())
        raise ValueError(
            f"{path}: its encoder has {shape[0]} channels and {shape[1]} blocks, SAM2's have {known}; "
            "is the file complete?"
        )
    is_2_1 = any(name.startswith(ONLY_2_1) for name in source)
    return f"{'sam2.1' if is_2_1 else 'sam2'}_hiera_{SIZES[shape]}"


def place_of(name: str, takes_classes: bool) -> tuple[str, str]:
    """(SARTM's name for a tensor of a SAM2 model, "") or ("", why it is left out); both empty: unknown."""
    if takes_classes and name.startswith(f"{HYPERNETWORKS}0."):
        return "", "output token 0 is dropped"
    class_wise = takes_classes and name.startswith((TOKENS, HYPERNETWORKS))
    why = next((why for prefix, why in SKIPPED.items() if name.startswith(prefix)), "")
    if why and not class_wise:
        return "", why
    return next((ours + name[len(theirs) :] for theirs, ours in TAKEN.items() if name.startswith(theirs)), ""), ""


def take(
    imported: Imported, source: Mapping[str, Tensor], names: Mapping[str, str], takes_classes: bool, path: Path
) -> None:
    """Load the tensors of a SAM2 model into `imported.model`, strictly, and note what became of each.

    source: by SAM2's names, of a whole model or of an image encoder alone; names: those -> names in the file.
    Raises ValueError naming an unknown, missing or misshapen tensor.
    """
    own = imported.model.state_dict()
    updates: dict[str, Tensor] = {}
    for name, tensor in source.items():
        target, why = place_of(name, takes_classes)
        if why:
            imported.ignored[names[name]] = why
            continue
        if target not in own:
            raise ValueError(f"{path}: unknown tensor {names[name]!r}; nothing was imported")
        if own[target].shape != tensor.shape:
            raise ValueError(
                f"{path}: tensor {names[name]!r} is {tuple(tensor.shape)}, {imported.model.config.backbone} with "
                f"{imported.model.config.num_classes} classes needs {tuple(own[target].shape)}"
            )
        updates[target] = tensor
        imported.used.append(names[name])
    whole = any(not name.startswith(ENCODER) for name in updates)
    missing = [name for name in own if name not in updates and is_expected(name, whole, takes_classes)]
    if missing:
        raise ValueError(f"{path}: lacks {len(missing)} tensors, first the one for SARTM's {missing[0]!r}")
    imported.model.load_state_dict(updates, strict=False)
    for stand_in in imported.model.stand_in:
        nn.init.zeros_(stand_in)  # late fusion never reads them
    imported.fresh = [name for name in own if name not in updates and not name.startswith(STAND_IN)]


def is_expected(name: str, whole: bool, takes_classes: bool) -> bool:
    """Whether SARTM's tensor must come from the file; `whole`: it is not an image encoder alone."""
    if takes_classes and name.startswith(CLASS_PARTS):
        return True
    return comes_from_sam2(name) and (whole or name.startswith(ENCODER))
