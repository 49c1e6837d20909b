"""Several data sets in one training: shares by weight, every frame equally often, and what the configuration says."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sartm_core.data.config import DataConfig, SourceConfig
from sartm_core.data.scenes import ScenePool, pooled
from sartm_core.data.sources import shares, training_sources
from sartm_core.support.cli import add_config_options, build_config
from sartm_core.support.fields import from_dict, to_dict
from sartm_core.synthetic import SceneConfig, SyntheticScenes
from sartm_core.train import __main__ as train
from sartm_core.train.config import TrainConfig
from sartm_core.train.loading import training_loader, training_set, validation_sets
from sartm_core.train.module import LitSARTM
from sartm_core.train.records import shareable
from sartm_core.train.setup import data_classes
from test.core.data.test_data import SMALL, write_folder
from test.core.runs import command, write_config
from test.core.train.test_resume import Crash, assert_same_end, crash_at

FIRST = ("a1", "a2", "a3")
SECOND = ("b1", "b2")


def write_two(tmp_path: Path) -> Path:
    """Folders `first` and `second`, of another camera size."""
    write_folder(tmp_path / "first", FIRST)
    write_folder(tmp_path / "second", SECOND, (40, 80))
    return tmp_path


def two(folder: Path, **data) -> TrainConfig:
    """Two sources of weights 3 and 1."""
    settings = {
        "root": str(folder), "crop_size": [32, 64], "workers": 0, "synthetic_val": 0,
        "sources": [{"root": "first", "weight": 3}, {"root": "second"}], **data,
    }  # fmt: skip
    return from_dict(TrainConfig, {**SMALL, "data": settings})


def names_of(config: TrainConfig, epoch: int) -> list[str]:
    frames = training_set(config)
    return [frames.parts[part].frames.frames.names[frame] for part, frame in
            (frames.frame_of(epoch, index) for index in range(len(frames)))]  # fmt: skip


@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=6), st.integers(1, 5000))
def test_shares_are_whole_and_within_one_of_the_exact_part(weights: list[float], total: int) -> None:
    counts = shares(weights, total)
    assert sum(counts) == total
    assert all(abs(c - total * w / sum(weights)) < 1 for c, w in zip(counts, weights, strict=True))


def test_equal_remainders_go_to_the_earlier_source() -> None:
    assert shares([1, 1, 1], 5) == [2, 2, 1]


def test_an_epoch_is_shared_out_by_weight(tmp_path: Path) -> None:
    config = two(write_two(tmp_path), epoch_frames=12)
    counted = Counter(name[0] for name in names_of(config, 0))
    assert counted == {"a": 9, "b": 3} and len(training_loader(config)) == 6
    assert [source.count for source in training_sources(two(tmp_path).data)] == [4, 1], "frames on disk: 5"


def test_no_frame_comes_again_before_all_have_come_over_the_ends_of_epochs(tmp_path: Path) -> None:
    config = two(write_two(tmp_path), epoch_frames=5, sources=[{"root": "first", "weight": 4}, {"root": "second"}])
    drawn = [name for epoch in range(6) for name in names_of(config, epoch)]
    first = [name for name in drawn if name in FIRST]
    assert len(first) == 24 and len(set(map(tuple, np.reshape(first, (8, 3))))) > 1, "orders differ"
    assert all(set(turn) == set(FIRST) for turn in np.reshape(first, (8, 3)))


def test_what_an_item_is_does_not_depend_on_what_was_drawn_before(tmp_path: Path) -> None:
    config = two(write_two(tmp_path), epoch_frames=8, focus=0.5)
    one, other = training_set(config), training_set(config)
    for draw in ((3, 7), (0, 0), (1, 5)):
        other[draw]
    assert all(torch.equal(one[2, 6][key], other[2, 6][key]) for key in ("rgb", "thermal", "label", "keep"))


def test_each_source_has_its_own_scores_and_may_have_none(tmp_path: Path) -> None:
    root = write_two(tmp_path)
    assert list(validation_sets(two(root))) == ["first", "second"]
    sources = [{"root": "first", "name": "mine"}, {"root": "second", "val_split": None}]
    assert list(validation_sets(two(root, sources=sources))) == ["mine"]
    with pytest.raises(ValueError, match="nothing to validate on"):
        validation_sets(two(root, sources=[{"root": "first", "val_split": None}]))


def test_ids_are_mapped_by_the_names_of_each_source(tmp_path: Path) -> None:
    """`person` is 2 in MFNet and 1 here; a source that does not label cars has none."""
    root = write_two(tmp_path)
    (root / "second" / "classes.yaml").write_text("names: [unlabeled, person, tree, rock]")
    frames = training_set(two(root)).parts[1].frames
    stored = frames.frames[0].label
    assert np.array_equal(frames[0].label, np.array([0, 2, 0, 0])[stored])


def test_a_synthetic_source_has_its_share(tmp_path: Path) -> None:
    sources = [{"root": "first"}, {"dataset": "synthetic", "weight": 2}]
    config = two(write_two(tmp_path), sources=sources, epoch_frames=6)
    assert training_set(config).counts == [2, 4] and config.data.synthetic_train == 0


def test_a_pool_is_rendered_once_and_holds_the_scenes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path))
    scenes = SyntheticScenes(2, 7, SceneConfig(height=32, width=48))
    pool = pooled(scenes)
    written = pool.path.stat().st_ino
    assert len(pool) == 2 and pool[1].name.startswith("synthetic_1_")
    for scene, sample in zip(scenes, pool, strict=True):
        assert np.array_equal(scene.rgb, sample.rgb) and np.array_equal(scene.label, sample.label)
        assert np.abs(scene.kelvin - sample.thermal / 100).max() <= 0.00501 and sample.thermal.dtype == np.uint16
    assert pooled(scenes).path.stat().st_ino == written
    assert pooled(SyntheticScenes(2, 8, scenes.config)).path != pool.path
    assert isinstance(pool, ScenePool) and not list(pool.path.parent.glob("*.tmp"))


def test_a_cache_folder_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path / "file"))
    with pytest.raises(ValueError, match=r"synthetic_pool: 2 scenes .* set SARTM_CACHE"):
        pooled(SyntheticScenes(2, 7, SceneConfig(height=32, width=48)))


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_frames_in_memory_are_those_of_the_files(tmp_path: Path, cache: str) -> None:
    config = two(write_two(tmp_path), cache=cache, focus=0.5)
    frames = training_set(config)
    assert [len(part.frames.kept) for part in frames.parts] == ([3, 2] if cache == "memory" else [0, 0])
    assert [list(part.frames.frames_with) for part in frames.parts] == [[1, 2, 3]] * 2, "classes are known either way"
    expected = training_set(two(tmp_path, cache="none", focus=0.5))[0, 1]
    assert all(torch.equal(frames[0, 1][key], expected[key]) for key in ("rgb", "thermal", "label"))


def test_memory_is_limited(tmp_path: Path) -> None:
    """A frame of `first` takes 48 * 64 * (3 + 1) + 24 * 32 * 2 bytes = 13.8 kB."""
    frames = training_set(two(write_two(tmp_path), focus=0.5)).parts[0].frames
    assert (frames.load(30_000, by_class=True), len(frames.kept)) == (2 * 13_824, 3), "those of before stay"
    frames.kept.clear()
    assert frames.load(30_000, by_class=True) == 2 * 13_824 and list(frames.kept) == [0, 1]
    assert frames[2].name == "a3"


@pytest.mark.parametrize(
    "data,message",
    [
        ({"sources": [{"root": "first", "wieght": 2}]}, r"data\.sources\[0\]\.wieght: .* did you mean 'weight'"),
        ({"sources": [{"root": "a"}, {"root": "b", "weight": 0}]}, r"SourceConfig.weight: got 0.0, expected a number"),
        ({"sources": [{"root": "a", "dataset": "foldr"}]}, "SourceConfig.dataset: got 'foldr'.*mean 'folder'"),
        ({"sources": [{"root": "x/a"}, {"root": "y/a"}]}, r"\['a'\] occur more than once; give each source its own"),
        ({"sources": [{"root": "synthetic"}]}, r"sources\[0\].name: 'synthetic' has a meaning of its own"),
        ({"sources": [{"name": "x"}], "root": None}, r"sources\[0\].root: not set; 'folder' needs a folder"),
        ({"sources": [{"root": "a"}], "synthetic_train": 5}, "synthetic_train: got 5 beside `sources`; add a source"),
        ({"sources": [{"root": "a"}], "repeat": 2}, "DataConfig.repeat: got 2 beside `sources`"),
        ({"epoch_frames": 5, "sources": []}, "DataConfig.epoch_frames: is for `sources`"),
        ({"sources": [{"root": "first"}, {"root": "second", "weight": 1e-3}]}, "'second' with weight 0.001 gets none"),
        ({"sources": [{"dataset": "synthetic"}]}, "epoch_frames: not set, and there are only synthetic sources"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_an_error_that_names_it(tmp_path: Path, data: dict, message: str) -> None:
    root = write_two(tmp_path)
    with pytest.raises(ValueError, match=message):
        training_set(two(root, **data))


def parsed(*words: str) -> TrainConfig:
    parser = argparse.ArgumentParser()
    add_config_options(parser, TrainConfig)
    return build_config(TrainConfig, parser.parse_args(["--model.train_encoder", "true", *words]))


@pytest.mark.parametrize(
    "words", [("{root: a, weight: 2}", "{dataset: synthetic}"), ("[{root: a, weight: 2}, {dataset: synthetic}]",)]
)
def test_sources_on_the_command_line(words: tuple[str, ...]) -> None:
    expected = (SourceConfig(root="a", weight=2.0), SourceConfig("synthetic"))
    assert parsed("--data.sources", *words).data.sources == expected
    assert parsed("--data.sources", words[0].strip("[]").split("}")[0] + "}").data.sources == expected[:1]


def test_a_configuration_with_sources_survives_yaml_and_leaves_paths_out_of_checkpoints(tmp_path: Path) -> None:
    config = two(tmp_path, sources=[{"root": str(tmp_path / "deep" / "first")}, {"root": "second"}])
    assert from_dict(TrainConfig, to_dict(config)) == config
    assert config.data.folder(config.data.sources[0]) == tmp_path / "deep" / "first", "an absolute root stands alone"
    assert str(tmp_path) not in str(shareable(config))


def test_the_classes_of_the_first_source_are_the_default(tmp_path: Path) -> None:
    root = write_two(tmp_path)
    (root / "first" / "classes.yaml").write_text("names: [unlabeled, sky, person, tree]")
    config = from_dict(TrainConfig, {"model": {"train_encoder": True, "backbone": "hiera_nano"},
                                     "data": to_dict(two(root).data)})  # fmt: skip
    assert data_classes(config).model.classes == ("unlabeled", "sky", "person", "tree")


def test_a_run_on_two_sources_resumes_to_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_two(tmp_path)
    data = {"dataset": "synthetic", "root": str(root), "focus": 0.5, "epoch_frames": 6,
            "synthetic_train": None, "sources": [{"root": "first"}, {"root": "second", "val_split": None}]}  # fmt: skip
    config = write_config(tmp_path, data=data)
    assert train.main(command(config, tmp_path / "whole")) == 0
    with monkeypatch.context() as patch:
        crash_at(patch, LitSARTM, "training_step", 5)
        with pytest.raises(Crash):
            train.main(command(config, tmp_path / "run"))
    assert train.main(command(config, tmp_path / "run")) == 0
    assert_same_end(tmp_path / "whole", tmp_path / "run")


def test_an_epoch_without_sources_is_what_it_was() -> None:
    assert DataConfig().synthetic_train == 512 and DataConfig().sources == ()
