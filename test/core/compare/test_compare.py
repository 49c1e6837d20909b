"""Two checkpoints on the same frames: scores, intervals, pictures and the report."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sartm_core.compare import __main__ as compare
from sartm_core.compare import run as comparison_run
from sartm_core.compare.pictures import BOTH_WRONG, NO_LABEL, ONLY_A_RIGHT, ONLY_B_RIGHT, MostDifferent, difference
from sartm_core.data.pairs import Sample
from sartm_core.evaluate import __main__ as evaluate
from sartm_core.runtime.segmenter import Segmenter
from test.core.conftest import PLAIN
from test.core.figure_data import other, root, weights, write_weights

__all__ = ["other", "root", "weights"]

FILES = {"compare.json", "compare.csv", "frames.csv", "report.html", "most_different.png"}


class Page(HTMLParser):
    """Collects what a page loads, and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.loads, self.text = [], [], ""

    def handle_starttag(self, tag: str, attrs: list) -> None:
        values = dict(attrs)
        self.loads += [values[key] for key in ("src", "href") if key in values]
        if tag not in ("img", "meta", "line", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "circle"):
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def compared(a: Path, b: Path, output: Path, *words: str) -> dict:
    """Run the command in this process; what compare.json holds."""
    assert compare.main([str(a), str(b), "--output", str(output), "--device", "cpu", *words]) == 0
    return json.loads((output / "compare.json").read_text())


