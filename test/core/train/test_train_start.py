"""What a run starts from when it has other classes than the weights it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sartm_core.support.fields import from_dict
from sartm_core.train.config import TrainConfig
from sartm_core.train.start import build_model
from test.core.conftest import make_model

MINE, THEIRS = ("background", "person", "dog"), ("unlabeled", "car", "person", "bike")


def values(path: Path, **changes: Any) -> dict[str, Any]:
    model = {"backbone": "hiera_nano", "classes": list(MINE), "lora_rank": 2, "train_encoder": True}
    return {"model": {**model, **changes}, "init": str(path), "init_other_classes": True}


def test_classes_of_the_same_name_keep_what_they_learnt(tmp_path: Path) -> None:
    start = make_model(classes=THEIRS, lora_rank=2, train_encoder=True)
    path = start.save(tmp_path / "start.safetensors")
    model = build_model(from_dict(TrainConfig, values(path)))
    ours, theirs = model.state_dict(), start.state_dict()
    assert torch.equal(ours["encoder.trunk.blocks.0.attn.qkv.lora_a"], theirs["encoder.trunk.blocks.0.attn.qkv.lora_a"])
    assert torch.equal(ours["fusion.0.fuse.residual.weight"], theirs["fusion.0.fuse.residual.weight"])
    person, theirs_person, dog, car = MINE.index("person"), THEIRS.index("person"), MINE.index("dog"), 1
    for name in ("aux_head.classify.weight", "aux_head.classify.bias"):
        assert torch.equal(ours[name][person], theirs[name][theirs_person])
        assert not torch.equal(ours[name][dog], theirs[name][car])
    tokens = "mask_decoder.sam.mask_tokens.weight"
    assert torch.equal(ours[tokens][person + 1], theirs[tokens][theirs_person + 1])
    assert not any(torch.equal(ours[tokens][dog + 1], row) for row in theirs[tokens])
    mlp = "mask_decoder.sam.output_hypernetworks_mlps.{}.layers.0.weight"
    assert torch.equal(ours[mlp.format(person + 1)], theirs[mlp.format(theirs_person + 1)])
    assert not torch.equal(ours[mlp.format(dog + 1)], theirs[mlp.format(car + 1)])


def test_the_network_must_be_the_same_but_for_its_classes(tmp_path: Path) -> None:
    path = make_model(classes=THEIRS, lora_rank=2, train_encoder=True).save(tmp_path / "start.safetensors")
    with pytest.raises(ValueError, match=r"another network, .*'fusion': \('frm_ffm', 'mean'\)"):
        build_model(from_dict(TrainConfig, values(path, fusion="mean")))


def test_it_needs_weights_to_start_from_and_one_way_to_take_them() -> None:
    with pytest.raises(ValueError, match="init_other_classes: true, but there is no --init FILE"):
        from_dict(TrainConfig, {**values(Path("x")), "init": None})
    with pytest.raises(ValueError, match="choose one of the two"):
        from_dict(TrainConfig, {**values(Path("x")), "init_as_base": True})
