"""`sartm evaluate`: protocol, report files, options and wrong inputs."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from sklearn.metrics import jaccard_score

from sartm_core.evaluate import __main__ as evaluate
from sartm_core.evaluate import protocol, report, run
from sartm_core.evaluate.config import CAMERAS, EvaluateConfig
from sartm_core.evaluate.tta import Views
from sartm_core.model.checkpoint import sha256
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.classes import FMB, MFNET
from test.core.conftest import PLAIN, make_frames, make_model
from test.core.evaluate.test_evaluate import CLASSES, SIZE, StubSegmenter, sample, write_weights


def write_folder(root: Path, names: tuple[str, ...] = ("00001D", "00002N", "00003N")) -> Path:
    """Pairs of 48x64 with labels of MFNet's ids and `val.txt`."""
    rng = np.random.default_rng(1)
    for kind in ("rgb", "thermal", "labels"):
        (root / kind).mkdir(parents=True)
    for shift, name in enumerate(names):
        rgb, thermal = (np.roll(image, 7 * shift, axis=1) for image in make_frames())
        Image.fromarray(rgb).save(root / "rgb" / f"{name}.png")
        Image.fromarray(thermal).save(root / "thermal" / f"{name}.png")
        label = rng.choice(np.array([0, 1, 2, 4, 255], np.uint8), thermal.shape)
        Image.fromarray(label).save(root / "labels" / f"{name}.png")
    (root / "val.txt").write_text("\n".join(names) + "\n")
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "data")


