"""LoRA written by `peft`: a folder with adapter_config.json and adapter_model.safetensors, for Hiera's attention.

    y = W x + s B A x        s = lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora

Adapted may be the fused `attn.qkv`, or projections split from it: `attn.q`, `attn.k`, `attn.v` (or `q_proj` and so on).
One adapter for both modalities goes into the encoder's weights. One per modality becomes SARTM's own adapters, which
have q and v, and k where one of them changes it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sartm_core.import_weights.taking import Imported
from sartm_core.import_weights.tensors import read_tensors
from sartm_core.model.config import MODALITIES
from sartm_core.model.lora import LoRAQKV
from sartm_core.model.sartm import SARTM

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
NAME = re.compile(
    r"base_model\.model\.(?:(?:encoder|image_encoder)\.)?(?:trunk\.)?blocks\.(\d+)\.attn\."
    r"(?:(qkv)|([qkv])(?:_proj)?)\.lora_([AB])\.weight"
)
NEEDED: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "use_dora": (False, None),
    "bias": ("none", None),
    "lora_bias": (False, None),
    "fan_in_fan_out": (False, None),
    "modules_to_save": (None, []),
    "alpha_pattern": ({}, None),
    "layer_replication": (None,),
    "use_qalora": (False, None),
    "alora_invocation_tokens": (None,),
    "init_lora_weights": (True, False, None, "gaussian", "eva", "orthogonal"),
}
"""Settings of `peft` -> values that can be imported. Other starts of the weights change the base as well."""
ORDER = "qkv"
"""Rows of the fused projection."""


@dataclass(frozen=True)
class LowRank:
    """One low-rank update of a projection, or of a third of it."""

    part: str
    """`qkv`, `q`, `k` or `v`."""
    a: Tensor
    """(r, dim)"""
    b: Tensor
    """(dim_out, r), or (3 * dim_out, r) for `qkv`; its factor s is in it."""

    def rows(self, part: str) -> Tensor | None:
        """B of q, k or v alone, (dim_out, r); None where this update has nothing to do with it."""
        if self.part == "qkv":
            return self.b.chunk(3)[ORDER.index(part)]
        return self.b if self.part == part else None


@dataclass(frozen=True)
class Adapter:
    """One adapter folder."""

    folder: Path
    blocks: dict[int, list[LowRank]]
    """Number of a block -> what is added there."""
    names: list[str]
    """Of its tensors."""


def read_adapter(folder: Path) -> Adapter:
    """The updates in an adapter folder. ValueError or FileNotFoundError names the file and what does not fit."""
    settings = read_settings(folder / CONFIG)
    path = folder / WEIGHTS
    tensors = read_tensors(path).tensors
    halves: dict[tuple[int, str], dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        match = NAME.fullmatch(name)
        if match is None:
            raise ValueError(
                f"{path}: unknown tensor {name!r}; expected LoRA of attn.qkv, attn.q, attn.k or attn.v only"
            )
        block, fused, single, side = match.groups()
        halves[int(block), fused or single][side] = tensor
    blocks: dict[int, list[LowRank]] = defaultdict(list)
    for (block, part), pair in halves.items():
        where = f"{path}: block {block}, attn.{part}"
        if set(pair) != {"A", "B"}:
            raise ValueError(f"{where}: has lora_{next(iter(pair))} alone, expected lora_A and lora_B")
        a, b = pair["A"], pair["B"]
        if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1]:
            raise ValueError(f"{where}: lora_A is {tuple(a.shape)}, lora_B {tuple(b.shape)}; the ranks must be equal")
        blocks[block].append(LowRank(part, a, b * scale(settings, a.shape[0])))
    return Adapter(folder, blocks, [f"{folder.name}/{name}" for name in tensors])


def read_settings(path: Path) -> dict[str, Any]:
    """adapter_config.json, when all it asks for can be imported."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give the folder that peft's save_pretrained wrote")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("lora_alpha"), (int, float)):
        raise ValueError(f"{path}: has no number lora_alpha; expected the configuration of a LoRA of peft")
    for key, allowed in NEEDED.items():
        value = settings.get(key)
        if not any(value == one and type(value) is type(one) for one in allowed):
            raise ValueError(f"{path}: {key} is {value!r}, which cannot be imported; expected one of {allowed}")
    return settings


