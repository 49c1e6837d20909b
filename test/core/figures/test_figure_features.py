"""t-SNE of the features (Figure 7) and similarity of the prototypes (Figure 8)."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sartm_core.ablate.paper import COMPONENTS
from sartm_core.data.datasets import open_dataset
from sartm_core.figures import __main__ as figures
from sartm_core.figures.cells import Cells, choose_cells, features, grid_size
from sartm_core.figures.config import FIGURE_7
from sartm_core.figures.similarity import Prototypes, read_prototypes
from sartm_core.figures.tsne import colors, embed, neighbor_accuracy, unit_vectors
from sartm_core.losses.semantic import semantic_loss
from sartm_core.model.sartm import SARTM
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.prepare import prepare
from test.core.conftest import make_model
from test.core.figure_data import error_of, other, root, weights

__all__ = ["other", "root", "weights"]  # fixtures


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
    command = ["tsne", "--data", str(root), "--checkpoint", str(weights), "--compare", str(other), "--points", "12"]
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


def make_ablation(output: Path, full: Path, without: Path) -> None:
    """The components table's folder, its run without language being another table's."""
    for variant, file in (("full", full), ("without_aux_head", without)):
        (output / "components" / variant / "seed1").mkdir(parents=True)
        shutil.copy(file, output / "components" / variant / "seed1")
    (output / "components" / "full" / "seed1.yaml").touch()
    (output / "losses" / "cr" / "seed1").mkdir(parents=True)
    shutil.copy(without, output / "losses" / "cr" / "seed1")
    runs = {"full seed 1": "components/full/seed1", "without_language seed 1": "losses/cr/seed1"}
    (output / "components" / "table.json").write_text(json.dumps({"runs": runs}))


def test_figure_7_finds_its_runs(tmp_path: Path, root: Path, weights: Path, other: Path, capsys) -> None:
    """The run without the head is not in the table, whose seed 1 is unfinished; that without language is shared."""
    make_ablation(tmp_path / "abl", weights, other)
    command = ["tsne", "--data", str(root), "--ablation", str(tmp_path / "abl"), "--points", "12"]
    assert figures.main([*command, "--run_seed", "1", "--output", str(tmp_path)]) == 0
    panels = json.loads((tmp_path / "tsne.json").read_text())["panels"]
    titles = ["(a) without auxiliary head", "(a) SARTM", "(b) without language", "(b) SARTM"]
    assert [panel.pop("title") for panel in panels] == titles
    assert panels[0] == panels[2] != panels[1] == panels[3]
    assert Image.open(tmp_path / "tsne.png").width == pytest.approx(4 * 3.2 * 300, abs=2)


def test_figure_7_names_the_runs_it_lacks(tmp_path: Path, weights: Path, other: Path, capsys) -> None:
    output = tmp_path / "abl"
    make_ablation(output, weights, other)
    command = ["tsne", "--ablation", str(output), "--output", str(tmp_path / "out")]
    error = error_of(capsys, *command)
    assert error.count("seed0/weights.safetensors") == 3
    assert f"--only without_aux_head full without_language --seeds 0 --config CONFIG.yaml --output {output}" in error
    (output / "losses" / "cr" / "seed1" / "weights.safetensors").unlink()
    error = error_of(capsys, *command, "--run_seed", "1")
    assert f"no {output / 'losses' / 'cr' / 'seed1' / 'weights.safetensors'}; to train: sartm ablate" in error
    assert f"--only without_language --seeds 1 --config {output / 'components' / 'full' / 'seed1.yaml'}" in error
    assert "leave out --checkpoint" in error_of(capsys, *command, "--compare", "x.safetensors")
    assert "got 1, expected one a panel: 4" in error_of(capsys, *command, "--titles", "x")


def test_figure_7_shows_the_components_table() -> None:
    assert {variant for _, variant in FIGURE_7} == set(COMPONENTS.rows)


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
    data = ["--data", str(root), "--checkpoint", str(weights), "--compare", str(large), "--output", str(tmp_path)]
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


def test_ranks_of_a_run(tmp_path: Path) -> None:
    names = [f"{modality}/stride_{stride}" for modality in ("rgb", "thermal") for stride in (4, 8, 16, 32)]
    rows = [
        {"epoch": 1, "step": 10, "loss": 1.0, "ranks": {**dict.fromkeys(names, 12.0), "fused": 2.0}},
        {"epoch": 2, "step": 20, "loss": 0.9},
        {"epoch": 3, "step": 30, "loss": 0.8, "ranks": {"rgb/stride_4": 11.0, "fused": None}},
    ]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert figures.main(["ranks", "--run", str(tmp_path), "--output", str(tmp_path / "out")]) == 0
    facts = json.loads((tmp_path / "out" / "ranks.json").read_text())
    assert facts["alarm_below"] == 3
    assert facts["validations"] == [
        {key: row[key] for key in ("epoch", "step", "ranks")} for row in (rows[0], rows[2])
    ], "epochs that were not validated are left out"
    assert Image.open(tmp_path / "out" / "ranks.png").width > 1000


@pytest.mark.parametrize(
    "text,message",
    [(None, "no such file"), ("nonsense", "not a history"), ('{"epoch": 1, "step": 3}', "no ranks in its history")],
)
def test_runs_without_ranks_say_why(tmp_path: Path, capsys, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "history.jsonl").write_text(text)
    with pytest.raises(SystemExit):
        figures.main(["ranks", "--run", str(tmp_path), "--output", str(tmp_path / "out")])
    assert message in capsys.readouterr().err


def test_curves_of_a_run(tmp_path: Path, capsys) -> None:
    scores = {"miou": 0.5, "real": {"miou": 0.5, "iou": {"a": 0.9, "b": None, "c": 0.1}}}
    rows = [
        {"epoch": 1, "step": 10, "loss": 1.0, "s0": 0.6, "s1": 0.4},
        {"epoch": 2, "step": 20, "loss": 0.8, **scores},
    ]
    (tmp_path / "history.jsonl").write_text(json.dumps(rows[0]) + "\n")
    command = ["curves", "--run", str(tmp_path), "--output", str(tmp_path / "out")]
    assert "no validation yet" in error_of(capsys, *command)
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert figures.main(command) == 0
    assert json.loads((tmp_path / "out" / "curves.json").read_text())["epochs"] == rows
    assert Image.open(tmp_path / "out" / "curves.png").width > 1000
