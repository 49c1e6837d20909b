"""Which frames weights and their ancestors saw: recorded by training, looked up by evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from sartm_core.compare import __main__ as compare
from sartm_core.data.datasets import open_dataset
from sartm_core.data.layouts.fmb import FMBPairs
from sartm_core.data.seen import CHOSE, TRAINED, UNKNOWN, SeenFrames, in_words, inherited, joined, seen_again
from sartm_core.evaluate import __main__ as evaluate
from sartm_core.model.sartm import SARTM
from sartm_core.train import __main__ as train
from sartm_core.train.module import LitSARTM
from test.core.conftest import make_model
from test.core.data.test_data import write_folder
from test.core.runs import command, write_config

TRAIN, VAL = ("00001D", "00002N", "00003D"), ("00005N", "00006D")


def write_split(root: Path, train_names: tuple[str, ...], val_names: tuple[str, ...]) -> Path:
    write_folder(root, (*train_names, *val_names))
    (root / "train.txt").write_text("\n".join(train_names))
    (root / "val.txt").write_text("\n".join(val_names))
    return root


def run(tmp_path: Path, name: str, root: Path, *options: str) -> Path:
    """Weights of one step on the folder."""
    config = write_config(tmp_path, data={"root": str(root)}, trainer={"max_steps": 1})
    assert train.main(command(config, tmp_path / name, *options)) == 0
    return tmp_path / name / "weights.safetensors"


def score(weights: Path, root: Path, split: str, output: Path, *options: str) -> dict:
    arguments = ["--checkpoint", str(weights), "--data", str(root), "--split", split, "--output", str(output)]
    assert evaluate.main([*arguments, "--cameras", "rgb+thermal", "--worst", "0", *options]) == 0
    return json.loads((output / "evaluation.json").read_text())["protocol"]


def test_training_records_its_frames_and_evaluation_warns_of_them(tmp_path: Path, capsys) -> None:
    a = write_split(tmp_path / "a", TRAIN, VAL)
    weights = run(tmp_path, "first", a)
    assert SARTM.load(weights).info.seen == (
        SeenFrames(TRAINED, "folder", "a", TRAIN), SeenFrames(CHOSE, "folder", "a", VAL)
    )  # fmt: skip
    capsys.readouterr()

    facts = score(weights, a, "train", tmp_path / "out")
    text = "of these 3 frames 3 trained these weights (folder 'a'): this is no test score"
    assert facts["warning"] == text
    assert facts["frames_seen"] == [
        {"by": "these weights", "role": TRAINED, "dataset": "folder", "folder": "a", "frames": 3}
    ]
    printed = capsys.readouterr().out
    assert printed.count(f"warning: {text}") == 2, "above and below the tables"
    assert "<b>Warning: of these 3 frames 3 trained these weights" in (tmp_path / "out" / "report.html").read_text()

    facts = score(weights, a, "val", tmp_path / "out")
    assert facts["warning"] == "of these 2 frames 2 chose these weights (folder 'a'): the numbers are optimistic"
    (a / "test.txt").write_text("00009D")
    write_folder(tmp_path / "new", ("00009D",))
    for kind in ("rgb", "thermal", "labels"):
        for path in (tmp_path / "new" / kind).iterdir():
            path.rename(a / kind / path.name)
    assert "warning" not in score(weights, a, "test", tmp_path / "out")


def test_the_chain_of_ancestors_is_kept_whatever_they_were_called(tmp_path: Path) -> None:
    a = write_split(tmp_path / "a", TRAIN, VAL)
    b = write_split(tmp_path / "b", ("plain1", "plain2"), ("plain3",))
    first = run(tmp_path, "first", a)
    second = run(tmp_path, "second", b, "--init", str(first))
    third = run(tmp_path, "third", b, "--init", str(second), "--init_as_base", "true")
    assert SARTM.load(third).info.seen == (
        SeenFrames(TRAINED, "folder", "b", ("plain1", "plain2")),
        SeenFrames(CHOSE, "folder", "b", ("plain3",)),
        SeenFrames(TRAINED, "folder", "a", TRAIN, "first/weights.safetensors"),
        SeenFrames(CHOSE, "folder", "a", VAL, "first/weights.safetensors"),
    )
    elsewhere = write_split(tmp_path / "c", ("00001D", "00005N", "00044D"), ("00003D",))
    assert score(third, elsewhere, "train", tmp_path / "out")["warning"] == (
        "of these 3 frames 1 trained their ancestor first/weights.safetensors (folder 'a'), "
        "1 chose their ancestor first/weights.safetensors (folder 'a'): this is no test score"
    )
    other = write_split(tmp_path / "d", ("plain1",), ("plain3",))
    assert "warning" not in score(third, other, "train", tmp_path / "out"), "a plain name in another folder"
    out = tmp_path / "compared"
    options = ["--data", str(elsewhere), "--split", "train", "--output", str(out)]
    assert compare.main([str(first), str(third), *options]) == 0
    told = json.loads((out / "compare.json").read_text())
    assert "trained these weights" in told["protocol_a"]["warning"]
    assert "their ancestor first" in told["protocol_b"]["warning"]


def test_an_ancestor_without_a_record_is_named(tmp_path: Path) -> None:
    start = make_model(lora_rank=2, train_encoder=True, train_decoder_transformer=True)
    path = start.save(tmp_path / "old.safetensors")
    assert SARTM.load(path).info.seen == ()
    a = write_split(tmp_path / "a", TRAIN, VAL)
    weights = run(tmp_path, "next", a, "--init", str(path))
    assert SARTM.load(weights).info.seen[-1] == SeenFrames(UNKNOWN, by="old.safetensors")
    assert score(weights, a, "val", tmp_path / "out")["ancestors_whose_frames_are_unknown"] == ["old.safetensors"]


def test_names_of_mfnet_are_the_same_frame_in_every_folder_and_others_are_not(tmp_path: Path) -> None:
    seen = (
        SeenFrames(TRAINED, "folder", "urban", ("00001D", "00002N_flip", "0003", "00004X")),
        SeenFrames(CHOSE, "mfnet", "MFNet", ("00005D",)),
    )
    names = ("00001D", "00002N", "0003", "00004X", "00005D")
    here = open_dataset("folder", write_folder(tmp_path / "other", names), None)
    assert [(entry["role"], entry["frames"]) for entry in seen_again(seen, here)] == [(TRAINED, 2), (CHOSE, 1)]
    same = open_dataset("folder", write_folder(tmp_path / "urban", names), None)
    assert [(entry["role"], entry["frames"]) for entry in seen_again(seen, same)] == [(TRAINED, 4), (CHOSE, 1)]


def test_numbers_that_begin_anew_in_the_parts_of_a_data_set_are_different_frames(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for kind in ("Visible", "Infrared", "Label"):
            (tmp_path / part / kind).mkdir(parents=True)
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / part / kind / "00001.png")
    train_part, test_part = (FMBPairs(tmp_path, part) for part in ("train", "test"))
    seen = (SeenFrames(TRAINED, "fmb", "elsewhere", ("train/00001",)),)
    assert [entry["frames"] for entry in seen_again(seen, train_part)] == [1]
    assert seen_again(seen, test_part) == []
    assert [entry["frames"] for entry in seen_again(seen, FMBPairs(tmp_path, None))] == [1]


def test_generations_on_the_same_frames_are_written_once() -> None:
    own = (SeenFrames(TRAINED, "folder", "a", ("x", "y")),)
    before = inherited(
        (SeenFrames(TRAINED, "folder", "a", ("x", "y", "z")), SeenFrames(CHOSE, "folder", "a", ("x",))), "p"
    )
    assert joined(own, before) == (
        *own, SeenFrames(TRAINED, "folder", "a", ("z",), "p"), SeenFrames(CHOSE, "folder", "a", ("x",), "p")
    )  # fmt: skip
    assert joined(own, inherited(own, "p")) == own
    assert in_words([], 3) == ""


def test_picking_an_epoch_on_frames_that_train_is_told_in_words(tmp_path: Path, caplog) -> None:
    root = write_split(tmp_path / "a", TRAIN, VAL)
    weights = run(tmp_path, "union", root, "--data.train_split", "train+val")
    assert "2 of 2 validation frames also train: picking the best epoch on them" in caplog.text
    assert "--trainer.keep last" in caplog.text
    info = SARTM.load(weights).info
    words = "best mean mIoU of the epochs on: folder (val); 2 of 2 validation frames also train"
    assert info.protocol["selection"] == words
    assert [(entry.role, len(entry.names)) for entry in info.seen] == [(TRAINED, 5), (CHOSE, 2)]
    caplog.clear()
    run(tmp_path, "apart", root)
    assert "also train" not in caplog.text


def test_the_last_weights_are_kept_though_earlier_ones_scored_higher(tmp_path: Path, monkeypatch) -> None:
    real = LitSARTM.scores
    monkeypatch.setattr(LitSARTM, "scores", lambda self: {**real(self), "miou": 0.9 - self.current_epoch / 2})
    root = write_split(tmp_path / "a", TRAIN, VAL)
    config = write_config(tmp_path, data={"root": str(root)}, trainer={"max_epochs": 2, "fit_confidence": False})
    for keep, kept in (("best", (1, "best mean mIoU of the epochs on")), ("last", (2, "none, the last weights"))):
        assert train.main(command(config, tmp_path / keep, "--trainer.keep", keep)) == 0
        protocol = SARTM.load(tmp_path / keep / "weights.safetensors").info.protocol
        assert (protocol["epoch"], protocol["selection"].split(";")[0].split(":")[0]) == kept
