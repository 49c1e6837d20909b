"""The encoder against the `sam2` package's own."""

from __future__ import annotations

import pytest
import torch

from sartm_core.model.config import SAM2_BACKBONES, ModelConfig
from sartm_core.model.encoder import ModalityEncoder
from sartm_core.model.lora import lora_layers
from sartm_core.model.trunks.hiera import ENCODERS
from test.core.conftest import BACKBONES, make_batch, make_model, scramble, train_lora

TRANSITION_BLOCKS = {"t": (1, 3, 10), "s": (1, 3, 14), "b+": (2, 5, 21), "l": (2, 8, 44)}


def make_encoder(backbone: str, rank: int) -> ModalityEncoder:
    return ModalityEncoder(ModelConfig(backbone=backbone, lora_rank=rank))


def official_features(encoder: ModalityEncoder, backbone: str, batch: torch.Tensor) -> list[torch.Tensor]:
    """Strides 4, 8, 16 from an untouched `sam2` image encoder holding the same weights."""
    reference = ENCODERS[backbone]().eval()
    own = {name: tensor for name, tensor in encoder.state_dict().items() if ".lora_" not in name}
    reference.load_state_dict(own)
    with torch.inference_mode():
        return reference(batch)["backbone_fpn"]


def check_zero_lora(backbone: str) -> None:
    encoder = make_encoder(backbone, 16).eval()
    for parameter in (encoder.trunk.pos_embed, encoder.trunk.pos_embed_window):
        torch.nn.init.normal_(parameter)  # zeros in a fresh model would hide a mistake
    rgb, thermal = make_batch(1, 96, 64)
    with torch.inference_mode():
        ours = encoder((rgb, thermal))
    expected = official_features(encoder, backbone, torch.cat((rgb, thermal.expand(-1, 3, -1, -1))))
    assert len(ours) == len(expected) == 3
    for mine, theirs in zip(ours, expected, strict=True):
        assert torch.equal(mine.flatten(0, 1), theirs)


@pytest.mark.parametrize("backbone", ["sam2_hiera_t", "sam2.1_hiera_t", "hiera_nano"])
def test_zero_lora_equals_the_sam2_encoder_exactly(backbone: str) -> None:
    check_zero_lora(backbone)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [b for b in SAM2_BACKBONES if not b.endswith("_t")])
def test_zero_lora_equals_the_larger_sam2_encoders_exactly(backbone: str) -> None:
    check_zero_lora(backbone)


def test_lora_covers_whole_q_and_v_in_the_stage_transition_blocks() -> None:
    """Fault 4: an update of the first `dim` columns covers half of q there, and misses v."""
    encoder = make_encoder("sam2.1_hiera_t", 2)
    for index in TRANSITION_BLOCKS["t"]:
        layer = encoder.trunk.blocks[index].attn.qkv
        assert layer.dim_out == 2 * layer.in_features
        torch.nn.init.normal_(layer.lora_b)
        x = torch.randn(2, 2, 2, layer.in_features)
        plain = torch.nn.functional.linear(x, layer.weight, layer.bias)
        change = (layer(x) - plain).unflatten(-1, (3, layer.dim_out))  # (2, 2, 2, q|k|v, dim_out)
        assert (change[..., 0, :] != 0).all()
        assert (change[..., 1, :] == 0).all()
        assert (change[..., 2, :] != 0).all()


def test_lora_follows_its_formula() -> None:
    layer = next(lora_layers(make_model()))
    torch.nn.init.normal_(layer.lora_b)
    x = torch.randn(2, 3, 3, layer.in_features)  # one window of each modality
    out = layer(x).unflatten(-1, (3, layer.dim_out))
    plain = torch.nn.functional.linear(x, layer.weight, layer.bias).unflatten(-1, (3, layer.dim_out))
    for m in range(2):
        for which, part in ((0, 0), (1, 2)):
            expected = plain[m, ..., part, :] + x[m] @ (layer.lora_b[m, which] @ layer.lora_a[m, which]).T
            torch.testing.assert_close(out[m, ..., part, :], expected)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_adapters_are_per_modality(backbone: str) -> None:
    """Fault 5: training thermal's adapter must leave rgb features alone."""
    encoder = make_encoder(backbone, 4).eval()
    rgb, thermal = make_batch()
    with torch.inference_mode():
        before = encoder((rgb, thermal))
        for name, parameter in encoder.named_parameters():
            if name.endswith("lora_b"):
                torch.nn.init.normal_(parameter[1])
        after = encoder((rgb, thermal))
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old[0], new[0])
        assert not torch.allclose(old[1], new[1])


@pytest.mark.parametrize("backbone", BACKBONES)
def test_one_modality_alone_uses_its_own_adapter(backbone: str) -> None:
    encoder = scramble(make_model(backbone=backbone)).encoder
    rgb, thermal = make_batch()
    with torch.inference_mode():
        both, alone = encoder((rgb, thermal)), encoder((None, thermal))
    for pair, single in zip(both, alone, strict=True):
        torch.testing.assert_close(pair[1], single[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_fold_and_unfold_are_inverses(backbone: str) -> None:
    model = train_lora(make_model(backbone=backbone)).eval()
    rgb, thermal = make_batch()
    with torch.inference_mode():
        before = model(rgb, thermal).logits
        folded = model.fold()(rgb, thermal).logits
        one_folded = model(None, thermal).logits
        restored = model.unfold()(rgb, thermal).logits
        one = model(None, thermal).logits
    assert not torch.allclose(before, one, atol=1e-3)
    torch.testing.assert_close(folded, before, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(one_folded, one, atol=1e-4, rtol=1e-4)
    assert torch.equal(before, restored)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_folded_weights_are_not_saved(backbone: str) -> None:
    model = make_model(backbone=backbone)
    names = set(model.state_dict())
    assert set(model.fold().state_dict()) == names


def test_only_adapters_of_a_frozen_encoder_train() -> None:
    encoder = make_encoder("sam2.1_hiera_t", 16)
    trained = {name: p.numel() for name, p in encoder.named_parameters() if p.requires_grad}
    assert all(".lora_" in name for name in trained)
    assert sum(trained.values()) == 2 * 279_552  # FACTS: rank 16, per modality