@pytest.fixture(scope="module")
def content(weights: Path, other: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    output = tmp_path_factory.mktemp("compared")
    return compared(weights, other, output, "--data", str(root), "--most", "3", "--resamples", "300"), output


def test_scores_are_those_of_evaluate(content, weights: Path, other: Path, root: Path, tmp_path: Path) -> None:
    whole = content[0]["scores"]["all"]
    for key, checkpoint in (("a", weights), ("b", other)):
        words = ["--checkpoint", str(checkpoint), "--data", str(root), "--device", "cpu", "--cameras", "rgb+thermal"]
        assert evaluate.main([*words, "--worst", "0", "--output", str(tmp_path / key)]) == 0
        row = json.loads((tmp_path / key / "evaluation.json").read_text())["scores"]["rgb+thermal"]["all"]
        assert {name: values[key] for name, values in whole["classes"].items()} == row["iou"]
        assert whole["miou"][key] == row["miou"]
        assert {name: values["true_pixels"] for name, values in whole["classes"].items()} == row["true_pixels"]
    for row in (whole["miou"], *whole["classes"].values()):
        if None not in (row["a"], row["b"]):
            assert row["difference"] == row["b"] - row["a"]
            assert row["interval"] is None or row["interval"][0] <= row["interval"][1]


def test_agreement_is_a_count_of_equal_pixels(content, weights: Path, other: Path, root: Path) -> None:
    models = [Segmenter.load(path, **PLAIN) for path in (weights, other)]
    masks = [
        [model(*(np.array(Image.open(root / kind / f"0000{i}.png")) for kind in ("rgb", "thermal"))).mask
         for i in range(5)]
        for model in models
    ]  # fmt: skip
    a, b = np.array(masks)
    found = content[0]["agreement"]
    assert 0 < found["pixels"] < 1 and found["pixels"] == (a == b).mean()
    assert found["interval"][0] <= found["pixels"] <= found["interval"][1]
    assert found["overlap"]["car"] == pytest.approx(((a == 1) & (b == 1)).sum() / ((a == 1) | (b == 1)).sum())
    shares = sorted(((one != two).mean() for one, two in zip(a, b, strict=True)), reverse=True)
    assert [entry["differing"] for entry in content[0]["most_different"]] == shares[:3]


def test_the_report_needs_no_other_file(content) -> None:
    found, output = content
    assert {path.name for path in output.iterdir()} == FILES
    text = (output / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert not page.open and len(page.loads) == 3
    assert all(source.startswith("data:image/png;base64,") for source in page.loads)
    assert not re.search(r"(?i)<(script|link)|url\(", text)
    names = [entry["frame"] for entry in found["most_different"]]
    assert all(f"{rank}. {name}:" in page.text for rank, name in enumerate(names, 1))
    for row in found["scores"]["all"]["classes"].values():
        if row["difference"] is not None:
            assert f"{100 * row['difference']:+.2f}" in page.text
    sheet = Image.open(output / "most_different.png")
    assert sheet.width == 6 * 320 and len(np.unique(np.array(sheet))) > 50


def test_csv_says_the_same(content) -> None:
    found, output = content
    with open(output / "compare.csv", newline="") as file:
        lines = {(line["group"], line["class"]): line for line in csv.DictReader(file)}
    for name, row in found["scores"]["all"]["classes"].items():
        low, high = row["interval"] or ("", "")
        expected = [row["a"], row["b"], row["difference"], low, high]
        line = lines["all", name]
        assert [line[key] for key in ("iou_a", "iou_b", "difference", "low", "high")] == [
            "" if value is None else str(value) for value in expected
        ]
    with open(output / "frames.csv", newline="") as file:
        names = [line["frame"] for line in csv.DictReader(file)]
    assert sorted(names) == [f"0000{i}" for i in range(5)]
    assert names[:3] == [entry["frame"] for entry in found["most_different"]]


def test_the_same_again_as_a_process(content, weights: Path, other: Path, root: Path, tmp_path: Path) -> None:
    words = ["--data", str(root), "--resamples", "300", "--most", "3", "--device", "cpu", "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "sartm_core.compare", str(weights), str(other), *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "The two masks agree on" in done.stdout and "mIoU of" in done.stdout and "IoU of" in done.stdout
    for name in FILES - {"most_different.png"}:
        assert (tmp_path / name).read_bytes() == (content[1] / name).read_bytes(), name


def test_a_checkpoint_against_itself_is_even(weights: Path, root: Path, tmp_path: Path, capsys) -> None:
    found = compared(weights, weights, tmp_path / "same", "--data", str(root), "--resamples", "100")
    assert found["agreement"]["pixels"] == 1 and found["most_different"] == []
    for row in found["scores"]["all"]["classes"].values():
        assert row["interval"] in (None, [0, 0]) and row["difference"] in (None, 0)
    assert "the same file" in capsys.readouterr().out
    assert not (tmp_path / "same" / "most_different.png").exists()


def test_frames_without_labels(weights: Path, other: Path, root: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(root, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "labels")
    found = compared(weights, other, tmp_path / "out", "--data", str(tmp_path / "data"), "--most", "1")
    printed = capsys.readouterr().out
    assert "no scores: no frame has a label" in printed and "report:" in printed
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert found["scores"] is None and found["labelled"] == 0 and 0 < found["agreement"]["pixels"] < 1
    assert "no frame has a label" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "compare.csv").read_text().startswith("class,share_a,share_b,overlap\n")


def test_some_labels_score_those_frames_only(weights: Path, other: Path, root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "data")
    for name in ("00003", "00004"):
        (tmp_path / "data" / "labels" / f"{name}.png").unlink()
    words = ("--data", str(tmp_path / "data"), "--most", "0", "--resamples", "100")
    found = compared(weights, other, tmp_path / "some", *words)
    assert (found["frames"], found["labelled"], found["scores"]["all"]["frames"]) == (5, 3, 3)
    (tmp_path / "data" / "val.txt").write_text("00000\n")
    found = compared(weights, other, tmp_path / "one", *words)
    assert found["scores"]["all"]["miou"]["difference"] is not None
    assert found["scores"]["all"]["miou"]["interval"] is None, "one frame says nothing about others"


@pytest.mark.parametrize(
    "words,message",
    [
        (["--dta", "x"], "did you mean --data"),
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--dataset", "fmb"], "CompareConfig.data: not set; 'fmb' needs a folder"),
        (["--split", "tset"], "tset.txt"),
        (["--confidence", "95"], "CompareConfig.confidence: got 95"),
        (["--resamples", "3"], "resamples"),
        (["--cameras", "RGB"], "cameras"),
        (["--labl-set", "x"], "unknown option --labl-set; did you mean --label_set"),
        (["--label_set", "pst900"], "none but class 0 in common"),
    ],
)
def test_wrong_inputs_say_what_is_wrong(weights, other, root, tmp_path, capsys, words: list[str], message: str) -> None:
    words = words if "--data" in words or "--dataset" in words else ["--data", str(root), *words]
    with pytest.raises(SystemExit) as stop:
        compare.main([str(weights), str(other), "--output", str(tmp_path / "out"), *words])
    assert stop.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "out" / "compare.json").exists()


def test_other_classes_or_no_file_are_refused(weights: Path, root: Path, tmp_path: Path, capsys) -> None:
    strange = write_weights(tmp_path / "strange.safetensors", classes=("unlabeled", "car", "person", "tram"))
    for path, message in ((strange, "['bike', 'tram'] are not in both"), (tmp_path / "none.safetensors", "none.safe")):
        with pytest.raises(SystemExit) as stop:
            compare.main([str(weights), str(path), "--data", str(root), "--output", str(tmp_path / "out")])
        assert stop.value.code == 2 and message in capsys.readouterr().err


def test_interrupted(weights: Path, other: Path, root: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison_run, "mask_of", stop)
    with pytest.raises(SystemExit) as end:
        compare.main([str(weights), str(other), "--data", str(root), "--output", str(tmp_path)])
    assert end.value.code == 130 and "no report was written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_colours_tell_who_is_right() -> None:
    truth = np.array([[1, 1, 1, 255, 1, 0]], np.uint8)
    a = np.array([[1, 2, 2, 2, 1, 0]], np.uint8)
    b = np.array([[2, 1, 3, 1, 1, 0]], np.uint8)
    rgb = np.full((1, 6, 3), 100, np.uint8)
    colors = [ONLY_A_RIGHT, ONLY_B_RIGHT, BOTH_WRONG, NO_LABEL, (50, 50, 50), (50, 50, 50)]
    assert difference(rgb, truth, a, b)[0].tolist() == [list(color) for color in colors]
    differ = [NO_LABEL] * 4 + [(50, 50, 50)] * 2
    assert difference(rgb, None, a, b)[0].tolist() == [list(color) for color in differ]


def test_the_most_different_frames_are_kept() -> None:
    shown = MostDifferent(2, ((0, 0, 0), (9, 9, 9)))
    zero = np.zeros((4, 8), np.uint8)
    sample = Sample("", np.zeros((4, 8, 3), np.uint8), zero, None)
    for pixels in (3, 7, 0, 7, 5):
        mask = zero.copy()
        mask.flat[:pixels] = 1
        shown.offer(Sample(f"{pixels}", sample.rgb, zero, None), None, zero, mask)
    assert [frame.name for frame in shown.frames()] == ["7", "7"] and shown.frames()[0].differing == 7 / 32
    assert shown.frames()[0].strip().width == 5 * 320, "without a label there is no column of it"
