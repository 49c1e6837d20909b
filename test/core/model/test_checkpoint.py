"""Files: official SAM2 weights in, SARTM weights out and in again."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from sam2.build_sam import build_sam2

from sartm_core.model.checkpoint import read_metadata, sha256
from sartm_core.model.config import ModelConfig
from sartm_core.model.sartm import SARTM, ModelInfo
from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from test.core.conftest import make_batch, make_model, train_lora

RELEASES = {"sam2": "configs/sam2/sam2_hiera_t.yaml", "sam2.1": "configs/sam2.1/sam2.1_hiera_t.yaml"}
CLASSES = ("background", "thing")


@pytest.fixture(scope="module", params=RELEASES)
def official(request, tmp_path_factory) -> tuple[str, Path]:
    """Backbone name and a file laid out as Meta ships it, with random weights from `build_sam2`."""
    release = request.param
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp(release) / f"{release}_hiera_tiny.pt"
    model = build_sam2(RELEASES[release], device="cpu")
    torch.nn.init.normal_(model.image_encoder.trunk.pos_embed)
    torch.save({"model": model.state_dict()}, path)
    return f"{release}_hiera_t", path


@pytest.fixture
def tiny(official) -> SARTM:
    return SARTM(ModelConfig(backbone=official[0], classes=CLASSES, lora_rank=4))


def test_load_sam2_takes_everything_but_what_it_names(tiny: SARTM, official) -> None:
    source = torch.load(official[1], weights_only=True)["model"]
    report = tiny.load_sam2(official[1])
    assert set(report.loaded) | set(report.skipped) == set(source)
    assert not set(report.loaded) & set(report.skipped)
    decoder = {n.split(".")[1] for n in report.skipped if n.startswith("sam_mask_decoder.")}
    assert decoder == {"mask_tokens", "output_hypernetworks_mlps", "iou_prediction_head"}
    prompts = {n.split(".")[1] for n in report.skipped if n.startswith("sam_prompt_encoder.")}
    assert prompts == {"point_embeddings", "mask_downscaling"}
    assert not any(n.startswith("image_encoder.") for n in report.skipped)
    assert all(report.skipped.values())
    own = tiny.state_dict()
    assert torch.equal(own["mask_decoder.no_mem_embed"], source["no_mem_embed"])
    assert torch.equal(
        own["encoder.trunk.blocks.3.attn.qkv.weight"], source["image_encoder.trunk.blocks.3.attn.qkv.weight"]
    )
    assert torch.equal(own["mask_decoder.sam.conv_s0.weight"], source["sam_mask_decoder.conv_s0.weight"])
    fresh = ("lora_", "fusion.", "aux_head.", "stand_in.", "mask_tokens", "output_hypernetworks_mlps")
    assert all(any(mark in name for mark in fresh) for name in report.fresh), report.fresh
    assert tiny.info.base_name == official[1].name and tiny.info.base_sha256 == sha256(official[1])


def test_load_sam2_refuses_what_it_does_not_know(tiny: SARTM, official, tmp_path: Path) -> None:
    source = torch.load(official[1], weights_only=True)["model"]
    bad = tmp_path / "bad.pt"

    def refused(content, match: str, error: type[Exception] = ValueError) -> None:
        torch.save(content, bad)
        with pytest.raises(error, match=match):
            tiny.load_sam2(bad)

    refused({"model": {**source, "surprise.weight": torch.zeros(1)}}, "unexpected tensor 'surprise.weight'")
    refused(
        {"model": {k: v for k, v in source.items() if k != "no_mem_embed"}},
        "lacks 1 tensors, first 'mask_decoder.no_mem_embed'",
    )
    refused({"model": {**source, "no_mem_embed": torch.zeros(1, 1, 7)}}, "another backbone size")
    refused({"weights": source}, "entry 'weights' is a OrderedDict, expected tensors alone")
    bad.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="not a PyTorch weights file"):
        tiny.load_sam2(bad)
    with pytest.raises(FileNotFoundError, match="nowhere.pt"):
        tiny.load_sam2(tmp_path / "nowhere.pt")
    with pytest.raises(ValueError, match="takes no SAM2 file"):
        make_model().load_sam2(official[1])


def test_load_sam2_takes_a_file_as_a_training_left_it(tiny: SARTM, official, tmp_path: Path) -> None:
    """Compiled and in DDP, with settings beside it."""
    source = torch.load(official[1], weights_only=True)["model"]
    path = tmp_path / "tuned.pt"
    content = {"model": {f"module._orig_mod.{name}": tensor for name, tensor in source.items()}}
    torch.save({**content, "args": Namespace(lr=1e-4, output=tmp_path)}, path)
    report = tiny.load_sam2(path)
    assert sorted([*report.loaded, *report.skipped]) == sorted(source)
    assert torch.equal(
        tiny.state_dict()["encoder.neck.convs.1.conv.weight"], source["image_encoder.neck.convs.1.conv.weight"]
    )


class Bomb:
    """Unpickling this would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_load_sam2_runs_no_code_from_the_file(tiny: SARTM, tmp_path: Path) -> None:
    torch.save({"model": Bomb(tmp_path / "boom")}, tmp_path / "bomb.pt")
    with pytest.raises(ValueError, match="bomb.pt"):
        tiny.load_sam2(tmp_path / "bomb.pt")
    assert not (tmp_path / "boom").exists()


