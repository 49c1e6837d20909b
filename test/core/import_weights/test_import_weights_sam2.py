"""Weights of the `sam2` package's own modules, and adapters of `peft` on top of them."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sartm_core.import_weights.__main__ import main
from sartm_core.import_weights.run import Sources, import_weights
from sartm_core.import_weights.sam2 import import_sam2
from sartm_core.model.checkpoint import read_metadata
from sartm_core.train.start import build_model
from test.core import foreign_weights as foreign
from test.core.conftest import make_frames

CLASSES = ("background", "car")
HERE = Path("tuned.pt")


@pytest.fixture(scope="module")
def tuned() -> dict[str, Tensor]:
    """State dict of a SAM2.1 tiny as the package has it."""
    return foreign.sam2_model("sam2.1").state_dict()


def encoder_of(model: dict[str, Tensor]) -> dict[str, Tensor]:
    """State dict of its image encoder alone."""
    prefix = "image_encoder."
    return {name.removeprefix(prefix): tensor for name, tensor in model.items() if name.startswith(prefix)}


def test_a_decoder_with_a_token_per_class_runs() -> None:
    """Through SAM2's own modules with its no_mem_embed, as `SAM2Base` does it for a first frame: the same logits."""
    sam = foreign.sam2_model("sam2", len(CLASSES))
    sam.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.data.fill_(1e3)  # its gate is open
    imported = import_sam2(sam.state_dict(), HERE, CLASSES)
    assert not imported.fresh and not imported.notes
    assert imported.model.config.backbone == "sam2_hiera_t" and not imported.model.config.object_gate
    rgb, _ = foreign.inputs(*make_frames(*foreign.CAMERA))
    with torch.inference_mode():
        fine, middle, coarse = sam.forward_image(rgb)["backbone_fpn"]
        coarse = coarse + sam.no_mem_embed.view(1, -1, 1, 1)
        heads = sam._forward_sam_heads(coarse, high_res_features=[fine, middle], multimask_output=True)
        found = imported.model.eval()(rgb, None).logits
    assert found.std() > 0.1
    torch.testing.assert_close(found, heads[1], atol=1e-4, rtol=0)


def test_the_package_s_model_is_a_base(tuned, tmp_path: Path) -> None:
    """As a command, and on into a training."""
    from sartm_core.model.config import ModelConfig
    from sartm_core.train.config import TrainConfig

    path, output = tmp_path / "tuned.pt", tmp_path / "base.safetensors"
    torch.save({"model": tuned, "optimizer": {}, "epoch": 3}, path)
    assert main([str(path), "--output", str(output), "--classes", *CLASSES]) == 0
    report = json.loads(output.with_suffix(".json").read_text())
    assert sorted([*report["used"], *report["ignored"]]) == sorted(tuned)
    assert all("mask_tokens" in name or "hypernetworks" in name for name in report["untrained"])
    assert "the classes are untrained" in report["notes"][0]
    assert read_metadata(output)["info"]["untrained"], "so that no command makes masks of it"
    network = ModelConfig(backbone="sam2.1_hiera_t", lora_rank=4)
    run = build_model(TrainConfig(model=network, init=str(output), init_as_base=True)).state_dict()
    for name in ("image_encoder.trunk.blocks.3.attn.qkv.weight", "image_encoder.neck.convs.1.conv.weight"):
        assert torch.equal(run[name.replace("image_encoder", "encoder")], tuned[name])
    assert torch.equal(run["mask_decoder.sam.conv_s0.weight"], tuned["sam_mask_decoder.conv_s0.weight"])


def test_wrapped_as_a_training_left_it(tuned, tmp_path: Path, capsys) -> None:
    """DataParallel in Lightning, with its arguments: taken, said, and the report has the names of the file."""
    path, output = tmp_path / "last.ckpt", tmp_path / "base.safetensors"
    wrapped = {f"model.module.{name}": tensor for name, tensor in encoder_of(tuned).items()}
    torch.save({"state_dict": wrapped, "args": Namespace(lr=1e-4)}, path)
    assert main([str(path), "--output", str(output), "--classes", *CLASSES]) == 0
    said = capsys.readouterr().out
    assert "all names begin with 'model.'" in said and "all names begin with 'module.' (DataParallel or DDP)" in said
    assert "not read: 'args' (Namespace)" in said
    assert sorted(json.loads(output.with_suffix(".json").read_text())["used"]) == sorted(wrapped)


def test_another_prefix_is_named(tuned, tmp_path: Path) -> None:
    path = tmp_path / "odd.pt"
    torch.save({f"module.student.{name}": tensor for name, tensor in tuned.items()}, path)
    expected = r"all its names begin with 'student.': write it without\); all names begin with 'module.'.*taken off"
    with pytest.raises(ValueError, match=expected):
        import_weights(Sources(path, CLASSES))


@pytest.mark.parametrize("prefix", ["", "image_encoder."])
def test_an_image_encoder_alone(tuned, prefix: str) -> None:
    source = {prefix + name: tensor for name, tensor in encoder_of(tuned).items()}
    imported = import_sam2(source, HERE, CLASSES)
    assert sorted(imported.used) == sorted(source) and not imported.ignored
    assert all(name.startswith("mask_decoder.") for name in imported.fresh)
    name = "trunk.blocks.0.mlp.layers.0.weight"
    assert torch.equal(imported.model.state_dict()[f"encoder.{name}"], source[prefix + name])


def test_what_does_not_fit_is_refused(tuned) -> None:
    encoder = encoder_of(tuned)
    cases = [
        (tuned | {"adapter.weight": torch.ones(1)}, CLASSES, "unknown tensor 'adapter.weight'"),
        (encoder | {"trunk.adapter.weight": torch.ones(1)}, CLASSES, "unknown tensor 'trunk.adapter.weight'"),
        ({n: t for n, t in encoder.items() if n != "neck.convs.0.conv.bias"}, CLASSES, "lacks 1 tensors, first"),
        ({n: t for n, t in encoder.items() if ".blocks.11." not in n}, CLASSES, "96 channels and 11 blocks"),
        (encoder | {"neck.convs.0.conv.bias": torch.ones(3)}, CLASSES, "'neck.convs.0.conv.bias' is (3,)"),
        ({"layer.weight": torch.ones(1)}, CLASSES, "expected the weights of a SAM2 model"),
        (encoder, None, "give --classes"),
        (tuned | {"sam_mask_decoder.mask_tokens.weight": torch.ones(9, 256)}, CLASSES, "--classes names 2"),
    ]
    for source, classes, expected in cases:
        with pytest.raises(ValueError, match=re.escape(expected)):
            import_sam2(source, HERE, classes)
