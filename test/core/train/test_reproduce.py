"""The paper's configurations from the data as downloaded to the report: train, evaluate, figures, ablate, small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from sam2.build_sam import build_sam2

from sartm_core.ablate import __main__ as ablate
from sartm_core.evaluate import __main__ as evaluate
from sartm_core.figures import __main__ as figures
from sartm_core.model.checkpoint import read_metadata
from sartm_core.model.sartm import SARTM
from sartm_core.train import __main__ as train
from test.core.layouts import OWN, write_fmb, write_folder_with_classes, write_mfnet, write_pst900
from test.core.runs import history

CONFIGS = Path(__file__).parents[3] / "config" / "train"
WRITERS = {"mfnet": write_mfnet, "pst900": write_pst900, "fmb": write_fmb}
SMALL = {
    "--model.backbone": "sam2.1_hiera_t", "--model.lora_rank": "2", "--data.workers": "0",
    "--data.crop_size": "[32, 64]", "--preprocess.input_size": "[32, 64]",
    "--trainer.batch_size": "2", "--trainer.max_epochs": "1", "--trainer.val_every": "1",
    "--trainer.accelerator": "cpu", "--trainer.precision": "32-true",
    "--loss.teacher": "none",
}  # fmt: skip
"""What makes a run of the paper's configuration fit a test; the layout, classes, losses and recipe stay."""


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file as Meta ships it, with random weights of the real size."""
    path = tmp_path_factory.mktemp("sam2") / "sam2.1_hiera_tiny.pt"
    torch.save({"model": build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu").state_dict()}, path)
    return str(path)


@pytest.mark.parametrize("kind,dataset", [("paper", "mfnet"), ("paper", "pst900"), ("paper", "fmb"), ("best", "fmb")])
def test_the_shipped_recipes_train_and_evaluate(kind: str, dataset: str, official: str, tmp_path: Path) -> None:
    root, run = str(WRITERS[dataset](tmp_path / "data")), tmp_path / "run"
    options = [part for pair in SMALL.items() for part in pair]
    settings = ["--config", str(CONFIGS / f"{dataset}_{kind}.yaml"), "--sam2", official, "--data.root", root, *options]
    assert train.main([*settings, "--output", str(run)]) == 0
    terms = history(run)[0]
    assert {"s0", "s1", *(("cr",) if kind == "paper" else ())} <= terms.keys() and terms["step"] >= 1
    weights = run / "weights.safetensors"
    metadata = read_metadata(weights)
    assert metadata["kind"] == "adapter"
    assert metadata["info"]["protocol"]["selection"].startswith({"paper": "best mean", "best": "none"}[kind])

    frames = ["--dataset", dataset, "--data", root, "--split", "test"]
    assert (
        evaluate.main([*frames, "--checkpoint", str(weights), "--sam2", official, "--output", str(run / "test")]) == 0
    )
    report = json.loads((run / "test" / "evaluation.json").read_text())
    assert 0 <= report["scores"]["rgb+thermal"]["all"]["miou"] <= 1 and (run / "test" / "report.html").is_file()
    if dataset == "mfnet":
        drawn = ["qualitative", *frames, "--checkpoint", str(weights), "--sam2", official]
        assert figures.main([*drawn, "--output", str(run / "fig")]) == 0
        assert figures.main(["similarity", "--run", str(run), "--output", str(run / "fig")]) == 0
        assert len(list((run / "fig").glob("*.png"))) >= 2


def test_own_frames_and_classes_train_as_the_readme_says(tmp_path: Path) -> None:
    """The README's command used to ask for MFNet's ids beside a classes.yaml of others."""
    root, run = str(write_folder_with_classes(tmp_path / "data")), tmp_path / "run"
    small = ["--data.crop_size", "32", "64", "--preprocess.input_size", "64", "96", "--data.workers", "0"]
    steps = ["--trainer.max_steps", "1", "--trainer.batch_size", "2", "--trainer.accelerator", "cpu"]
    settings = ["--config", str(CONFIGS / "folder.yaml"), "--data.root", root, *small, *steps]
    assert train.main([*settings, "--output", str(run)]) == 0
    model = SARTM.load(run / "weights.safetensors")
    assert (model.config.classes, model.config.palette) == (OWN.names, OWN.palette)
    frames = ["--data", root, "--split", "val", "--checkpoint", str(run / "weights.safetensors")]
    assert evaluate.main([*frames, "--output", str(run / "eval")]) == 0


@pytest.mark.slow
def test_a_table_of_real_runs(official: str, tmp_path: Path) -> None:
    root = str(write_mfnet(tmp_path / "data"))
    options = [part for pair in SMALL.items() for part in pair]
    settings = ["--config", str(CONFIGS / "mfnet_paper.yaml"), "--sam2", official, "--data.root", root, *options]
    assert ablate.main(["--table", "head", *settings, "--seeds", "0", "1", "--output", str(tmp_path / "grid")]) == 0
    assert (tmp_path / "grid" / "head" / "table.md").is_file()