def test_full_checkpoint_comes_back_equal_with_its_metadata(tmp_path: Path) -> None:
    model = train_lora(make_model(train_encoder=True)).eval()
    preprocess = PreprocessConfig(input_size=None, thermal=ThermalNorm("range", 280.0, 320.0))
    model.info = ModelInfo(preprocess, protocol={"epochs": 3}, metrics={"miou": 0.5})
    path = model.save(tmp_path / "weights.safetensors")
    again = SARTM.load(path)
    assert again.config == model.config and again.info == model.info
    assert read_metadata(path)["kind"] == "full"
    with torch.inference_mode():
        assert torch.equal(again(*make_batch()).logits, model(*make_batch()).logits)
    assert list(tmp_path.iterdir()) == [path], "no temporary file stays"


def test_half_precision_file_is_half_the_size(tmp_path: Path) -> None:
    model = make_model()
    whole, half = model.save(tmp_path / "a.safetensors"), model.save(tmp_path / "b.safetensors", dtype=torch.float16)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    assert next(SARTM.load(half).parameters()).dtype == torch.float32


def test_adapter_checkpoint_is_small_and_needs_its_base(tiny: SARTM, official, tmp_path: Path) -> None:
    tiny.load_sam2(official[1])
    model = train_lora(tiny).eval()
    path = model.save(tmp_path / "adapter.safetensors")
    assert read_metadata(path)["kind"] == "adapter"
    assert path.stat().st_size < 20e6 < model.save(tmp_path / "full.safetensors", kind="full").stat().st_size
    again = SARTM.load(path, sam2=official[1])
    with torch.inference_mode():
        assert torch.equal(again(*make_batch(1, 64, 64)).logits, model(*make_batch(1, 64, 64)).logits)
    with pytest.raises(ValueError, match=f"give sam2='{official[1].name}'"):
        SARTM.load(path)
    other = tmp_path / "other.pt"
    content = torch.load(official[1], weights_only=True)
    content["model"]["no_mem_embed"] += 1
    torch.save(content, other)
    with pytest.raises(ValueError, match="is another file"):
        SARTM.load(path, sam2=other)


def test_adapter_needs_a_base(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a frozen encoder from load_sam2"):
        make_model().save(tmp_path / "a.safetensors", kind="adapter")


def test_unreadable_checkpoints_say_why(tmp_path: Path) -> None:
    path = make_model().save(tmp_path / "a.safetensors")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        SARTM.load(tmp_path / "nowhere.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is no checkpoint")
    with pytest.raises(ValueError, match="not a safetensors file"):
        SARTM.load(tmp_path / "text.safetensors")
    with pytest.raises(ValueError, match="does not end in .safetensors"):
        make_model().save(tmp_path / "a.pt")
    with safe_open(str(path), framework="pt") as file:
        tensors = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
        content = json.loads(file.metadata()["sartm"])
    from safetensors.torch import save_file

    save_file(tensors, tmp_path / "plain.safetensors")
    with pytest.raises(ValueError, match="no SARTM metadata"):
        SARTM.load(tmp_path / "plain.safetensors")
    short = dict(list(tensors.items())[1:])
    save_file(short, tmp_path / "short.safetensors", metadata={"sartm": json.dumps(content)})
    with pytest.raises(ValueError, match="disagree about 1 tensors"):
        SARTM.load(tmp_path / "short.safetensors")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    model = make_model()
    path = model.save(tmp_path / "a.safetensors")
    before = path.read_bytes()

    def full_disk(*_args, **_kwargs) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sartm_core.model.checkpoint.save_file", full_disk)
    model.info = replace(model.info, metrics={"miou": 1.0})
    with pytest.raises(OSError, match="No space"):
        model.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
