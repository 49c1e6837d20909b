"""Weights on disk: one `.safetensors` file with everything needed to use it, and the official SAM2 files.

Two kinds. `full` holds every tensor. `adapter` holds what was trained (LoRA, fusion, heads: a few MB) and needs the
SAM2 file it was trained on, named in its metadata by SHA-256. Nothing here unpickles code.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from sartm_core.model.config import SAM2_BACKBONES, ModelConfig
from sartm_core.model.load_report import LoadReport
from sartm_core.model.sartm import SARTM, ModelInfo
from sartm_core.model.stored import FORMAT, KINDS, VERSION, Stored, check_finite, named, read_metadata, read_stored
from sartm_core.support.fields import to_dict
from sartm_core.support.files import read_whole, replacing
from sartm_core.support.text import plain
from sartm_core.support.torch_file import read_torch

__all__ = [
    "comes_from_sam2", "load", "load_sam2", "model_of", "read_metadata", "read_sam2", "read_stored", "save", "sha256",
    "write_info",
]  # fmt: skip

log = logging.getLogger(__name__)

HASH_BLOCK = 1 << 20
NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""What a tensor of floating-point numbers may be stored as."""

TAKEN = {
    "image_encoder.trunk.": "encoder.trunk.",
    "image_encoder.neck.": "encoder.neck.",
    "sam_mask_decoder.": "mask_decoder.sam.",
    "sam_prompt_encoder.pe_layer.": "mask_decoder.pe_layer.",
    "sam_prompt_encoder.not_a_point_embed.": "mask_decoder.not_a_point_embed.",
    "sam_prompt_encoder.no_mask_embed.": "mask_decoder.no_mask_embed.",
    "no_mem_embed": "mask_decoder.no_mem_embed",
}
"""Prefix in an official file -> prefix in SARTM."""
SKIPPED = {
    "sam_mask_decoder.mask_tokens.": "one token per class here",
    "sam_mask_decoder.output_hypernetworks_mlps.": "one hypernetwork per class here",
    "sam_mask_decoder.iou_prediction_head.": "mask quality is not predicted here",
    "sam_prompt_encoder.point_embeddings.": "no point or box prompts here",
    "sam_prompt_encoder.mask_downscaling.": "no mask prompts here",
    "memory_attention.": "video memory",
    "memory_encoder.": "video memory",
    "maskmem_tpos_enc": "video memory",
    "no_mem_pos_enc": "video memory",
    "no_obj_embed_spatial": "video memory",
    "mask_downsample.": "video memory",
    "obj_ptr_proj.": "video object pointers",
    "obj_ptr_tpos_proj.": "video object pointers",
    "no_obj_ptr": "video object pointers",
}
"""Prefix in an official file that SARTM has no use for -> why."""


def load_sam2(model: SARTM, path: str | Path) -> LoadReport:
    """Load an official SAM2 / SAM2.1 file (`torch.save({"model": ...})`) into `model`, strictly.

    Returns what was taken, what was skipped and why. Raises ValueError on a file of another size, a missing or
    unexpected tensor, naming it; FileNotFoundError names the path.
    """
    path = Path(path)
    if model.config.backbone not in SAM2_BACKBONES:
        raise ValueError(f"load_sam2: backbone {model.config.backbone!r} takes no SAM2 file")
    try:
        data = read_whole(path, "load_sam2")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; give the .pt file as downloaded from Meta") from error
    digest = hashlib.sha256(data).hexdigest()
    source = read_sam2(path, data)
    del data  # the tensors are copies
    own = model.state_dict()
    updates: dict[str, Tensor] = {}
    names: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for name, tensor in source.items():
        reason = next((why for prefix, why in SKIPPED.items() if name.startswith(prefix)), None)
        if reason:
            skipped[name] = reason
            continue
        target = next((ours + name[len(theirs) :] for theirs, ours in TAKEN.items() if name.startswith(theirs)), None)
        if target not in own:
            raise ValueError(
                f"load_sam2: {path} has an unexpected tensor {name!r}; expected an official SAM2 or SAM2.1 image file"
            )
        if own[target].shape != tensor.shape:
            raise ValueError(
                f"load_sam2: {path} tensor {name!r} is {tuple(tensor.shape)}, {model.config.backbone} needs "
                f"{tuple(own[target].shape)}; is it the file of another backbone size?"
            )
        updates[target], names[target] = tensor, name
    wanted = [name for name in own if comes_from_sam2(name)]
    missing = [name for name in wanted if name not in updates]
    if missing:
        raise ValueError(
            f"load_sam2: {path} lacks {len(missing)} tensors, first {missing[0]!r}; "
            "is it the file of another backbone size?"
        )
    check_finite(updates, f"load_sam2: {path}")
    model.load_state_dict(updates, strict=False)
    model.info = replace(model.info, base_name=path.name, base_sha256=digest)
    report = LoadReport(tuple(names.values()), skipped, tuple(name for name in own if name not in updates))
    log.info("%s: %s", path.name, report)
    return report


