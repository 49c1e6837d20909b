"""The whole network: shapes, errors, one camera, and the known faults that concern it."""

from __future__ import annotations

import pytest
import torch

from sartm_core.model.config import ModelConfig
from sartm_core.model.fusion import FeatureFuse, FrmFfm
from sartm_core.model.sartm import SARTM
from test.core.conftest import make_batch, make_model, train_lora


@pytest.mark.parametrize("batch,height,width", [(1, 480, 640), (1, 736, 1280), (1, 608, 800), (3, 64, 96)])
def test_same_model_at_every_size(batch: int, height: int, width: int) -> None:
    model = make_model(lora_rank=2).eval()
    with torch.inference_mode():
        out = model(*make_batch(batch, height, width))
    assert out.logits.shape == (batch, 4, height, width)
    assert out.fused.shape == (batch, 64, height // 16, width // 16)
    assert out.aux_logits is None


@pytest.mark.parametrize("count", [2, 5, 15])
@pytest.mark.parametrize("fusion", ["frm_ffm", "mean", "late"])
def test_class_count_and_size_are_nowhere_hard_coded(count: int, fusion: str) -> None:
    """Fault 8."""
    model = make_model(classes=tuple(f"c{i}" for i in range(count)), fusion=fusion)
    out = model(*make_batch(2, 32, 128))
    assert out.logits.shape == out.aux_logits.shape == (2, count, 32, 128)


def test_logits_can_be_asked_at_another_size(nano: SARTM) -> None:
    with torch.inference_mode():
        assert nano(*make_batch(), size=(77, 31)).logits.shape == (2, 4, 77, 31)


def test_official_backbone_runs_whole() -> None:
    model = SARTM(ModelConfig(backbone="sam2.1_hiera_t", classes=("a", "b", "c"))).train()
    out = model(*make_batch(1, 64, 64))
    assert out.logits.shape == out.aux_logits.shape == (1, 3, 64, 64)
    assert out.fused.shape == (1, 256, 4, 4)


def test_thermal_reaches_the_fused_features(nano: SARTM) -> None:
    """Fault 1."""
    rgb, thermal = make_batch()
    with torch.inference_mode():
        a, b = nano(rgb, thermal), nano(rgb, 1 - thermal)
    assert not torch.allclose(a.fused, b.fused)
    assert not torch.allclose(a.logits, b.logits)


def test_aux_head_has_parameters_and_they_receive_gradient() -> None:
    """Fault 2."""
    model = make_model().train()
    model(*make_batch()).aux_logits.square().mean().backward()
    parameters = dict(model.aux_head.named_parameters())
    assert {"project0.weight", "project1.weight", "classify.weight"} <= set(parameters)
    for name, parameter in parameters.items():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_mask_decoder_sees_fused_features() -> None:
    """Fault 3: gradient of S~0 reaches every fusion level, and both modalities' adapters."""
    model = train_lora(make_model()).train()
    model(*make_batch()).logits.square().mean().backward()
    for level in model.fusion:
        assert level.fuse.embed[0].weight.grad.abs().sum() > 0
    for name, parameter in model.named_parameters():
        if name.endswith("lora_b"):
            assert (parameter.grad.flatten(1).abs().sum(1) > 0).all(), name


@pytest.mark.parametrize("fusion", ["frm_ffm", "mean", "late"])
def test_one_camera_equals_a_dropped_one(fusion: str) -> None:
    """`None` and `keep=False` are the same thing to the network."""
    model = train_lora(make_model(fusion=fusion)).eval()
    rgb, thermal = make_batch()
    only_rgb = torch.tensor([[True, False]] * 2)
    with torch.inference_mode():
        torch.testing.assert_close(
            model(rgb, None).logits, model(rgb, thermal, keep=only_rgb).logits, atol=1e-4, rtol=1e-4
        )
        torch.testing.assert_close(
            model(None, thermal).logits, model(rgb, thermal, keep=~only_rgb).logits, atol=1e-4, rtol=1e-4
        )
        assert not torch.allclose(model(rgb, None).logits, model(rgb, thermal).logits)


def test_late_fusion_averages_the_two_decodings() -> None:
    model = train_lora(make_model(fusion="late")).eval()
    rgb, thermal = make_batch()
    with torch.inference_mode():
        both = model(rgb, thermal).logits
        apart = (model(rgb, None).logits + model(None, thermal).logits) / 2
    torch.testing.assert_close(both, apart, atol=1e-4, rtol=1e-4)


def test_stand_ins_learn_from_dropped_samples() -> None:
    model = make_model().train()
    keep = torch.tensor([[True, False], [False, True]])
    model(*make_batch(), keep=keep).logits.square().mean().backward()
    for stand_in in model.stand_in:
        assert (stand_in.grad.abs().sum(1) > 0).all()


def test_frozen_and_trained_parts_of_the_decoder() -> None:
    def trained(**changes) -> set[str]:
        return {
            n.removeprefix("mask_decoder.sam.").split(".")[0]
            for n in make_model(**changes).trainable_names()
            if "mask_decoder" in n
        }

    paper = {"mask_tokens", "output_hypernetworks_mlps", "output_upscaling", "conv_s0", "conv_s1"}
    assert trained() == paper
    extra = {"transformer", "iou_token", "obj_score_token", "mask_decoder"}
    assert trained(train_decoder_transformer=True) == paper | extra


@pytest.mark.parametrize("backbone", ["hiera_nano", "sam2.1_hiera_t"])
def test_fresh_mask_logits_are_large_enough_to_learn_from(backbone: str) -> None:
    """Both factors of the mask product used to start near zero, and path one stayed on background for 718 steps."""
    assert 0.5 < make_model(backbone=backbone).train()(*make_batch()).logits.std() < 8


def test_every_trained_parameter_receives_gradient() -> None:
    model = train_lora(make_model(train_encoder=True, train_decoder_transformer=True)).train()
    out = model(*make_batch(), keep=torch.tensor([[True, False], [False, True]]))
    (out.logits.square().mean() + out.aux_logits.square().mean()).backward()
    lazy = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert lazy == []


def test_linear_attention_equals_its_written_out_formula() -> None:
    fuse = FeatureFuse(8, heads=2).eval()
    kv, x = torch.randn(1, 12, 16), torch.randn(1, 12, 8)
    context, attended = fuse.context(kv), fuse.attend(x, fuse.context(kv))
    for head in range(2):
        key, value = kv[0, :, :8][:, head * 4 : head * 4 + 4], kv[0, :, 8:][:, head * 4 : head * 4 + 4]
        expected = torch.softmax(key.T @ value / 2, dim=0)  # d = 4
        torch.testing.assert_close(context[0, head], expected)
        torch.testing.assert_close(attended[0, :, head * 4 : head * 4 + 4], x[0, :, head * 4 : head * 4 + 4] @ expected)


def test_rectify_with_half_open_gates_adds_half_of_the_other_side() -> None:
    """All gate weights zero: every sigmoid is 1/2, so x' = x + .5 * .5 * other + .5 * .5 * other."""
    rectify = FrmFfm(8, heads=2).rectify
    for parameter in rectify.parameters():
        torch.nn.init.zeros_(parameter)
    rgb, thermal = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 4, 4)
    rgb_out, thermal_out = rectify(rgb, thermal)
    torch.testing.assert_close(rgb_out, rgb + 0.5 * thermal)
    torch.testing.assert_close(thermal_out, thermal + 0.5 * rgb)


