"""What a training step does not do, and that doing less changes nothing."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn

from sartm_core.model.encoder import ModalityEncoder
from sartm_core.model.trunks.hiera import FrozenPosition
from sartm_core.support.fields import from_dict
from sartm_core.train.config import TrainConfig
from sartm_core.train.loading import training_loader
from test.core.conftest import make_batch, make_model
from test.core.runs import write_config
from test.core.train.steps import build, forward, train_config, training_batch


def block_inputs(encoder: ModalityEncoder) -> list[Tensor]:
    """What every block of the trunk is given in a step."""
    seen: list[Tensor] = []
    for block in encoder.trunk.blocks:
        block.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    encoder(make_batch())
    return seen


def normed_inputs(encoder: ModalityEncoder) -> Tensor:
    """What the first adapter is given."""
    seen: list[Tensor] = []
    encoder.trunk.blocks[0].attn.qkv.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    encoder(make_batch())
    return seen[0]


def test_there_is_no_graph_below_the_first_adapter() -> None:
    encoder = make_model().train().encoder
    first, *others = block_inputs(encoder)
    assert not first.requires_grad and first.grad_fn is None, "patch and position embedding"
    assert all(x.requires_grad for x in others), "behind the first adapter there is one"
    assert not normed_inputs(encoder).requires_grad, "norm and window partition of the first block"


def test_a_trained_encoder_has_its_graph_down_to_the_patches() -> None:
    model = make_model(train_encoder=True).train()
    assert all(x.requires_grad for x in block_inputs(model.encoder))
    model(*make_batch()).logits.sum().backward()
    trunk = model.encoder.trunk
    assert all(p.grad is not None for p in (trunk.patch_embed.proj.weight, trunk.pos_embed, trunk.pos_embed_window))


@pytest.mark.parametrize("recompute", [False, True])
def test_without_adapters_the_frozen_encoder_has_no_graph_and_keeps_nothing(recompute: bool) -> None:
    encoder = make_model(lora_rank=0).train().encoder
    if recompute:
        encoder.recompute_activations()
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t), t)[1], lambda t: t):
        features = encoder(make_batch())
    assert not kept and not any(f.requires_grad for f in features)


def test_the_first_block_keeps_no_input_of_its_norm() -> None:
    """By the bytes: a block whose input needs a gradient keeps more than the same block below the first adapter."""
    kept = []
    for needs_gradient in (False, True):
        encoder, sizes = make_model().train().encoder, []
        x = torch.randn(2, 16, 24, 24, requires_grad=needs_gradient)
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: (s.append(t.numel()), t)[1], lambda t: t):
            encoder.trunk.blocks[0](x)
        kept.append(sum(sizes))
    assert kept[0] < kept[1]


def test_the_frozen_trunk_computes_in_the_precision_of_the_rest() -> None:
    """Every product of matrices and convolution of a bf16-mixed step; float32 without autocast."""
    config = train_config()
    for bf16, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        model, _ = build(config)
        seen: dict[str, torch.dtype] = {}
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.register_forward_hook(lambda m, i, out, s=seen, name=name: s.update({name: out.dtype}))
        forward(model, training_batch(config, 1), bf16)
        trunk = {d for name, d in seen.items() if name.startswith("encoder.")}
        rest = {d for name, d in seen.items() if name.startswith(("fusion.", "aux_head.", "mask_decoder.sam.conv_s"))}
        assert trunk == rest == {dtype}


def positions(encoder: ModalityEncoder, size: tuple[int, int] = (16, 24)) -> Tensor:
    return encoder.trunk._get_pos_embed(size)


def fresh(encoder: ModalityEncoder, size: tuple[int, int] = (16, 24)) -> Tensor:
    """As the `sam2` package makes it."""
    return type(encoder.trunk)._get_pos_embed(encoder.trunk, size)


def test_the_frozen_position_embedding_is_resized_once_and_bit_identical() -> None:
    encoder = make_model().train().encoder
    first = positions(encoder)
    assert torch.equal(first, fresh(encoder)) and first.stride() == fresh(encoder).stride()
    assert positions(encoder) is first
    other = positions(encoder, (8, 8))
    assert torch.equal(other, fresh(encoder, (8, 8))) and torch.equal(positions(encoder), first)


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e.load_state_dict({n: t + 1 for n, t in e.state_dict().items()}),
        lambda e: (e.trunk.pos_embed_window.data.add_(1), e.double()),
        lambda e: e.half().float(),
        lambda e: setattr(e.trunk, "pos_embed", nn.Parameter(e.trunk.pos_embed.detach() + 1, requires_grad=False)),
    ],
    ids=["loaded", "another type", "rounded", "replaced"],
)
def test_changed_tables_are_resized_again(change) -> None:
    encoder = make_model().train().encoder
    before = positions(encoder)
    change(encoder)
    after = positions(encoder)
    assert torch.equal(after, fresh(encoder)) and not torch.equal(after.double(), before.double())


def test_positions_are_kept_only_in_training_of_a_frozen_trunk() -> None:
    """Averaged weights are swapped in for validation through `.data`, which no version counter sees."""
    encoder = make_model().train().encoder
    positions(encoder)
    encoder.trunk.pos_embed.data.add_(1)
    encoder.eval()
    assert torch.equal(positions(encoder), fresh(encoder))
    trained = make_model(train_encoder=True).train().encoder
    assert positions(trained).requires_grad and positions(trained) is not positions(trained)


def test_a_copy_keeps_positions_of_its_own() -> None:
    encoder = make_model().train().encoder
    positions(encoder)
    twin = copy.deepcopy(encoder)
    assert isinstance(twin.trunk._get_pos_embed, FrozenPosition) and twin.trunk._get_pos_embed.trunk is twin.trunk
    with torch.no_grad():
        twin.trunk.pos_embed.add_(1)
    assert torch.equal(positions(twin), fresh(twin)) and torch.equal(positions(encoder), fresh(encoder))


def test_workers_give_the_same_items(tmp_path: Path) -> None:
    """However the loader is sped up, an item depends on seed, epoch and index alone."""
    path = write_config(tmp_path)
    values = yaml.safe_load(path.read_text())
    configs = [from_dict(TrainConfig, {**values, "data": {**values["data"], "workers": n}}) for n in (0, 2)]
    for one, two in zip(*(training_loader(config) for config in configs), strict=True):
        assert one["name"] == two["name"]
        for key in ("rgb", "thermal", "label", "keep"):
            assert torch.equal(one[key], two[key]) and one[key].is_contiguous()
