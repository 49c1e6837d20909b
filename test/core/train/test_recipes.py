"""Two recipes for each data set: `_paper` has the paper's numbers, `_best` says why it departs from them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sartm_core.preprocess.config import STRIDE
from sartm_core.support.classes import LABEL_SETS
from sartm_core.support.fields import differences, from_dict, load_yaml, to_dict
from sartm_core.train.config import TrainConfig

CONFIGS = Path(__file__).parents[3] / "config" / "train"
NATIVE = {"mfnet": (480, 640), "pst900": (720, 1280), "fmb": (600, 800)}
PAPER = {
    "optim.lr": (1e-4, "an initial learning rate 1e-4 and weight decay 0.01"),
    "optim.weight_decay": (0.01, "an initial learning rate 1e-4 and weight decay 0.01"),
    "trainer.batch_size": (8, "a batch size of 8 for 500 epochs"),
    "trainer.max_epochs": (500, "a batch size of 8 for 500 epochs"),
    "loss.kind": ("ce", "We use cross-entropy loss function"),
    "loss.w0": (1.0, "Eq. 15; its weight is in no table"),
    "loss.w1": (0.008, "Table VII"),
    "loss.w2": (1e4, "Table VII"),
    "loss.w3": (1e2, "Table VII"),
    "loss.teacher": ("clip", "we employ CLIP text encoder to extract semantic embeddings"),
    "loss.prompt": ("{}", 'from category names (e.g., ["Person", ...])'),
    "model.lora_rank": (16, "Rank 16 yielding the best"),
    "model.aux_head": ("fpn", "Table VIII"),
    "model.train_encoder": (False, "the backbone parameters remain frozen"),
    "model.train_decoder_transformer": (False, "the SAM2 mask decoder, which employs the frozen Transformer block"),
    "data.modality_dropout": (0.0, "no word of it"),
    "data.synthetic_train": (0, "no word of it"),
    "data.scale_of": ("input", "no word of it"),
    "trainer.keep": ("best", "no word of how the epoch was picked"),
    "optim.ema_decay": (0.0, "no word of it"),
    "loss.class_weights": (None, "no word of it"),
}
"""Field -> (its value, the paper's words)."""
WINDOW = 224
"""Inputs in multiples of it leave no window of base+ padded."""


def recipe(dataset: str, kind: str) -> TrainConfig:
    values = load_yaml(CONFIGS / f"{dataset}_{kind}.yaml")
    return from_dict(TrainConfig, {**values, "data": {**values["data"], "root": "d"}, "sam2": "s.pt"})


def value(config: TrainConfig, name: str) -> object:
    for part in name.split("."):
        config = getattr(config, part)
    return config


def reasons(path: Path) -> set[str]:
    """Dotted names of the fields whose lines in a file give a reason."""
    found, section = set(), []
    for line in path.read_text().splitlines():
        key = re.match(r"( *)(\w+):", line)
        if key:
            section = [*section[: len(key[1]) // 2], key[2]]
            if re.search(r"# reason: \w", line):
                found.add(".".join(section))
    return found


@pytest.mark.parametrize("dataset", NATIVE)
def test_the_papers_recipe_has_its_numbers(dataset: str) -> None:
    config = recipe(dataset, "paper")
    got = {name: value(config, name) for name in PAPER}
    assert got == {name: number for name, (number, _) in PAPER.items()}
    assert config.model.classes == LABEL_SETS[dataset].names
    assert config.preprocess.input_size == tuple(-(-length // STRIDE) * STRIDE for length in NATIVE[dataset])
    assert config.preprocess.model_size(*NATIVE[dataset]) == config.preprocess.input_size == config.data.crop_size


@pytest.mark.parametrize("dataset", NATIVE)
def test_the_best_recipe_gives_a_reason_for_every_departure(dataset: str) -> None:
    paper, best = (to_dict(recipe(dataset, kind)) for kind in ("paper", "best"))
    given = reasons(CONFIGS / f"{dataset}_best.yaml")
    follow = {f"loss.w{i}" for i in range(4)}  # from the preset
    assert {name for name, _, _ in differences(paper, best)} - follow == given
    assert reasons(CONFIGS / f"{dataset}_paper.yaml") == set()


@pytest.mark.parametrize("dataset", NATIVE)
def test_the_best_recipe_wastes_no_pixel_on_padding(dataset: str) -> None:
    config = recipe(dataset, "best")
    data, size = config.data, config.preprocess.input_size
    assert data.scale_of == "crop" and data.scale_range[0] >= 1
    assert config.preprocess.model_size(*NATIVE[dataset]) == size
    assert all(length % WINDOW == 0 for length in (*size, *data.crop_size))


def test_the_old_name_is_answered_with_the_two_new_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mfnet.yaml: cannot be read .*has mfnet_best.yaml and mfnet_paper.yaml$"):
        load_yaml(CONFIGS / "mfnet.yaml")
    with pytest.raises(ValueError, match=r"cannot be read \(there is no such file\)$"):
        load_yaml(tmp_path / "mfnet.yaml")
