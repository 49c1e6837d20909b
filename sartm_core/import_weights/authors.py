"""Training checkpoints of the paper authors' public release.

Such a file is the state dict of their training module. Below `sam.` is a SAM2 model, each `attn.qkv` of its encoder a
module with the projection (`qkv`) and three low-rank products for q and for v:

    q += sum_i B_q,i A_q,i x        v += sum_i B_v,i A_v,i x

One set serves both modalities and the encoder is frozen, so the sums are added to the weights of the projection: the
same output without adapters. They go to the *first* and *last* `in_features` rows, which in the blocks between stages
are half of q and half of v; that is how these weights were trained.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from sartm_core.import_weights.taking import TOKENS, Imported, backbone_of, take
from sartm_core.model.config import ModelConfig
from sartm_core.model.sartm import SARTM, ModelInfo
from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm

KIND = "checkpoint of the paper authors' release"
PREFIX = "sam."
ADAPTER = re.compile(r"(image_encoder\.trunk\.blocks\.\d+\.attn\.qkv\.)linear_([ab])_([qv])([23]?)\.weight")
PRODUCTS = ("", "2", "3")
"""Endings of the names of the three low-rank products of a projection."""
TRAINING_ONLY = ("model_clip.", "FRMs.", "FFMs.", "mlp_", "linear_")
"""Beside `sam.`: what their training has and their output does not depend on."""
NO_MEMORY = "no_mem_embed"
PST900_CLASSES = ("background", "hand-drill", "backpack", "fire-extinguisher", "survivor")
"""Names of the outputs of their PST900 weights, in order."""
PST900_NOTE = (
    "outputs are named in the order of the authors' PST900 weights, which is not that of PST900's label files; "
    "see docs/import_weights.md for how to check it on a frame"
)

Products = dict[tuple[str, str, str], Tensor]
"""(a | b, q | v, ending) -> weight, of one block."""


def is_authors(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of such a file."""
    return any(name.startswith(PREFIX) and ADAPTER.fullmatch(name[len(PREFIX) :]) for name in tensors)


def import_authors(tensors: Mapping[str, Tensor], path: Path, classes: Sequence[str] | None) -> Imported:
    """The network of such a file, ready to run. ValueError names what does not fit."""
    source: dict[str, Tensor] = {}
    names: dict[str, str] = {}
    adapters: dict[str, Products] = {}
    adapter_names, ignored = [], {}
    for name, tensor in tensors.items():
        inner = name.removeprefix(PREFIX)
        if inner == name:
            if not name.startswith(TRAINING_ONLY):
                raise ValueError(f"{path}: unknown tensor {name!r} beside {PREFIX}*; nothing was imported")
            ignored[name] = "part of their training, not of their output"
        elif match := ADAPTER.fullmatch(inner):
            block, *product = match.groups()
            adapters.setdefault(block, {})[(product[0], product[1], product[2])] = tensor
            adapter_names.append(name)
        elif inner == NO_MEMORY:
            ignored[name] = "their output does without it"
        else:
            inner = inner.replace(".attn.qkv.qkv.", ".attn.qkv.")
            source[inner], names[inner] = tensor, name
    backbone = backbone_of(source, path)
    add_updates(source, adapters, path)
    own = class_names(source, path, classes)
    config = ModelConfig(backbone=backbone, classes=own, lora_rank=0, fusion="late", aux_head="none", object_gate=True)
    source[NO_MEMORY], names[NO_MEMORY] = torch.zeros(1, 1, source[TOKENS].shape[1]), NO_MEMORY
    imported = Imported(SARTM(config), KIND, ignored=ignored, notes=[PST900_NOTE] if classes is None else [])
    take(imported, source, names, takes_classes=True, path=path)
    imported.used = [name for name in imported.used if name != NO_MEMORY] + adapter_names
    preprocess = PreprocessConfig(input_size=None, thermal=ThermalNorm(mode="unit"), pad="square")
    imported.model.info = ModelInfo(preprocess=preprocess)
    return imported


def class_names(source: Mapping[str, Tensor], path: Path, classes: Sequence[str] | None) -> tuple[str, ...]:
    """Those given, else those of the PST900 weights; as many as the file has tokens behind the first."""
    if TOKENS not in source:
        raise ValueError(f"{path}: lacks {PREFIX + TOKENS!r}")
    count = source[TOKENS].shape[0] - 1
    if classes is None and count != len(PST900_CLASSES):
        raise ValueError(
            f"{path}: has {count} classes, but no names for them (only those of the PST900 weights are known); "
            f"give --classes with {count} names in the order of training"
        )
    names = PST900_CLASSES if classes is None else tuple(classes)
    if len(names) != count:
        raise ValueError(f"{path}: has {count} classes, --classes names {len(names)}: {', '.join(names)}")
    return names


@torch.no_grad()
def add_updates(source: dict[str, Tensor], adapters: Mapping[str, Products], path: Path) -> None:
    """Add the low-rank products of every block to its `qkv.weight` in `source`."""
    for name in [name for name in source if name.endswith(".attn.qkv.weight")]:
        block = name.removesuffix("weight")
        weight = source[name].double()  # (3 * dim_out, dim)
        dim = weight.shape[1]
        for part, rows in (("q", slice(None, dim)), ("v", slice(-dim, None))):
            weight[rows] += update(adapters.get(block, {}), block, part, dim, path)
        source[name] = weight.float()
    homeless = [block for block in adapters if f"{block}weight" not in source]
    if homeless:
        raise ValueError(f"{path}: lacks the projection {PREFIX}{homeless[0]}qkv.weight")


def update(products: Products, block: str, part: str, dim: int, path: Path) -> Tensor:
    """Sum of the three products of q or of v, (dim, dim) float64. ValueError names what is missing or misshapen."""
    total = torch.zeros(dim, dim, dtype=torch.float64)
    for ending in PRODUCTS:
        label = f"{PREFIX}{block}linear_{{a,b}}_{part}{ending}.weight"
        a, b = (products.get((side, part, ending)) for side in "ab")
        if a is None or b is None:
            raise ValueError(f"{path}: lacks {label}")
        if a.shape[1] != dim or b.shape != (dim, a.shape[0]):
            raise ValueError(
                f"{path}: {label} are {tuple(a.shape)} and {tuple(b.shape)}, expected (rank, {dim}) and ({dim}, rank)"
            )
        total += b.double() @ a.double()
    return total
