"""LoRA as `peft` writes it, on the encoder of a SAM2 tiny."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sartm_core.import_weights.__main__ import main
from sartm_core.import_weights.peft import CONFIG, WEIGHTS, add_shared, read_adapter
from sartm_core.import_weights.run import Sources, import_weights
from sartm_core.model.checkpoint import load
from sartm_core.runtime.graph.graph import FoldedSARTM
from test.core import foreign_weights as foreign
from test.core.conftest import make_batch

CLASSES = ("background", "car")
SETTINGS = {
    "peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["qkv"], "bias": "none", "use_dora": False,
    "use_rslora": False, "fan_in_fan_out": False, "modules_to_save": None, "rank_pattern": {}, "alpha_pattern": {},
    "init_lora_weights": True, "base_model_name_or_path": None, "inference_mode": True,
}  # fmt: skip
BLOCKS = (0, 1, 3)
"""Adapted; 1 and 3 stand between stages."""
PATH = "base_model.model.image_encoder.trunk.blocks"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """The image encoder of a SAM2 tiny in a file."""
    path = tmp_path_factory.mktemp("base") / "encoder.safetensors"
    save_file(foreign.sam2_model("sam2.1").image_encoder.state_dict(), path)
    return path


def projections(base: Path) -> dict[int, Tensor]:
    """The fused weights that the adapters are for."""
    from safetensors.torch import load_file

    source = load_file(base)
    return {block: source[f"trunk.blocks.{block}.attn.qkv.weight"] for block in BLOCKS}


def tensors(base: Path, parts: tuple[str, ...], seed: int, rank: int = 4, without_k: bool = False) -> dict[str, Tensor]:
    """What peft stores for a LoRA of these projections."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for block, weight in projections(base).items():
        rows, dim = weight.shape
        for part in parts:
            out = rows if part == "qkv" else rows // 3
            b = torch.randn(out, rank, generator=generator) * 0.1
            if without_k:
                b[rows // 3 : 2 * rows // 3] = 0
            made[f"{PATH}.{block}.attn.{part}.lora_A.weight"] = torch.randn(rank, dim, generator=generator) * 0.1
            made[f"{PATH}.{block}.attn.{part}.lora_B.weight"] = b
    return made


def write(folder: Path, content: dict[str, Tensor], **changes: object) -> Path:
    """A folder of `save_pretrained`."""
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(json.dumps({**SETTINGS, **changes}))
    save_file(content, folder / WEIGHTS)
    return folder


def merged(base: Path, content: dict[str, Tensor], scale: float) -> dict[int, Tensor]:
    """The fused weights with an adapter in them, by peft's formula W + s B A."""
    weights = projections(base)
    for name, a in content.items():
        if ".lora_A." not in name:
            continue
        block, part = int(name.split(".")[5]), name.split(".")[7]
        delta = scale * content[name.replace("lora_A", "lora_B")] @ a
        rows = len(weights[block]) // 3
        first = {"qkv": 0, "q": 0, "k": rows, "v": 2 * rows}[part[:1] if part != "qkv" else part]
        weights[block][first : first + len(delta)] += delta
    return weights


SHARED = {
    "fused": (("qkv",), {}, 2.0),
    "q and v, rank-stabilised": (("q", "v"), {"use_rslora": True}, 8 / math.sqrt(4)),
    "q_proj, k_proj, v_proj": (("q_proj", "k_proj", "v_proj"), {}, 2.0),
}


@pytest.mark.parametrize("case", SHARED)
def test_shared_is_in_the_weights(base: Path, tmp_path: Path, case: str) -> None:
    parts, changes, scale = SHARED[case]
    content = tensors(base, parts, seed=1)
    imported = import_weights(Sources(base, CLASSES, lora=write(tmp_path / "lora", content, **changes)))
    assert imported.model.config.lora_rank == 0
    expected = merged(base, content, scale)
    for block, weight in expected.items():
        found = imported.model.encoder.trunk.blocks[block].attn.qkv.weight
        torch.testing.assert_close(found, weight, atol=1e-6, rtol=1e-6)
        assert not torch.equal(found, projections(base)[block])
    assert f"lora/{PATH}.3.attn.{parts[0]}.lora_B.weight" in imported.used


@pytest.mark.parametrize("without_k", [False, True])
def test_one_per_modality_becomes_our_adapters(base: Path, tmp_path: Path, without_k: bool) -> None:
    """Of other ranks and kinds; the saved file gives what two encoders with the merged weights give."""
    rgb, thermal = tensors(base, ("qkv",), 1, rank=4, without_k=without_k), tensors(base, ("q", "v"), 2, rank=2)
    folders = [write(tmp_path / "rgb", rgb), write(tmp_path / "thermal", thermal, r=2)]
    output = tmp_path / "both.safetensors"
    argv = [str(base), "--output", str(output), "--classes", *CLASSES]
    assert main([*argv, "--lora-rgb", str(folders[0]), "--lora-thermal", str(folders[1])]) == 0
    model = load(output)
    assert model.config.lora_rank == 4 and model.config.lora_parts == ("qv" if without_k else "qkv")
    assert set(model.info.protocol["imported"]["files"]) == {base.name, f"rgb/{WEIGHTS}", f"thermal/{WEIGHTS}"}
    plain = import_weights(Sources(base, CLASSES)).model
    images = make_batch(1)
    for m, (content, scale) in enumerate(((rgb, 2.0), (thermal, 4.0))):
        for block, weight in merged(base, content, scale).items():
            plain.encoder.trunk.blocks[block].attn.qkv.weight.data.copy_(weight)
        alone = [image if i == m else None for i, image in enumerate(images)]
        with torch.inference_mode():
            found, expected = model.encoder(alone), plain.encoder(alone)
        assert expected[-1].std() > 0.01
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    with torch.inference_mode():
        folded = FoldedSARTM(model)
        height, width = images[0].shape[-2:]
        found = folded(*images, folded.layout((height, width)))
        expected = model(*images, size=(height // 4, width // 4)).logits
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


def test_one_modality_alone(base: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "thermal", tensors(base, ("v",), 3))
    model = import_weights(Sources(base, CLASSES, per_modality={"thermal": folder})).model
    deltas = model.encoder.trunk.blocks[1].attn.qkv
    delta = deltas.lora_b @ deltas.lora_a  # (M, q|v, dim_out, dim)
    assert [[bool(delta[m, part].any()) for part in range(2)] for m in range(2)] == [[False, False], [False, True]]


BAD_SETTINGS = {"use_dora": True, "peft_type": "IA3", "modules_to_save": ["head"], "init_lora_weights": "pissa"}


@pytest.mark.parametrize("key", BAD_SETTINGS)
def test_settings_that_need_more_are_refused(base: Path, tmp_path: Path, key: str) -> None:
    folder = write(tmp_path / "lora", tensors(base, ("qkv",), 1), **{key: BAD_SETTINGS[key]})
    with pytest.raises(ValueError, match=f"adapter_config.json: {key} is {re.escape(repr(BAD_SETTINGS[key]))}"):
        read_adapter(folder)


def test_adapters_that_do_not_fit_are_refused(base: Path, tmp_path: Path) -> None:
    content = tensors(base, ("qkv",), 1)
    a, b = f"{PATH}.0.attn.qkv.lora_A.weight", f"{PATH}.0.attn.qkv.lora_B.weight"
    cases = [
        (content | {f"{PATH}.0.mlp.layers.0.lora_A.weight": torch.ones(4, 96)}, "unknown tensor"),
        ({name: t for name, t in content.items() if name != b}, "block 0, attn.qkv: has lora_A alone"),
        (content | {a: torch.ones(3, 96)}, "the ranks must be equal"),
        (content | {a: torch.ones(4, 112)}, "288x112 weights, the encoder has 288x96"),
        ({name.replace("blocks.3", "blocks.30"): t for name, t in content.items()}, "adapts block 30"),
    ]
    imported = import_weights(Sources(base, CLASSES))
    for i, (changed, expected) in enumerate(cases):
        folder = write(tmp_path / str(i), changed)
        with pytest.raises(ValueError, match=expected):
            add_shared(imported, read_adapter(folder))
    with pytest.raises(ValueError, match="not both"):
        Sources(base, CLASSES, lora=folder, per_modality={"rgb": folder})
    with pytest.raises(FileNotFoundError, match=CONFIG):
        read_adapter(tmp_path)
