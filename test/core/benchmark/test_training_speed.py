"""What a training step does not do, and that doing less changes nothing."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn

from sartm_core.benchmark import loader, training
from sartm_core.benchmark.plain_training import PlainQKV, plain_copy
from sartm_core.data.config import DataConfig, SourceConfig
from sartm_core.model.encoder import ModalityEncoder
from sartm_core.model.lora import Q, V, lora_layers
from sartm_core.model.sartm import SARTM
from sartm_core.model.trunks.hiera import FrozenPosition
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.support.fields import from_dict
from sartm_core.train.config import TrainConfig
from sartm_core.train.footprint import build, forward, make_batch
from sartm_core.train.loading import training_loader
from test.core.conftest import CONVNEXT, LITE0, make_model, train_lora
from test.core.conftest import make_batch as make_images
from test.core.runs import write_config
from test.core.train.test_footprint import SIZE, on_real_tensors, train_config  # noqa: F401  (a fixture)


def block_inputs(encoder: ModalityEncoder) -> list[Tensor]:
    """What every block of the trunk is given in a step."""
    seen: list[Tensor] = []
    for block in encoder.trunk.blocks:
        block.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    encoder(make_images())
    return seen


def normed_inputs(encoder: ModalityEncoder) -> Tensor:
    """What the first adapter is given."""
    seen: list[Tensor] = []
    encoder.trunk.blocks[0].attn.qkv.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    encoder(make_images())
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
    model(*make_images()).logits.sum().backward()
    trunk = model.encoder.trunk
    assert all(p.grad is not None for p in (trunk.patch_embed.proj.weight, trunk.pos_embed, trunk.pos_embed_window))


@pytest.mark.parametrize("recompute", [False, True])
def test_without_adapters_the_frozen_encoder_has_no_graph_and_keeps_nothing(recompute: bool) -> None:
    encoder = make_model(lora_rank=0).train().encoder
    if recompute:
        encoder.recompute_activations()
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t), t)[1], lambda t: t):
        features = encoder(make_images())
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
    for precision, dtype in (("bf16-mixed", torch.bfloat16), ("32-true", torch.float32)):
        model, _ = build(config)
        seen: dict[str, torch.dtype] = {}
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.register_forward_hook(lambda m, i, out, s=seen, name=name: s.update({name: out.dtype}))
        forward(model, make_batch(config, SIZE, 1), precision)
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


def gradients(model: SARTM) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("train_encoder", [False, True])
def test_the_plain_model_of_timms_trunks_has_the_same_loss_and_gradients(train_encoder: bool) -> None:
    config = train_config()
    config = replace(config, model=replace(config.model, backbone=CONVNEXT, train_encoder=train_encoder))
    model, objective = build(config)
    train_lora(model)
    plain, batch = plain_copy(model), make_batch(config, SIZE, 2)
    losses = []
    for network in (model, plain):
        loss = copy.deepcopy(objective)(forward(network, batch, "32-true"), batch["label"])["loss"]
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    ours, theirs = gradients(model), gradients(plain)
    scale = max(gradient.abs().max() for gradient in ours.values())
    close = {"rtol": 1e-3, "atol": 1e-5 * float(scale)}
    for name in ours.keys() & theirs.keys():
        torch.testing.assert_close(theirs[name], ours[name], **close)
    assert theirs["encoder.trunk.features.stem_0.weight"].abs().sum() > 0, "autograd went through the stem"
    name = "encoder.trunk.features.stages_2.blocks.1.mlp.fc1"
    for m in range(2):
        for i, letter in enumerate("ab"):
            own = ours[f"{name}.parametrizations.weight.0.lora_{letter}"][m]
            torch.testing.assert_close(theirs[f"{name}.updates.{m}.{i}.weight"].flatten(1), own, **close)
    if train_encoder:
        own = ours[f"{name}.parametrizations.weight.original"]
        torch.testing.assert_close(theirs[f"{name}.layer.weight"], own, **close)


def test_adapters_of_timms_trunks_are_timed_with_gradients_for_both_factors() -> None:
    """Only a Hiera's were, and the benchmark ended in an AttributeError."""
    config = train_config()
    plain, ours = training.ways(replace(config, model=replace(config.model, backbone=LITE0)), torch.device("cpu"))
    adapters = {name: p for name, p in ours.model.named_parameters() if name.endswith(".lora_b")}
    assert len(adapters) > 30 and all(p.abs().max() > 0 for p in adapters.values())
    assert not any(name.endswith(".lora_b") for name, _ in plain.model.named_parameters())