def scale(settings: Mapping[str, Any], rank: int) -> float:
    """The factor s of an update of this rank."""
    return float(settings["lora_alpha"]) / (rank**0.5 if settings.get("use_rslora") else rank)


@torch.no_grad()
def add_shared(imported: Imported, adapter: Adapter) -> None:
    """Add one adapter, for both modalities, to the encoder's weights."""
    projections = projections_of(imported.model)
    check_shapes(adapter, projections)
    for block, updates in adapter.blocks.items():
        weight = projections[block].weight  # (3 * dim_out, dim)
        for update in updates:
            rows = weight if update.part == "qkv" else weight.chunk(3)[ORDER.index(update.part)]
            rows += (update.b.double() @ update.a.double()).to(rows.dtype)
    imported.used += adapter.names


@torch.no_grad()
def add_per_modality(imported: Imported, adapters: Mapping[str, Adapter]) -> None:
    """Give the model adapters: modality -> its own; a modality without one stays as the base."""
    for adapter in adapters.values():
        check_shapes(adapter, projections_of(imported.model))
    blocks = [updates for adapter in adapters.values() for updates in adapter.blocks.values()]
    parts = "qkv" if any(changes(updates, "k") for updates in blocks) else "qv"
    ranks = [sum(len(u.a) for u in updates if u.rows(part) is not None) for updates in blocks for part in parts]
    rank = max(1, *ranks)
    base = imported.model
    model = SARTM(replace(base.config, lora_rank=rank, lora_parts=parts))
    model.load_state_dict(base.state_dict(), strict=False)
    model.info, model.drawn = base.info, base.drawn
    projections = projections_of(model)
    for modality, adapter in adapters.items():
        m = MODALITIES.index(modality)
        for block, updates in adapter.blocks.items():
            layer = projections[block]
            assert isinstance(layer, LoRAQKV)
            for slot, part in enumerate(parts):
                fill(layer, m, slot, [(u.a, rows) for u in updates if (rows := u.rows(part)) is not None])
        imported.used += adapter.names
    imported.model = model


def changes(updates: list[LowRank], part: str) -> bool:
    """Whether any of the updates of a block is not zero for q, k or v."""
    return any(rows.any() for u in updates if (rows := u.rows(part)) is not None)


def fill(layer: LoRAQKV, modality: int, slot: int, updates: list[tuple[Tensor, Tensor]]) -> None:
    """Put updates (A, B) of q, k or v into one adapter, side by side; what is left of its rank stays without effect."""
    at = 0
    for a, b in updates:
        layer.lora_a[modality, slot, at : at + len(a)] = a
        layer.lora_b[modality, slot, :, at : at + len(a)] = b
        at += len(a)


def projections_of(model: SARTM) -> dict[int, nn.Linear]:
    """Number of a block -> its fused projection."""
    return {i: block.attn.qkv for i, block in enumerate(model.encoder.trunk.blocks)}


def check_shapes(adapter: Adapter, projections: Mapping[int, nn.Linear]) -> None:
    """ValueError unless the adapter is one of this encoder."""
    where = adapter.folder / WEIGHTS
    if not adapter.blocks:
        raise ValueError(f"{where}: holds no tensors")
    for block, updates in adapter.blocks.items():
        if block not in projections:
            raise ValueError(f"{where}: adapts block {block}, but the encoder has {len(projections)}: another size?")
        out, dim = projections[block].weight.shape
        for update in updates:
            expected = (out if update.part == "qkv" else out // 3, dim)
            found = (update.b.shape[0], update.a.shape[1])
            if found != expected:
                raise ValueError(
                    f"{where}: block {block}, attn.{update.part} is an update of {found[0]}x{found[1]} weights, the "
                    f"encoder has {expected[0]}x{expected[1]}: another size?"
                )
