"""What a training step of an official size keeps in memory, and what its adapter file holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sam2.build_sam import build_sam2

from sartm_core.model.checkpoint import read_metadata
from sartm_core.model.config import ModelConfig
from sartm_core.model.sartm import SARTM
from sartm_core.train import __main__ as train
from sartm_core.train.module import LitSARTM
from test.core.conftest import make_batch, make_model
from test.core.runs import command, write_config

ADAPTER_LIMIT = 40e6
"""Bytes of an adapter file of base+ at rank 16."""


def test_a_base_plus_step_keeps_nothing_for_what_is_frozen(tmp_path: Path, monkeypatch) -> None:
    """Gradients and optimizer state are listed by name; the adapter file is small and gives the same output."""
    official = tmp_path / "sam2.1_hiera_base_plus.pt"
    torch.save({"model": build_sam2("configs/sam2.1/sam2.1_hiera_b+.yaml", device="cpu").state_dict()}, official)
    seen: dict[str, set[str]] = {}
    trained: list[LitSARTM] = []

    def list_memory(self: LitSARTM, optimizer: torch.optim.Optimizer) -> None:
        names = {id(p): name for name, p in self.named_parameters()}
        seen["trainable"] = {name for name, p in self.named_parameters() if p.requires_grad}
        seen["gradients"] = {name for name, p in self.named_parameters() if p.grad is not None}
        seen["optimizer"] = {names[id(p)] for group in optimizer.param_groups for p in group["params"]}
        trained.append(self)

    monkeypatch.setattr(LitSARTM, "on_before_optimizer_step", list_memory)
    options = {
        "--model.backbone": "sam2.1_hiera_b+", "--sam2": str(official), "--model.lora_rank": "16",
        "--model.train_encoder": "false", "--model.train_decoder_transformer": "false",
        "--optim.ema_decay": "0", "--trainer.max_steps": "1", "--data.crop_size": "[32, 32]",
        "--preprocess.input_size": "[32, 32]", "--trainer.checkpoint_every": "0",
    }  # fmt: skip
    flat = [part for pair in options.items() for part in pair]
    assert train.main(command(write_config(tmp_path), tmp_path / "run", *flat)) == 0
    assert seen["gradients"] == seen["optimizer"] == seen["trainable"]
    frozen = ("model.encoder.trunk.patch_embed", "model.encoder.neck", "model.mask_decoder.sam.transformer")
    assert not [name for name in seen["gradients"] if name.startswith(frozen) or name.endswith("qkv.weight")]
    assert all(".lora_" in name for name in seen["gradients"] if name.startswith("model.encoder"))

    weights, last = tmp_path / "run" / "weights.safetensors", tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert read_metadata(weights)["kind"] == "adapter" and weights.stat().st_size < ADAPTER_LIMIT
    assert last.stat().st_size < 4 * ADAPTER_LIMIT, "weights and AdamW's two moments of what trains, no frozen encoder"
    rgb, thermal = make_batch(1, 64, 64)
    model = trained[0].model.eval()
    again = SARTM.load(weights, sam2=official)
    with torch.no_grad():
        assert torch.equal(model(rgb, thermal).logits, again(rgb, thermal).logits)


def test_recomputed_activations_give_the_same_gradients() -> None:
    """In fewer saved tensors."""
    gradients, saved = [], []
    for recompute in (False, True):
        model = make_model(train_encoder=True).train()
        if recompute:
            model.encoder.recompute_activations()
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: (s.append(t.numel()), t)[1], lambda t: t):
            loss = model(*make_batch()).logits.square().mean()
        loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
        saved.append(sum(sizes))
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-5, atol=1e-8)
    assert saved[1] < 0.6 * saved[0]


def test_only_what_official_files_hold_is_taken_as_a_base(tmp_path: Path) -> None:
    """`init_as_base`: encoder and decoder from the file; other classes, heads and adapters start fresh."""
    from sartm_core.support.fields import from_dict
    from sartm_core.train.config import TrainConfig
    from sartm_core.train.start import build_model

    start = make_model(classes=("a", "b"), lora_rank=2)
    path = start.save(tmp_path / "start.safetensors")
    values = {
        "model": {"backbone": "hiera_nano", "classes": ["x", "y", "z"], "lora_rank": 4, "fusion": "mean"},
        "init": str(path), "init_as_base": True,
    }  # fmt: skip
    model = build_model(from_dict(TrainConfig, values))
    ours, theirs = model.state_dict(), start.state_dict()
    for name in ("encoder.trunk.blocks.0.attn.qkv.weight", "mask_decoder.sam.transformer.layers.0.mlp.layers.0.weight"):
        assert torch.equal(ours[name], theirs[name])
    assert model.config == ModelConfig(**{**values["model"], "classes": ("x", "y", "z")})
    assert not any(ours[name].any() for name in ours if name.endswith("lora_b"))
    values["model"]["backbone"], values["sam2"] = "sam2.1_hiera_t", None
    with pytest.raises(ValueError, match="is a 'hiera_nano', the run a 'sam2.1_hiera_t'"):
        build_model(from_dict(TrainConfig, values))


def frozen_run(tmp_path: Path, output: str, *base: str) -> list[str]:
    """One epoch of training adapters and heads on a frozen encoder."""
    frozen = ["--model.train_encoder", "false", "--model.train_decoder_transformer", "false"]
    return command(write_config(tmp_path), tmp_path / output, *frozen, *base, "--trainer.max_epochs", "1")


def test_a_run_keeps_its_frozen_weights_when_the_file_of_init_changes(tmp_path: Path) -> None:
    """They were left out of the checkpoint, and a resumed run took those of the new file."""
    path = make_model(lora_rank=2, train_encoder=True).save(tmp_path / "start.safetensors")
    name = "encoder.trunk.blocks.0.attn.qkv.weight"
    before = load_file(path)[name]
    arguments = frozen_run(tmp_path, "run", "--init", str(path), "--init_as_base", "true")
    assert train.main(arguments) == 0
    other = make_model(lora_rank=2, train_encoder=True)
    with torch.no_grad():
        other.encoder.trunk.blocks[0].attn.qkv.weight.zero_()
    other.save(path)
    assert train.main([*arguments[:-1], "2"]) == 0
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["epoch"] == 1 and torch.equal(state["current_model_state"][f"model.{name}"], before)


def test_another_sam2_file_below_a_run_is_refused(tmp_path: Path, capsys) -> None:
    """Already before its first weights, and under the same name."""
    official = tmp_path / "sam2.1_hiera_tiny.pt"
    arguments = frozen_run(tmp_path, "run", "--model.backbone", "sam2.1_hiera_t", "--sam2", str(official))
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save({"model": build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu").state_dict()}, official)
        if seed == 0:
            assert train.main(arguments) == 0
            (tmp_path / "run" / "weights.safetensors").unlink()
    with pytest.raises(SystemExit) as stop:
        train.main([*arguments[:-1], "2"])
    assert stop.value.code == 2 and "--sam2: not the file that" in capsys.readouterr().err