@pytest.mark.parametrize("train_encoder", [False, True])
def test_the_plain_model_has_the_same_loss_and_gradients(train_encoder: bool) -> None:
    config = train_config()
    config = replace(config, model=replace(config.model, train_encoder=train_encoder))
    model, objective = build(config)
    train_lora(model)
    plain, batch = plain_copy(model), make_batch(config, SIZE, 2)
    losses = []
    for network in (model, plain):
        loss = copy.deepcopy(objective)(forward(network, batch, "32-true"), batch["label"])["loss"]
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    ours, theirs = gradients(model), gradients(plain)
    scale = max(gradient.abs().max() for gradient in ours.values())
    shared = ours.keys() & theirs.keys()
    assert {name for name in ours if name not in shared} == {n for n in ours if ".lora_" in n}
    for name in shared:
        torch.testing.assert_close(theirs[name], ours[name], rtol=1e-3, atol=1e-6 * float(scale))
    assert theirs["encoder.trunk.patch_embed.proj.weight"].abs().sum() > 0, "autograd went through the patch embedding"
    layers = [m for m in plain.modules() if isinstance(m, PlainQKV)]
    for layer, own in zip(layers, lora_layers(model), strict=True):
        for which, part in ((Q, layer.q), (V, layer.v)):
            for m, (down, up) in enumerate(part):
                for theirs_, mine in ((down, own.lora_a), (up, own.lora_b)):
                    torch.testing.assert_close(
                        theirs_.weight.grad, mine.grad[m, which], rtol=1e-3, atol=1e-6 * float(scale)
                    )


def test_the_plain_model_keeps_more_for_the_backward_pass(on_real_tensors, monkeypatch) -> None:  # noqa: F811
    """And the benchmark counts it; its numbers are those of real steps, its loader the real one."""
    config = train_config()
    config = replace(
        config,
        data=replace(config.data, dataset="folder", root=loader.NO_ROOT, crop_size=SIZE, workers=0),
        preprocess=replace(config.preprocess, input_size=(64, 96)),
        trainer=replace(config.trainer, batch_size=2, precision="bf16-mixed", accelerator="cpu"),
    )
    threads = torch.get_num_threads()
    result = training.run(config, training.MIN_STEPS, threads=1)
    assert torch.get_num_threads() == threads
    assert json.loads(json.dumps(result)) == result
    plain, ours, half = result["ways"]
    assert [way["precision"] for way in result["ways"]] == ["32-true", "32-true", "bf16-mixed"]
    assert plain["first_loss"] == pytest.approx(ours["first_loss"], rel=1e-4)
    assert plain["kept_bytes"] > ours["kept_bytes"] > half["kept_bytes"] > 0
    assert all(len(way["seconds"]) == training.MIN_STEPS and min(way["seconds"]) > 0 for way in result["ways"])
    loaded = result["loader"]
    assert loaded["frames"] == "16 made-up frames of 64x96 (no data.root)" and loaded["workers"] == 0
    assert min(loaded["items_per_second"], loaded["items_per_second_of_one_process"]) > 0
    text = training.report(result)
    assert "## Training hiera_nano at 64x96, batch 2 (encoder frozen, adapters of rank 4)" in text
    assert f"| ours | bf16-mixed | {sorted(half['seconds'])[2]:.3f} |" in text
    with pytest.raises(ValueError, match="steps: got 4, expected at least 5"):
        training.run(config, 4, None)
    monkeypatch.setattr(training, "available_bytes", lambda: 10**6)
    with pytest.raises(ValueError, match="trainer.batch_size: 2 frames at once of 64x96 need about"):
        training.run(config, 5, None)


def test_every_shipped_configuration_can_be_timed() -> None:
    """Those of the paper without Meta's file and without data."""
    folder = Path(__file__).resolve().parents[3] / "config" / "train"
    for path in sorted(folder.glob("*.yaml")):
        config = training.read_config(path, batch=2)
        assert config.sam2 is None and training.frames_at_once(config) == 2
        data = yaml.safe_load(path.read_text())["data"]
        assert config.data.dataset == data.get("dataset", "synthetic")
        assert len(config.data.sources) == len(data.get("sources", ()))


def test_a_configuration_of_several_sources_is_timed_on_made_up_frames(tmp_path: Path) -> None:
    data = DataConfig(root=loader.NO_ROOT, sources=(SourceConfig(root="a"), SourceConfig("synthetic")), workers=0)
    config = training.read_config(write_config(tmp_path), batch=2)
    config = replace(config, data=replace(data, crop_size=SIZE), preprocess=PreprocessConfig(input_size=SIZE))
    (tmp_path / "made_up").mkdir()
    made_up = loader.write_frames(tmp_path / "made_up", config)
    assert made_up.data.sources == () and loader.alone(made_up) > 0


def test_workers_give_the_same_items(tmp_path: Path) -> None:
    """However the loader is sped up, an item depends on seed, epoch and index alone."""
    path = write_config(tmp_path)
    values = yaml.safe_load(path.read_text())
    configs = [from_dict(TrainConfig, {**values, "data": {**values["data"], "workers": n}}) for n in (0, 2)]
    for one, two in zip(*(training_loader(config) for config in configs), strict=True):
        assert one["name"] == two["name"]
        for key in ("rgb", "thermal", "label", "keep"):
            assert torch.equal(one[key], two[key]) and one[key].is_contiguous()