@pytest.mark.parametrize(
    "arguments,message",
    [
        ((None, None), "both are None"),
        ((torch.rand(1, 3, 60, 64), None), r"rgb: got 60x64.*multiples of 32.*64x64"),
        ((torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)), r"thermal: got shape \(1, 3, 64, 64\)"),
        ((torch.rand(1, 3, 64, 64), torch.rand(1, 1, 32, 64)), r"thermal: .*must be equal"),
        ((torch.rand(2, 3, 64, 64), torch.rand(1, 1, 64, 64)), r"thermal: .*must be equal"),
        ((torch.zeros(1, 3, 64, 64, dtype=torch.uint8), None), r"rgb: got torch.uint8, expected a float"),
        ((torch.rand(3, 64, 64), None), r"rgb: got shape \(3, 64, 64\), expected \(B, 3, H, W\)"),
        ((torch.rand(0, 3, 64, 64), None), "rgb: got shape"),
        ((torch.rand(1, 3, 64, 64), None, torch.ones(1, 3, dtype=torch.bool)), r"keep: got shape \(1, 3\)"),
    ],
)
def test_wrong_inputs_name_the_argument(nano: SARTM, arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nano(*arguments)


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"backbone": "sam2.1_hiera_b"}, "did you mean 'sam2.1_hiera_b+'"),
        ({"classes": ("one",)}, "ModelConfig.classes: got 1"),
        ({"classes": ("a", "a")}, "different names"),
        ({"palette": ((0, 0, 0),)}, "ModelConfig.palette: got 1 colours for 4"),
        ({"fusion": "add"}, "ModelConfig.fusion"),
        ({"lora_rank": -1}, "ModelConfig.lora_rank: got -1"),
    ],
)
def test_wrong_configs_name_the_field(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        make_model(**changes)
