"""The paper's figures: what is in the pictures, the numbers beside them, and what is said when something is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sartm_core import figures
from sartm_core.cli import leaves
from sartm_core.data.datasets import Sample, open_dataset
from sartm_core.data.labels import IGNORE
from sartm_core.figure.boxes import Box, merged, region_boxes
from sartm_core.figure.cells import Cells, choose_cells, features, grid_size
from sartm_core.figure.config import QualitativeConfig
from sartm_core.figure.qualitative import ORANGE, RED, Shot, choose, find_boxes, kinds_of_marks
from sartm_core.figure.sheet import COLUMN, GAP, NAME, TITLE, Mark, Panel, Row, shortened, write_sheet
from sartm_core.figure.similarity import Prototypes, read_prototypes
from sartm_core.figure.sources import spread
from sartm_core.figure.tsne import colors, embed, neighbor_accuracy, unit_vectors
from sartm_core.losses.semantic import semantic_loss
from sartm_core.model.sartm import SARTM
from sartm_core.preprocess import PreprocessConfig, prepare

from .conftest import make_model

SIZE = (64, 96)


def write_weights(path: Path, seed: int = 1, **changes) -> Path:
    model = make_model(**changes)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    model.info = replace(model.info, preprocess=PreprocessConfig(input_size=SIZE))
    return model.save(path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("a") / "weights.safetensors")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("b") / "weights.safetensors", seed=7)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five frames with a block of car and a block of person at places that change."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for folder in ("rgb", "thermal", "labels"):
        (root / folder).mkdir()
    names = [f"0000{i}" for i in range(5)]
    for i, name in enumerate(names):
        label = np.zeros(SIZE, np.uint8)
        label[16:48, 16 * i : 16 * i + 16] = 1
        label[32:64, 80 - 16 * i : 96 - 16 * i] = 2
        label[:2] = IGNORE
        rgb = np.clip(rng.integers(0, 60, (*SIZE, 3)) + 60 * label[..., None], 0, 255).astype(np.uint8)
        thermal = np.clip(rng.integers(0, 60, SIZE) + 90 * (label == 2), 0, 255).astype(np.uint8)
        for folder, image in (("rgb", rgb), ("thermal", thermal), ("labels", label)):
            Image.fromarray(image).save(root / folder / f"{name}.png")
    (root / "val.txt").write_text("\n".join(names))
    return root


def error_of(capsys, *argv: str) -> str:
    with pytest.raises(SystemExit) as stop:
        figures.main(list(argv))
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_every_option_is_documented() -> None:
    for cls, _, _ in figures.FIGURES.values():
        assert [name for name, text, _ in leaves(cls) if not text] == []


# Boxes


def test_boxes_hold_the_regions_largest_first() -> None:
    mask = np.zeros((200, 300), bool)
    mask[20:40, 30:60] = True  # 600 pixels
    mask[100:180, 200:260] = True  # 4800
    mask[150, :150] = True  # a thin line
    mask[5:9, 290:294] = True  # a speck
    large, small = region_boxes(mask)
    assert (large.pixels, small.pixels) == (4800, 600)
    margin = round(np.hypot(200, 300) / 100)
    assert (small.top, small.left, small.bottom, small.right) == (20 - margin, 30 - margin, 40 + margin, 60 + margin)


def test_boxes_stay_in_the_image_and_an_empty_mask_has_none() -> None:
    mask = np.zeros((64, 96), bool)
    assert region_boxes(mask) == []
    mask[:30, :40] = True
    (box,) = region_boxes(mask)
    assert (box.top, box.left) == (0, 0) and box.bottom > 30 and box.right > 40


def test_boxes_that_overlap_become_one() -> None:
    first, second, third = Box(0, 0, 10, 10, 5), Box(20, 0, 30, 10, 7), Box(8, 0, 22, 10, 3)
    assert merged([first, second], third) == [Box(0, 0, 30, 10, 15)], "the third bridges the two"
    assert merged([first], second) == [first, second]


def make_shot(truth: np.ndarray, *guesses: np.ndarray) -> Shot:
    sample = Sample("x", np.zeros((*truth.shape, 3), np.uint8), np.zeros(truth.shape, np.uint8), truth)
    return Shot(sample, truth, guesses, (0.0,) * len(guesses))


def test_boxes_tell_what_ours_gains_from_what_it_loses() -> None:
    truth = np.zeros((100, 200), np.uint8)
    truth[20:40, 20:60] = 1
    truth[60:90, 120:180] = 2
    truth[:, :5] = IGNORE
    baseline, ours = np.zeros_like(truth), np.zeros_like(truth)
    baseline[60:90, 120:180] = 2
    ours[20:40, 20:60] = 1
    marks = kinds_of_marks(QualitativeConfig(baseline="b"))
    worse, better = find_boxes(make_shot(truth, baseline, ours), marks)
    assert worse[0].color == ORANGE and worse[1].pixels == 1800 and worse[1].top < 60 < 90 < worse[1].bottom
    assert better[0].color == RED and better[1].pixels == 800
    (alone,) = find_boxes(make_shot(truth, ours), kinds_of_marks(QualitativeConfig()))
    assert alone[1].pixels == 1800, "without a baseline: where ours is not the truth; unlabelled pixels never count"


# Figures 4 to 6


def test_pictures_keep_their_pixels_and_carry_the_boxes(tmp_path: Path) -> None:
    image = np.zeros((30, 60, 3), np.uint8)
    image[10:20, 20:40] = (0, 128, 192)
    red = Mark("#ff0000", "-", "differs")
    rows = [Row("frame", (Panel(image), Panel(image, "mIoU 1.0", ((red, Box(5, 10, 25, 50, 200)),))))]
    write_sheet(tmp_path / "x.png", rows, ("left", "right"), [("bike", (0, 128, 192))], [red])
    sheet = np.array(Image.open(tmp_path / "x.png").convert("RGB"))
    dpi = 600 / COLUMN
    assert sheet.shape[1] == pytest.approx((NAME + 2 * (COLUMN + GAP)) * dpi, abs=2)
    top, left = round(TITLE * dpi), round(NAME * dpi)
    panel = sheet[top : top + 300, left : left + 600]  # every pixel is 10 dots
    np.testing.assert_array_equal(panel[5::10, 5::10][1:-1, 1:-1], image[1:-1, 1:-1])
    second = sheet[top : top + 300, left + round((COLUMN + GAP) * dpi) :][:, :600]
    reddish = (second[..., 0] > 200) & (second[..., 1] < 60)
    rows_hit, columns_hit = np.nonzero(reddish)
    assert abs(rows_hit.min() - 50) < 8 and abs(rows_hit.max() - 250) < 8
    assert abs(columns_hit.min() - 100) < 8 and abs(columns_hit.max() - 500) < 8
    left_hit = (panel[..., 0] > 200) & (panel[..., 1] < 60)
    assert not left_hit.any()


def test_qualitative_with_a_baseline_shows_the_most_improved(
    tmp_path: Path, root: Path, weights: Path, other: Path, capsys
) -> None:
    command = ["qualitative", "--root", str(root), "--checkpoint", str(weights), "--baseline", str(other)]
    assert figures.main([*command, "--count", "2", "--device", "cpu", "--output", str(tmp_path)]) == 0
    assert str(tmp_path / "qualitative.png") in capsys.readouterr().out
    facts = json.loads((tmp_path / "qualitative.json").read_text())
    gains = [frame["miou"]["SARTM"] - frame["miou"]["baseline"] for frame in facts["frames"]]
    assert len(gains) == 2 and gains[0] >= gains[1]
    assert 100 * gains[1] >= facts["mean gain of all of them, points"] and facts["frames looked at"] == 5
    width, height = Image.open(tmp_path / "qualitative.png").size
    assert width > 5 * 600 and height > 2 * 400, "rgb, thermal, truth, baseline and ours at no less than 600 dots"


def test_frames_can_be_named_and_names_are_not_numbers(tmp_path: Path, root: Path, weights: Path, capsys) -> None:
    command = ["qualitative", "--root", str(root), "--checkpoint", str(weights), "--output", str(tmp_path)]
    assert figures.main([*command, "--names", "00003", "00001"]) == 0
    facts = json.loads((tmp_path / "qualitative.json").read_text())
    assert [frame["name"] for frame in facts["frames"]] == ["00003", "00001"] and facts["pick"] == "by name"
    assert "no such frame among 5; did you mean '0000" in error_of(capsys, *command, "--names", "0003")


def test_random_frames_follow_the_seed() -> None:
    def shoot(index: int):
        raise AssertionError("random frames are not looked at")

    names = [str(i) for i in range(50)]
    first, again, third = (
        choose(QualitativeConfig(pick="random", count=4, seed=seed), names, shoot)[0] for seed in (1, 1, 2)
    )
    assert first == again != third and len(set(first)) == 4


def test_most_improved_needs_a_baseline(capsys, tmp_path: Path) -> None:
    assert "needs --baseline" in error_of(capsys, "qualitative", "--pick", "most-improved", "--output", str(tmp_path))


def test_checkpoints_of_other_classes_are_named(tmp_path: Path, root: Path, weights: Path, capsys) -> None:
    strange = write_weights(tmp_path / "strange.safetensors", classes=("unlabeled", "car", "person", "dog"))
    data = ["--root", str(root), "--checkpoint", str(weights), "--output", str(tmp_path)]
    for options in (["qualitative", "--baseline", str(strange)], ["tsne", "--compare", str(strange)]):
        error = error_of(capsys, *options, *data)
        assert "['bike', 'dog'] are not in both" in error and "strange.safetensors" in error


def test_wrong_options_name_the_nearest(capsys, tmp_path: Path) -> None:
    assert "did you mean --baseline" in error_of(capsys, "qualitative", "--basline", "x", "--output", str(tmp_path))
    assert "no file" in error_of(
        capsys, "qualitative", "--checkpoint", "nowhere.safetensors", "--output", str(tmp_path)
    )


def test_long_names_are_cut_in_the_middle() -> None:
    assert shortened("00001D", 1.0) == "00001D"
    short = shortened("a_very_long_name_of_a_frame_000123", 1.0)
    assert len(short) <= 1.0 * 72 / (0.6 * 7) and short.startswith("a_") and short.endswith("123")


def test_spread_is_even_and_never_repeats() -> None:
    assert spread(9, 3) == [0, 4, 8] and spread(3, 10) == [0, 1, 2] and spread(1, 5) == [0]


# Figure 7


def test_cells_are_labelled_and_chosen_as_said(root: Path, weights: Path) -> None:
    frames = open_dataset("folder", root, "val")
    model = SARTM.load(weights)
    table = np.arange(256, dtype=np.uint8)
    arguments = (frames, range(5), frames.label_set, table, lambda sample: grid_size(model, sample), 7)
    cells = choose_cells(*arguments, 0)
    again, third = choose_cells(*arguments, 0), choose_cells(*arguments, 1)
    assert np.bincount(cells.label).tolist() == [7, 7, 7]
    np.testing.assert_array_equal(cells.row, again.row)
    assert not np.array_equal(cells.row * 100 + cells.column, third.row * 100 + third.column)
    for frame, row, column, label in zip(cells.frame, cells.row, cells.column, cells.label, strict=True):
        assert frames[frame].label[row * 16 + 8, column * 16 + 8] == label, "the pixel at the cell's centre"

    taken = features(model, frames, cells, torch.device("cpu"), "")
    sample = frames[cells.frame[4]]
    inputs = prepare(sample.rgb, sample.thermal, model.info.preprocess)
    with torch.inference_mode():
        expected = model(*inputs).fused[0, :, cells.row[4], cells.column[4]]
    np.testing.assert_allclose(taken[4], expected.numpy(), atol=1e-6)


def test_tsne_is_the_same_for_the_same_seed() -> None:
    rng = np.random.default_rng(0)
    unit = unit_vectors(rng.normal(size=(24, 8)).astype(np.float32))
    first = embed(unit, 30.0, seed=3)
    assert first.shape == (24, 2) and np.isfinite(first).all()
    np.testing.assert_array_equal(first, embed(unit, 30.0, seed=3))
    assert not np.array_equal(first, embed(unit[::-1].copy(), 30.0, seed=3))


def test_tsne_draws_a_panel_for_each_checkpoint(tmp_path: Path, root: Path, weights: Path, other: Path) -> None:
    command = ["tsne", "--root", str(root), "--checkpoint", str(weights), "--compare", str(other), "--points", "12"]
    assert figures.main([*command, "--titles", "without language", "SARTM", "--output", str(tmp_path)]) == 0
    facts = json.loads((tmp_path / "tsne.json").read_text())
    assert [panel["title"] for panel in facts["panels"]] == ["without language", "SARTM"]
    assert facts["cells by class"] == {"unlabeled": 12, "car": 10, "person": 10} and facts["frames"] == 5
    for panel in facts["panels"]:
        assert -1 <= panel["silhouette"] <= 1 and set(panel["knn_accuracy_by_class"]) == {"unlabeled", "car", "person"}
        assert panel["knn_accuracy"] == pytest.approx(np.mean(list(panel["knn_accuracy_by_class"].values())))
    assert facts["panels"][0]["silhouette"] != facts["panels"][1]["silhouette"]
    width, height = Image.open(tmp_path / "tsne.png").size
    assert width == pytest.approx(2 * 3.2 * 300, abs=2) and height > 3.2 * 300


def test_neighbors_vote_without_their_own_frame() -> None:
    """Each frame holds two look-alikes of different classes: only other frames tell the truth."""
    unit = unit_vectors(np.array([[1, 0.0], [1, 0.1], [0, 1.0], [1, 0.02], [1, 0.12], [0.1, 1.0]], np.float32))
    label, frame = np.array([0, 1, 2, 0, 1, 2]), np.array([0, 0, 0, 1, 1, 1])
    assert neighbor_accuracy(unit, label, frame, 1) == {0: 1.0, 1: 1.0, 2: 1.0}
    assert neighbor_accuracy(unit, label, np.zeros(6, int), 1) == {}, "one frame: no neighbours"
    swapped = np.array([0, 1, 2, 1, 0, 2])
    assert neighbor_accuracy(unit, swapped, frame, 1) == {0: 0.0, 1: 0.0, 2: 1.0}


def test_a_tie_goes_to_the_nearest_cell() -> None:
    unit = unit_vectors(np.array([[1, 0], [1, 0.1], [1, 0.3]], np.float32))
    assert neighbor_accuracy(unit, np.array([1, 1, 0]), np.arange(3), 2)[1] == 1.0


def test_colours_that_vanish_on_white_get_an_edge() -> None:
    assert colors((255, 255, 255))["markeredgewidth"] > 0 and colors((222, 215, 158))["markeredgewidth"] > 0
    assert colors((0, 0, 0)) == {"markerfacecolor": (0, 0, 0), "markeredgecolor": "none", "markeredgewidth": 0}


def test_checkpoints_of_another_input_size_share_no_cells(tmp_path: Path, root: Path, weights: Path, capsys) -> None:
    model = make_model()
    model.info = replace(model.info, preprocess=PreprocessConfig(input_size=(128, 192)))
    large = model.save(tmp_path / "large.safetensors")
    data = ["--root", str(root), "--checkpoint", str(weights), "--compare", str(large), "--output", str(tmp_path)]
    assert "F~n is (4, 6) and (8, 12)" in error_of(capsys, "tsne", *data)


def test_titles_are_one_a_panel(capsys, tmp_path: Path) -> None:
    error = error_of(capsys, "tsne", "--titles", "a", "b", "--output", str(tmp_path))
    assert "got 2, expected one a panel: 1" in error


def test_cells_of_a_frame() -> None:
    cells = Cells(np.array([0, 0, 3]), np.array([1, 2, 3]), np.array([4, 5, 6]), np.array([0, 1, 1]))
    assert len(cells) == 3 and cells.of_frame(3).tolist() == [False, False, True]


# Figure 8


def write_prototypes(run: Path, epochs: tuple[int, ...] = (1, 2, 3), text: bool = True) -> None:
    rng = np.random.default_rng(0)
    (run / "prototypes").mkdir(parents=True)
    words = rng.normal(size=(4, 6)).astype(np.float32)
    for epoch in epochs:
        bank = (rng.normal(size=(4, 8)) / epoch).astype(np.float32)
        bank[:, :6] += words
        arrays = {"bank": bank, "seen": np.array([True, True, epoch > 1, False]), "classes": np.array(list("abcd"))}
        np.savez(run / "prototypes" / f"epoch_{epoch:04}.npz", **arrays, **({"text": words} if text else {}))


def test_similarity_with_and_without_text(tmp_path: Path) -> None:
    for text in (True, False):
        run, output = tmp_path / f"run{text}", tmp_path / f"out{text}"
        write_prototypes(run, text=text)
        assert figures.main(["similarity", "--run", str(run), "--epochs", "1", "3", "--output", str(output)]) == 0
        facts = json.loads((output / "similarity.json").read_text())
        assert [row["seen"] for row in facts["epochs"]] == [2, 3, 3] and facts["classes"] == list("abcd")
        assert (facts["epochs"][0]["l_se"] is None) is not text
        assert (output / "similarity.png").stat().st_size > 10_000
    widths = [Image.open(tmp_path / f"out{text}" / "similarity.png").width for text in (True, False)]
    assert widths[0] > widths[1], "the text has a panel of its own"


def test_numbers_of_the_prototypes() -> None:
    bank = np.array([[1, 0], [1, 1], [5, 5]], np.float32)
    text = np.array([[0, 1], [0, 2], [1, 0]], np.float32)
    prototypes = Prototypes(1, bank, np.array([True, True, False]), text, ("a", "b", "c"))
    matrix = prototypes.matrix()
    assert matrix[0, 1] == pytest.approx(np.sqrt(0.5)) and np.isnan(matrix[2]).all() and np.isnan(matrix[:, 2]).all()
    assert prototypes.mean_off_diagonal() == pytest.approx(np.sqrt(0.5))
    assert prototypes.mean_off_diagonal(prototypes.text_matrix()) == pytest.approx(1 - np.sqrt(0.5))
    expected = semantic_loss(torch.tensor(bank), torch.tensor([True, True, False]), torch.tensor(text))
    assert prototypes.loss() == pytest.approx(float(expected))
    lonely = replace(prototypes, seen=np.array([True, False, False]))
    assert lonely.loss() is None and lonely.mean_off_diagonal() is None


def test_epochs_are_read_in_order(tmp_path: Path) -> None:
    write_prototypes(tmp_path, epochs=(9, 10, 101))
    assert [p.epoch for p in read_prototypes(tmp_path)] == [9, 10, 101]


def test_missing_prototypes_say_how_to_get_them(tmp_path: Path, capsys) -> None:
    command = ["similarity", "--output", str(tmp_path / "out")]
    assert "--run nowhere: no such folder" in error_of(capsys, *command, "--run", "nowhere")
    (tmp_path / "run").mkdir()
    assert "sartm_core.train writes one after every epoch" in error_of(capsys, *command, "--run", str(tmp_path / "run"))
    assert "not set; give the --output folder" in error_of(capsys, *command)
    write_prototypes(tmp_path / "other")
    error = error_of(capsys, *command, "--run", str(tmp_path / "other"), "--epochs", "1", "7")
    assert "--epochs 7" in error and "has 3, from 1 to 3" in error
    (tmp_path / "other" / "prototypes" / "epoch_0002.npz").write_bytes(b"no zip file")
    assert "epoch_0002.npz: not prototypes" in error_of(capsys, *command, "--run", str(tmp_path / "other"))