class Page(HTMLParser):
    """Collects sources of images and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.images, self.text = [], [], ""

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"])
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_command_writes_a_report_that_agrees_with_an_independent_count(
    weights: Path, root: Path, tmp_path: Path, capsys
) -> None:
    output = tmp_path / "eval"
    command = ["--checkpoint", str(weights), "--data", str(root), "--output", str(output), "--device", "cpu"]
    assert evaluate.main([*command, "--worst", "2"]) == 0
    printed = capsys.readouterr().out
    content = json.loads((output / "evaluation.json").read_text())
    assert set(content["scores"]) == set(CAMERAS) and content["protocol"]["frames"] == {"all": 3, "day": 1, "night": 2}

    segmenter = Segmenter.load(weights, **PLAIN)
    guess, truth = [], []
    for name in ("00001D", "00002N", "00003N"):
        rgb, thermal, label = (np.array(Image.open(root / k / f"{name}.png")) for k in ("rgb", "thermal", "labels"))
        label[label == 4] = 0  # curve, which these weights do not know
        guess.append(segmenter(rgb, thermal).mask[label != 255])
        truth.append(label[label != 255])
    expected = jaccard_score(np.concatenate(truth), np.concatenate(guess), labels=[0, 1, 2], average=None)
    row = content["scores"]["rgb+thermal"]["all"]
    assert list(row["iou"].values())[:3] == pytest.approx(list(expected))
    assert row["true_pixels"]["bike"] == 0, "written without"
    assert row["miou"] == row["conventions"]["all/skip"]["miou"], "the usual one of own data"

    with open(output / "per_class.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 * 3 * 4
    for line in lines:
        value = content["scores"][line["cameras"]][line["group"]]["iou"][line["class"]]
        assert line["iou"] == ("" if value is None else repr(value))

    page = Page()
    page.feed((output / "report.html").read_text(encoding="utf-8"))
    assert not page.open and page.images == [
        "confusion.png", "reliability.png", "worst_frames/01.png", "worst_frames/02.png",
    ]  # fmt: skip
    for name in page.images:
        assert len(np.unique(np.array(Image.open(output / name)))) > 10
    assert all(
        text in page.text for text in (sha256(weights), "all/zero", "guardrail", content["worst_frames"][0]["frame"])
    )
    assert all(text in printed for text in (sha256(weights), "no-background/skip", "all/skip *", "rgb+thermal"))
    assert {path.name for path in output.iterdir()} == {
        "evaluation.json", "per_class.csv", "confusion.png", "reliability.png", "report.html", "worst_frames",
    }  # fmt: skip

    assert evaluate.main([*command, "--worst", "1", "--cameras", "thermal"]) == 0
    assert [path.name for path in (output / "worst_frames").iterdir()] == ["01.png"], "no picture of the run before"


def test_protocol_says_how_the_weights_were_chosen_and_what_does_not_fit(weights: Path, root: Path) -> None:
    segmenter = Segmenter.load(weights, **PLAIN)
    config = EvaluateConfig(checkpoint=str(weights), data=str(root))
    facts = protocol.protocol(config, "folder", segmenter, MFNET.names, weights, [])
    assert facts["selection"] == "best mean validation mIoU on folder 'data' split 'val', epoch 3, step 40"
    assert facts["warning"] == "frames of this split chose these weights: the numbers are optimistic"
    assert facts["label_classes_scored_as_class_0"] == ["curve", "car_stop", "guardrail", "color_cone", "bump"]
    assert str(root.parent) not in json.dumps(facts), "no path of this machine"
    assert torch.__version__.startswith(facts["software"]["torch"])
    other = protocol.protocol(replace(config, split="train"), "folder", segmenter, CLASSES, weights, [])
    assert "trained" in other["warning"] and "note" not in other and "note" in facts
    assert "warning" not in protocol.protocol(replace(config, split="test"), "folder", segmenter, CLASSES, weights, [])
    given = {"selection": "best epoch on test", "epoch": 9}
    assert protocol.selection(given) == "best epoch on test, epoch 9" and "unknown" in protocol.selection({})


def test_absent_classes_that_were_predicted_are_named() -> None:
    label = np.zeros(SIZE, np.uint8)
    guess = label.copy()
    guess[0, :5] = 3
    result = run.evaluate(StubSegmenter(), [sample("a", label, guess)], MFNET, ("rgb", "thermal"), Views())
    facts = protocol.after(result, evaluate.all_scores(result, CLASSES, evaluate.usual("mfnet")))
    assert facts["classes_without_a_true_pixel"] == ["car", "person", "bike"]
    assert facts["pixels_called_those_classes_all_the_same"]["bike"] == {"rgb": 5, "thermal": 0}


def test_synthetic_scenes_from_a_config_file_with_overrides(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(
        yaml.safe_dump({"synthetic": 9, "conditions": ["night", "fog"], "cameras": ["thermal"], "worst": 0})
    )
    command = ["--config", str(path), "--checkpoint", str(weights), "--synthetic", "1", "--conditions", "fog"]
    assert evaluate.main([*command, "--output", str(tmp_path / "eval")]) == 0
    content = json.loads((tmp_path / "eval" / "evaluation.json").read_text())
    assert list(content["scores"]) == ["thermal"] and list(content["scores"]["thermal"]) == ["all", "fog"]
    facts = content["protocol"]
    assert (facts["scenes"], facts["seed"], facts["conditions"]) == (1, 20_000_000, ["fog"])
    assert content["worst_frames"] == []


@pytest.mark.parametrize(
    "words,expected",
    [
        (["--scales", "0.75", "1"], {"scales": (0.75, 1.0)}),
        (["--scales", "[0.75, 1]"], {"scales": (0.75, 1.0)}),
        (["--scales", "2", "--flip"], {"scales": (2.0,), "flip": True}),
        (["--flip", "false", "--conditions", "night", "day"], {"flip": False, "conditions": ("night", "day")}),
        (["--data", "x", "--split", "", "--label-set", "fmb"], {"split": None, "label_set": "fmb"}),
        (["--data", "2024-11-03", "--split", "on"], {"data": "2024-11-03", "split": "on"}),
    ],
)
def test_options(words: list[str], expected: dict, tmp_path: Path, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(evaluate, "run", lambda config, output: seen.append(config) or "")
    assert evaluate.main([*words, "--output", str(tmp_path)]) == 0
    assert {name: getattr(seen[0], name) for name in expected} == expected


def test_an_interrupted_evaluation_leaves_the_report_before_it(
    weights: Path, root: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    output = tmp_path / "eval"
    command = ["--checkpoint", str(weights), "--data", str(root), "--output", str(output), "--cameras", "rgb"]
    assert evaluate.main(command) == 0
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for place in ((run, "segment_with_confidence"), (report, "html_page")):
        with monkeypatch.context() as patched, pytest.raises(SystemExit) as end:
            patched.setattr(*place, stop)
            evaluate.main(command)
        assert end.value.code == 130 and "no report was written" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "change,words,message",
    [
        ("", ["--chekpoint", "x"], "did you mean --checkpoint"),
        ("", ["--config", "{root}/e.yaml"], "dataa: unknown key of EvaluateConfig; did you mean 'data'?"),
        ("", ["--checkpoint", "nowhere.safetensors"], "no file nowhere.safetensors"),
        ("", ["--data", "nowhere"], "nowhere: no such folder"),
        ("", ["--split", "tset"], "tset.txt"),
        ("", ["--dataset", "pst90"], "did you mean 'pst900'"),
        ("", ["--dataset", "synthetic"], "EvaluateConfig.data"),
        ("", ["--data", "null", "--dataset", "fmb"], "EvaluateConfig.data: not set; 'fmb' needs a folder"),
        ("", ["--cameras", "RGB"], "EvaluateConfig.cameras"),
        ("", ["--scales", "0"], "EvaluateConfig.scales: got (0.0,)"),
        ("", ["--conditions", "rain"], "EvaluateConfig.conditions"),
        ("", ["--label-set", "pst900"], "none but class 0 in common"),
        ("no label", [], "frame '00002N' has none"),
        ("odd ids", [], "frame '00003N' holds ids [77]"),
    ],
)
def test_wrong_inputs_say_what_is_wrong(
    weights: Path, root: Path, tmp_path: Path, capsys, change: str, words: list[str], message: str
) -> None:
    (root / "e.yaml").write_text("dataa: x\n")
    if change == "no label":
        (root / "labels" / "00002N.png").unlink()
    if change == "odd ids":
        Image.fromarray(np.full((48, 64), 77, np.uint8)).save(root / "labels" / "00003N.png")
    words = [word.format(root=root) for word in words]
    command = [
        "--checkpoint",
        str(weights),
        "--data",
        str(root),
        "--cameras",
        "rgb",
        "--output",
        str(tmp_path / "eval"),
    ]
    with pytest.raises(SystemExit) as stop:
        evaluate.main([*command, *words])
    assert stop.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "eval" / "evaluation.json").exists()


def test_an_output_that_is_a_file_is_refused_before_the_work(weights: Path, root: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "eval").write_text("")
    with pytest.raises(SystemExit):
        evaluate.main(["--checkpoint", str(weights), "--data", str(root), "--output", str(tmp_path / "eval")])
    assert "eval" in capsys.readouterr().err


def test_fmb_as_published_prints_its_six_numbers(tmp_path: Path, capsys) -> None:
    rng = np.random.default_rng(0)
    for kind in ("Visible", "Infrared", "Label"):
        (tmp_path / "test" / kind).mkdir(parents=True)
    for name in ("00001", "00002"):
        rgb, thermal = make_frames()
        Image.fromarray(rgb).save(tmp_path / "test" / "Visible" / f"{name}.png")
        Image.fromarray(thermal).save(tmp_path / "test" / "Infrared" / f"{name}.png")
        label = rng.choice(np.array([i for i in range(15) if i != 13], np.uint8), thermal.shape)  # no bicycle
        Image.fromarray(label).save(tmp_path / "test" / "Label" / f"{name}.png")
    model = make_model(classes=FMB.names)
    model.info = replace(model.info, preprocess=PreprocessConfig(input_size=SIZE))
    weights = model.save(tmp_path / "fmb.safetensors")
    output = tmp_path / "eval"
    command = ["--data", str(tmp_path), "--split", "test", "--checkpoint", str(weights), "--output", str(output)]
    assert evaluate.main([*command, "--cameras", "rgb+thermal"]) == 0
    content = json.loads((output / "evaluation.json").read_text())
    facts, row = content["protocol"], content["scores"]["rgb+thermal"]["all"]
    assert facts["dataset"] == "fmb" and facts["classes_without_a_true_pixel"] == ["bicycle"] and "note" not in facts
    iou = [row["iou"][name] or 0.0 for name in FMB.names]
    means = {name: values["miou"] for name, values in row["conventions"].items()}
    assert means["all/zero"] == pytest.approx(sum(iou) / 15) == pytest.approx(row["miou"])
    assert means["no-background/zero"] == pytest.approx(sum(iou[1:]) / 14)
    bicycle_predicted = row["predicted_pixels"]["bicycle"] > 0
    assert means["no-background/skip"] == pytest.approx(sum(iou[1:]) / (14 if bicycle_predicted else 13))
    confusion = np.array(row["confusion"])[1:]  # (14, 15): the rows of background are not there
    hit = np.diag(confusion[:, 1:])
    iou = hit / np.maximum(confusion[:, 1:].sum(axis=0) + confusion.sum(axis=1) - hit, 1)
    assert means["background-ignored/zero"] == pytest.approx(iou.sum() / 14)
    printed = {tuple(line.split()[:2]) for line in capsys.readouterr().out.splitlines() if "/" in line}
    of_14 = [f"{kind}/{absent}" for kind in ("no-background", "background-ignored") for absent in ("zero", "skip")]
    assert {("all/zero", "*"), ("all/skip", "15"), *((name, "14") for name in of_14)} <= printed