def read_sam2(path: Path, data: bytes | None = None) -> dict[str, Tensor]:
    """The tensors of Meta's file, or of the same network as a training wrote it. data: what was read from the file."""
    try:
        file = read_torch(path, data)
    except ValueError as error:
        raise ValueError(f"load_sam2: {error}; expected an official SAM2 or SAM2.1 file") from error
    for note in file.notes:
        log.info("%s: %s", path.name, note)
    return file.tensors


def comes_from_sam2(name: str) -> bool:
    """Whether SARTM's tensor `name` has a counterpart in every official file."""
    ours = tuple(TAKEN.values())
    theirs = next((source + name[len(target) :] for source, target in TAKEN.items() if name.startswith(target)), "")
    return name.startswith(ours) and ".lora_" not in name and not theirs.startswith(tuple(SKIPPED))


def sha256(path: str | Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def save(model: SARTM, path: str | Path, kind: str = "auto", dtype: torch.dtype | None = None) -> Path:
    """Write `model` to `path` atomically; returns the path.

    Args:
        kind: `adapter`, `full`, or `auto` = adapter when the encoder is frozen and came from a known SAM2 file.
        dtype: store floating-point tensors as this (`torch.float16` halves the file); default as they are.
    """
    path = Path(path)
    if kind not in ("auto", *KINDS):
        raise ValueError(f"save: kind {kind!r}, expected one of {('auto', *KINDS)}")
    if path.suffix != ".safetensors":
        raise ValueError(f"save: {path} does not end in .safetensors")
    is_adapter = bool(model.info.base_sha256) and not model.config.train_encoder
    if kind == "auto":
        kind = "adapter" if is_adapter else "full"
    if kind == "adapter" and not is_adapter:
        raise ValueError("save: an adapter file needs a frozen encoder from load_sam2; save kind='full' instead")
    wanted = set(model.state_dict()) if kind == "full" else _adapter_names(model)
    tensors = {
        name: (tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in model.state_dict().items()
        if name in wanted
    }
    info = replace(model.info, untrained=model.untrained)
    return _write(tensors, content_of(kind, model.config, info), path)


def write_info(path: str | Path, info: ModelInfo, output: str | Path) -> Path:
    """The tensors of a SARTM file with other facts beside them; returns `output`, which may be the same file."""
    stored = read_stored(path)
    return _write(stored.tensors, content_of(stored.kind, stored.model, info), Path(output))


def content_of(kind: str, config: ModelConfig, info: ModelInfo) -> dict[str, Any]:
    """The metadata of a file."""
    return {"format": FORMAT, "version": VERSION, "kind": kind, "model": to_dict(config), "info": to_dict(info)}


def _write(tensors: dict[str, Tensor], content: dict[str, Any], path: Path) -> Path:
    """Atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={FORMAT: json.dumps(content)})
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written ({error})") from error
    return path


def _adapter_names(model: SARTM) -> set[str]:
    """Tensors that an adapter file holds: all that does not come back from the SAM2 file, and all that trains."""
    return {name for name in model.state_dict() if not comes_from_sam2(name)} | set(model.trainable_names())


def load(path: str | Path, sam2: str | Path | None = None) -> SARTM:
    """A `SARTM` in eval mode from a file of `save`. An adapter file needs `sam2`, checked by SHA-256."""
    return model_of(read_stored(path), sam2)


def model_of(stored: Stored, sam2: str | Path | None = None) -> SARTM:
    """A `SARTM` in eval mode from what `read_stored` gave, as `load`."""
    where = f"checkpoint: {named(stored.path)}"
    if stored.kind == "adapter" and sam2 is None:
        raise ValueError(f"{where} is an adapter; give sam2={stored.info.base_name!r}, the file it was trained on")
    try:
        model = SARTM(stored.model)
    except Exception as error:  # a backbone that timm does not know, of the type its version has for that
        raise ValueError(f"{where}: no network can be made of checkpoint.model ({plain(error)})") from error
    if stored.kind == "adapter":
        model.load_sam2(sam2 or "")
        if model.info.base_sha256 != stored.info.base_sha256:
            raise ValueError(
                f"{where} was trained on {stored.info.base_name} (sha256 {stored.info.base_sha256[:12]}...), "
                f"{sam2} is another file"
            )
    check_fit(stored, model)
    model.load_state_dict(stored.tensors, strict=False)
    model.info = stored.info
    if stored.info.untrained:
        model.drawn = model.mask_decoder.classes()
    return model.eval()


def check_fit(stored: Stored, model: SARTM) -> None:
    """ValueError unless a file has just the tensors that the network of its configuration takes from it."""
    where = f"checkpoint: {named(stored.path)}"
    own = model.state_dict()
    expected = _adapter_names(model) if stored.kind == "adapter" else set(own)
    if odd := sorted(expected ^ set(stored.tensors)):
        raise ValueError(
            f"{where} and its own configuration disagree about {len(odd)} tensors, first {plain(repr(odd[0]))}"
        )
    for name, tensor in stored.tensors.items():
        wanted = own[name]
        same_type = tensor.dtype in NUMBERS if wanted.is_floating_point() else tensor.dtype == wanted.dtype
        if tensor.shape != wanted.shape or not same_type:
            raise ValueError(
                f"{where}: tensor {name} is {tuple(tensor.shape)} {tensor.dtype}, its own configuration needs "
                f"{tuple(wanted.shape)} {wanted.dtype}"
            )
