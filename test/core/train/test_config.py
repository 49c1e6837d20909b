"""Configs from YAML and command lines."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from sartm_core.model.config import BACKBONES, FUSIONS, SAM2_BACKBONES, ModelConfig
from sartm_core.model.fusion import FUSION_LEVELS
from sartm_core.model.trunks.hiera import ENCODERS
from sartm_core.support.classes import FMB, MFNET, PST900, frame_condition
from sartm_core.support.cli import add_config_options, build_config, field_docs, leaves, parse
from sartm_core.support.fields import from_dict, load_yaml, to_dict
from sartm_core.train.config import TrainConfig

SHIPPED = sorted((Path(__file__).parents[3] / "config" / "train").glob("*.yaml"))


def test_configs_survive_a_round_trip() -> None:
    config = from_dict(
        TrainConfig,
        {
            "model": {"backbone": "hiera_nano", "classes": ["a", "b"], "train_encoder": True},
            "data": {"crop_size": [64, 96]},
        },
    )
    assert from_dict(TrainConfig, to_dict(config)) == config


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_training_configs_are_valid(path: Path) -> None:
    values = load_yaml(path)
    values["data"].setdefault("root", "somewhere")
    if values["model"]["backbone"] in SAM2_BACKBONES:
        values["sam2"] = "somewhere.pt"
    from_dict(TrainConfig, values)


def test_every_field_has_a_docstring_line() -> None:
    empty = [name for name, text, _ in leaves(TrainConfig) if not text]
    assert empty == []
    assert "adapters" in field_docs(ModelConfig)["train_encoder"]


@pytest.mark.parametrize(
    "values,match",
    [
        ({"modle": {}}, "modle: unknown key of TrainConfig; did you mean 'model'"),
        ({"model": {"lora_rnak": 4}}, "model.lora_rnak: unknown key of ModelConfig; did you mean 'lora_rank'"),
        ({"model": {"lora_rank": "four"}}, r"model.lora_rank: got 'four' \(str\), expected int"),
        ({"model": {"lora_rank": True}}, "model.lora_rank: got True"),
        ({"data": {"crop_size": [64]}}, "data.crop_size: got 1 values"),
        ({"data": {"dataset": "folder"}}, "DataConfig.root: not set"),
        ({"data": 3}, "data.: got 3, expected a mapping"),
        ({}, "TrainConfig.sam2: not set, and the frozen encoder of 'sam2.1_hiera_b.' would stay random"),
        ({"loss": {"class_weights": [1.0]}}, "LossConfig.class_weights: got 1, expected 9"),
        ({"sam2": "x.pt", "model": {"backbone": "hiera_nano"}}, "takes no SAM2 file"),
    ],
)
def test_wrong_values_name_the_key(values: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        from_dict(TrainConfig, values)


def run_cli(*argv: str) -> TrainConfig:
    parser = argparse.ArgumentParser()
    add_config_options(parser, TrainConfig)
    return build_config(TrainConfig, parse(parser, argv))


def test_overrides_beat_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("model: {backbone: hiera_nano, lora_rank: 2, train_encoder: true}\noptim: {lr: 1e-3}\ndata:\n")
    config = run_cli("--config", str(path), "--model.lora_rank", "8", "--data.crop_size", "[32, 64]", "--seed", "7")
    assert (config.model.backbone, config.model.lora_rank, config.optim.lr) == ("hiera_nano", 8, 1e-3)
    assert config.data.crop_size == (32, 64) and config.seed == 7


@pytest.mark.parametrize(
    "text", ["2024", "00123", "2024_11_03", "2024-11-03", "12:30:45", "1e3", "on", "no", "null1", "[a", "a: b", "#1"]
)
def test_paths_and_names_are_taken_as_they_are_typed(tmp_path: Path, text: str) -> None:
    """YAML would make numbers, dates and bools of them."""
    path = tmp_path / "c.yaml"
    path.write_text("model: {backbone: hiera_nano, train_encoder: true}\ndata: {root: x}\n")
    options = ["--config", str(path), "--data.root", text, "--data.train_split", text]
    data = run_cli(*options).data
    assert (data.root, data.train_split) == (text, text)
    assert run_cli(*options, "--data.root", "null").data.root is run_cli(*options, "--data.root", "").data.root is None


@pytest.mark.parametrize(
    "words,expected",
    [
        (["[unlabeled, on, 00123]"], ("unlabeled", "on", "00123")),
        (["unlabeled", "on", "2024_11"], ("unlabeled", "on", "2024_11")),
    ],
)
def test_lists_of_names_are_a_yaml_list_of_text_or_several_words(words: list[str], expected: tuple) -> None:
    options = ["--model.backbone", "hiera_nano", "--model.train_encoder", "--model.classes"]
    assert run_cli(*options, *words).model.classes == expected
    with pytest.raises(ValueError, match=r"--model.classes \[a, b: not YAML"):
        run_cli(*options, "[a, b")


@pytest.mark.parametrize("value", ["2024_11_03", "2024-11-03", "on", "1.50"])
def test_a_name_that_yaml_changed_in_a_file_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"data: {{root: {value}}}\n")
    with pytest.raises(ValueError, match=r"data.root: got .*, expected str; write it in quotes"):
        run_cli("--config", str(path))
    path.write_text(f"data: {{root: '{value}'}}\nmodel: {{backbone: hiera_nano, train_encoder: true}}\n")
    assert run_cli("--config", str(path)).data.root == value


def test_unknown_option_is_answered_with_the_nearest(capsys) -> None:
    with pytest.raises(SystemExit):
        run_cli("--model.lora_rnk", "8")
    assert "did you mean --model.lora_rank" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run_cli("--optim.ema", "0.9")  # no abbreviations
    assert "unknown option --optim.ema" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"--data.crop_size \[64: not YAML"):
        run_cli("--data.crop_size", "[64")


def test_unreadable_config_files_are_named(tmp_path: Path) -> None:
    for name, text in (("list.yaml", "- 1"), ("broken.yaml", "a: [")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=name):
            load_yaml(tmp_path / name)
    (tmp_path / "utf16.yaml").write_text("seed: 1", encoding="utf-16")
    with pytest.raises(ValueError, match=r"utf16.yaml: not UTF-8"):
        load_yaml(tmp_path / "utf16.yaml")
    with pytest.raises(ValueError, match="nowhere.yaml"):
        load_yaml(tmp_path / "nowhere.yaml")


def test_config_choices_are_the_tables_keys() -> None:
    assert set(FUSIONS) == set(FUSION_LEVELS) and set(BACKBONES) == set(ENCODERS)


def test_pst900_ids() -> None:
    """Fault 7."""
    assert PST900.names[1:] == ("fire-extinguisher", "backpack", "hand-drill", "survivor")
    assert PST900.palette[1:] == ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))


def test_known_names_get_their_data_sets_colours() -> None:
    assert ModelConfig(classes=("unlabeled", "person", "car")).palette == (
        (0, 0, 0),
        MFNET.palette[2],
        MFNET.palette[1],
    )
    assert ModelConfig(classes=FMB.names).palette == FMB.palette
    assert ModelConfig(classes=("x", "y", "z")).palette == ((0, 0, 0), (128, 0, 0), (0, 128, 0))


def test_frame_names_tell_day_from_night() -> None:
    conditions = {"00001D": "day", "01234N": "night", "RAIN": "", "frame_RGBD": "", "D": "", "": ""}
    assert {name: frame_condition(name) for name in conditions} == conditions
