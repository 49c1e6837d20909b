"""The eight faults known from other code for this model (docs/design.md), each by name.

Some have a closer look in the test of their own part as well; these go through the whole model or the objective.
"""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from sartm_core.losses.config import LossConfig
from sartm_core.losses.objective import Objective
from sartm_core.losses.prototypes import class_prototypes
from sartm_core.model.aux_heads import AUX_HEADS
from sartm_core.model.config import FUSIONS
from sartm_core.model.lora import lora_layers
from sartm_core.model.sartm import SARTM
from sartm_core.support.classes import MFNET, PST900, remap_table
from test.core.conftest import make_batch, make_model, train_lora

PAPER = LossConfig(preset="sartm_paper", teacher="clip")


def make_objective(model: SARTM, config: LossConfig = PAPER) -> Objective:
    """The objective for a model, with made-up text embeddings."""
    text = F.normalize(torch.randn(model.config.num_classes, 16))
    return Objective(config, model.config.num_classes, model.encoder.width, text)


def make_label(model: SARTM, height: int = 64, width: int = 96) -> torch.Tensor:
    """(2, H, W) with every class in blocks of at least a feature cell, and an ignored border."""
    blocks = torch.arange(2 * (height // 16) * (width // 16)).view(2, height // 16, width // 16)
    label = (blocks % model.config.num_classes).repeat_interleave(16, 1).repeat_interleave(16, 2)
    label[:, :3] = 255
    return label


@pytest.mark.parametrize("fusion", FUSIONS)
def test_thermal_reaches_the_fused_features(fusion: str) -> None:
    rgb, thermal = make_batch()
    thermal.requires_grad_()
    make_model(fusion=fusion).train()(rgb, thermal).fused.square().mean().backward()
    assert (thermal.grad.flatten(1).abs().sum(1) > 0).all()


@pytest.mark.parametrize("kind", [kind for kind, place in AUX_HEADS.items() if place])
def test_the_auxiliary_head_has_parameters_and_they_receive_gradient(kind: str) -> None:
    model = make_model(aux_head=kind).train()
    config = LossConfig(w0=0.0, w1=0.008, w2=0.0, w3=0.0)  # nothing but the head's own term
    make_objective(model, config)(model(*make_batch()), make_label(model))["loss"].backward()
    parameters = dict(model.aux_head.named_parameters())
    assert parameters
    for name, parameter in parameters.items():
        assert parameter.requires_grad and parameter.grad is not None and parameter.grad.any(), name
    assert set(parameters) <= {name.removeprefix("aux_head.") for name in model.trainable_names()}


def test_the_decoder_sees_fused_features() -> None:
    """What comes out of the three fusions is what goes into the mask decoder, and nothing else."""
    model, fused, decoded = make_model().eval(), [], []
    for level in model.fusion:
        level.register_forward_hook(lambda module, arguments, out: fused.append(out))
    model.mask_decoder.register_forward_hook(lambda module, arguments, out: decoded.extend(arguments))
    with torch.inference_mode():
        model(*make_batch())
    assert len(decoded) == len(fused) == 3
    assert all(a is b for a, b in zip(decoded, fused, strict=True))


def test_lora_covers_the_whole_of_q_and_v_in_the_stage_transition_blocks() -> None:
    """Every output row of q and of v learns in every block, also where a block widens its features."""
    model = make_model().train()
    model(*make_batch()).logits.square().mean().backward()
    layers = list(lora_layers(model.encoder))
    assert sum(layer.dim_out != layer.in_features for layer in layers) == 3
    for layer in layers:
        assert layer.lora_b.shape == (2, 2, layer.dim_out, model.config.lora_rank)  # modality, q or v
        assert (layer.lora_b.grad.abs().sum(-1) > 0).all()


def test_adapters_are_per_modality() -> None:
    """A batch that lacks thermal teaches rgb's adapters alone, and the other way round."""
    rgb, thermal = make_batch()
    for images, learning in (((rgb, None), [True, False]), ((None, thermal), [False, True])):
        model = train_lora(make_model()).train()
        model(*images).logits.square().mean().backward()
        for layer in lora_layers(model.encoder):
            for factor in (layer.lora_a, layer.lora_b):
                assert [bool(g.any()) for g in factor.grad] == learning


def test_prototypes_are_divided_once() -> None:
    """Features that are 5 everywhere have the prototype 5, however many pixels and frames a class has."""
    label = torch.zeros(3, 8, 8, dtype=torch.int64)
    label[0, 0, :2], label[2, 4:] = 1, 2
    prototypes, present = class_prototypes(torch.full((3, 6, 8, 8), 5.0), label, 4)
    assert present.tolist() == [True, True, True, False]
    torch.testing.assert_close(prototypes[:3], torch.full((3, 6), 5.0))


def test_pst900_ids() -> None:
    ids = {"background": 0, "fire-extinguisher": 1, "backpack": 2, "hand-drill": 3, "survivor": 4}
    assert {name: PST900.names.index(name) for name in PST900.names} == ids
    assert remap_table(PST900.names, PST900.names)[:5].tolist() == [0, 1, 2, 3, 4]
    assert remap_table(PST900.names, MFNET.names)[4] == 0, "a survivor is no class of MFNet"


@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
@pytest.mark.parametrize("count", [2, 5, 15])
def test_class_count_and_image_size_are_nowhere_hard_coded(count: int, size: tuple[int, int]) -> None:
    model = make_model(classes=tuple(f"c{i}" for i in range(count))).train()
    objective = make_objective(model)
    for _ in range(2):  # the second step has prototypes to compare with
        out = model(*make_batch(2, *size))
        assert out.logits.shape == out.aux_logits.shape == (2, count, *size)
        terms = objective(out, make_label(model, *size))
    assert set(terms) == {"loss", "s0", "s1", "cr", "se"} and objective.bank.shape == (count, 64)
    assert objective.seen.sum() == count and all(value.isfinite() for value in terms.values())
    terms["loss"].backward()
