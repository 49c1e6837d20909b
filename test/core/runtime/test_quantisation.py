"""int8: made by frames, judged on others, kept, and given up where it would say something else."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from sartm_core.export.__main__ import main as export
from sartm_core.export.check import Difference
from sartm_core.model.sartm import SARTM
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.runtime.batching import FramePair
from sartm_core.runtime.engines import openvino
from sartm_core.runtime.graph.graph import FixedGraph, FoldedSARTM
from sartm_core.runtime.quantisation import frames, kept, quantise
from sartm_core.runtime.quantisation.calibration import Calibration, chosen
from sartm_core.runtime.quantisation.quantise import Report
from sartm_core.runtime.quantisation.restored import layers_of, restored
from sartm_core.runtime.quantisation.search import Layers, parts_of, search
from sartm_core.runtime.quantisation.verdict import Judge, Verdict, away_from_borders
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.classes import IGNORE
from test.core.conftest import make_frames, make_model, train_lora

SIZE = (64, 96)
GOOD, BAD = Verdict(0.999, 0.99, {"car": 0.001}, 4), Verdict(0.95, 0.9, {"car": 0.2}, 4)
REPORT = Report(GOOD, ("fusion.0.fuse",), {"fp32": 1.9})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = train_lora(make_model(fusion="mean", aux_head="none", heads="decoder")).eval()  # few layers
    model.info = replace(model.info, preprocess=PreprocessConfig(input_size=SIZE))
    return SARTM.save(model, tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(autouse=True)
def few_frames(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(openvino, "cpu_has_bf16", lambda: False)  # on all CPUs the same
    monkeypatch.setattr(frames, "MEASURED", 4)
    monkeypatch.setattr(frames, "JUDGED", 2)


@pytest.fixture
def nncf() -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("nncf", reason="nncf is not installed: pip install nncf")


def load(checkpoint: Path, precision: str = "int8", **options) -> Segmenter:
    return Segmenter.load(checkpoint, "cpu", precision, "openvino", threads=1, **options)


def as_asked(verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights have borders everywhere: what is said of them is given here."""
    monkeypatch.setattr(quantise.Judge, "__call__", lambda self, run: (run(*self.frames[0]), verdict)[1])


# The whole way, with NNCF


def test_int8_is_made_kept_and_found_by_auto(
    checkpoint: Path, nncf: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    as_asked(GOOD, monkeypatch)
    monkeypatch.setattr(quantise, "ratios", lambda run, others, frame: dict.fromkeys(others, 1.9))
    ((rgb, thermal),) = islice(frames.scenes(PreprocessConfig(SIZE), SIZE), 1)
    exact = load(checkpoint, "fp32")
    assert load(checkpoint, "auto").precision == "fp32"  # nothing was made yet, and `auto` makes nothing
    quantised = load(checkpoint)
    assert quantised.choice == "engine openvino (as asked for), int8 as asked for"
    pair = quantised.inputs(FramePair(rgb, thermal))
    both = torch.stack([one.scores(pair).flatten() for one in (exact, quantised)])
    assert 0.9 < torch.corrcoef(both)[0, 1] < 1 and (both[0] != both[1]).any()  # other numbers, about the same
    (about,) = kept.abouts(quantised.sha256).values()
    assert about.report == Report(GOOD, (), {"fp32": 1.9}) and about.frames == "synthetic scenes"
    monkeypatch.setattr(openvino, "in_int8", lambda *_: pytest.fail("made again"))
    for again in (load(checkpoint), load(checkpoint, "auto")):
        assert again.precision == "int8"
        assert (again.scores(pair) == quantised.scores(pair)).all()
    assert "int8; 64x96, by synthetic scenes: 99.90% of pixels as in float" in again.choice
    assert "1.90x as fast as fp32" in again.choice
    with caplog.at_level(logging.WARNING):  # a size that nobody quantised for: `auto` does not stop for minutes
        again(*make_frames(64, 64))
    assert "no int8 for" in caplog.text and again.precision == "fp32" and "fp32 instead" in again.choice


def test_a_network_that_int8_breaks_runs_in_float_and_names_its_layers(
    checkpoint: Path, nncf: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(openvino, "quantise", lambda network, *_: (network, replace(REPORT, verdict=BAD)))
    exact, rgb_thermal = load(checkpoint, "fp32"), make_frames(*SIZE)
    segmenter = load(checkpoint)
    with caplog.at_level(logging.WARNING):
        assert (segmenter(*rgb_thermal).mask == exact(*rgb_thermal).mask).all()
    assert "fusion.0.fuse in float" in caplog.text and "car loses most, 20.00 points of IoU" in caplog.text
    assert segmenter.precision == "fp32"
    assert load(checkpoint, "auto").precision == "fp32"


def test_a_damaged_network_is_made_again(
    checkpoint: Path, nncf: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = []
    monkeypatch.setattr(openvino, "quantise", lambda network, *_: (made.append(1), (network, REPORT))[1])
    segmenter = load(checkpoint)
    segmenter(*make_frames(*SIZE))
    file = kept.file_of(segmenter.sha256, SIZE)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    automatic = load(checkpoint, "auto")  # by the report, which is whole
    automatic(*make_frames(*SIZE))
    assert automatic.precision == "fp32" and made == [1] and "it was cut or overwritten" in caplog.text
    load(checkpoint)(*make_frames(*SIZE))
    assert made == [1, 1] and kept.read(segmenter.sha256, SIZE) is not None


def test_layers_in_float_give_what_they_gave(checkpoint: Path, nncf: None) -> None:
    network = openvino.convert(FixedGraph(FoldedSARTM(SARTM.load(checkpoint)), SIZE, pixels=True))
    inputs = frames.frames_of(Calibration(), PreprocessConfig(SIZE), SIZE, frames.Pixels.ALWAYS)
    coarse = quantise.quantised(network, inputs.measured)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    scores = {
        name: openvino.session_of(openvino.whole(one, options))(*inputs.judged[0])
        for name, one in {
            "exact": network,
            "coarse": coarse,
            "one": restored(coarse, network, layers_of(network)[-1:]),
            "all": restored(coarse, network, layers_of(network)),
        }.items()
    }
    off = {name: np.abs(one - scores["exact"]).max() for name, one in scores.items()}
    assert off["coarse"] > 0 and (scores["one"] != scores["coarse"]).any()
    assert off["all"] < 0.2 * off["coarse"]


def test_an_exported_file_carries_it(
    checkpoint: Path, nncf: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    as_asked(GOOD, monkeypatch)
    monkeypatch.setattr(quantise, "ratios", lambda run, others, frame: dict.fromkeys(others, 1.9))
    monkeypatch.setattr(Difference, "is_good", lambda *_: True)  # random weights
    options = ["--format", "openvino", "--precision", "int8", "--checkpoint", str(checkpoint), "--camera", "64x96"]
    assert export([*options, "--output", str(tmp_path / "a.xml")]) == 0
    said = capsys.readouterr().out
    assert "network 64x96 int8" in said and "int8: 99.90% of pixels as in float" in said and "1.90x" in said
    text, weights = (tmp_path / name for name in ("a.xml", "a.bin"))
    assert "FakeQuantize" in text.read_text() and weights.read_bytes() != b""
    for precision in ("auto", "int8"):
        segmenter = Segmenter.load(text, precision=precision)
        assert (segmenter.engine, segmenter.precision) == ("openvino", "int8")
    ((rgb, thermal),) = islice(frames.scenes(PreprocessConfig(SIZE), SIZE), 1)
    exact = load(checkpoint, "fp32")
    scores = [one.scores(one.inputs(FramePair(rgb, thermal))).flatten() for one in (exact, segmenter)]
    assert 0.9 < torch.corrcoef(torch.stack(scores))[0, 1] < 1
    with pytest.raises(ValueError, match="precision: 'fp32' asked for, but a.xml runs in int8"):
        Segmenter.load(text, precision="fp32")


# Its parts


def test_without_nncf_the_command_is_named(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(quantise, "QUANTISER", "nncf_that_nobody_has")
    with pytest.raises(ValueError, match=r"precision: 'int8' asked for, but nncf is not installed.*pip install nncf"):
        load(checkpoint)


def test_what_makes_no_sense_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="calibration: given with precision fp32, but it is for int8 only"):
        Segmenter.load(checkpoint, "cpu", "fp32", "torch", calibration="frames")
    with pytest.raises(ValueError, match="precision: 'int8' asked for, but engine torch offers"):
        Segmenter.load(checkpoint, "cpu", "int8", "torch")
    with pytest.raises(ValueError, match="calibration: found 3 frames, expected at least 6"):
        chosen(["a", "b", "c"])


BREAKS = {"trunk.blocks.0.up", "trunk.blocks.3.down"}


def test_search_finds_the_layers_that_break_it() -> None:
    layers = [f"trunk.blocks.{i}.{name}" for i in range(6) for name in ("up", "down")] + ["fusion.0.fuse", "decoder"]
    asked = []

    def judge(in_float: Layers) -> Verdict:
        asked.append(in_float)
        left = len(BREAKS - set(in_float))
        return replace(GOOD, same=1 - 0.02 * left - 1e-4 * (len(layers) - len(in_float)))

    found = search(layers, judge)
    assert found.verdict.is_good and set(found.layers) >= BREAKS and len(found.layers) <= 3
    assert len(asked) == len(set(asked)) < 2 * len(layers)
    assert search(layers, lambda _: GOOD).layers == ()
    assert not search(layers, lambda _: BAD).verdict.is_good


def test_parts_differ_in_their_first_name() -> None:
    assert parts_of(("a.b.0.x", "a.b.0.y", "a.b.1.x", "a.b")) == [("a.b.0.x", "a.b.0.y"), ("a.b.1.x",), ("a.b",)]
    assert parts_of(("a.b",)) == [("a.b",)]


def test_a_verdict_counts_pixels_and_what_a_class_loses() -> None:
    scores = np.zeros((1, 2, 16, 16), np.float32)
    scores[0, 1, 4:12, 4:12] = 1
    scores[0, 0] = 1 - scores[0, 1]
    frame = tuple(np.zeros(1) for _ in range(3))
    judge = Judge(lambda *_: scores, [frame], ("ground", "car"))
    assert judge(lambda *_: scores) == Verdict(1.0, 1.0, {"ground": 0.0, "car": 0.0}, 1)
    moved = np.roll(scores, 1, 2)  # by less than the border's width
    verdict = judge(lambda *_: moved)
    assert verdict.same < 1 and verdict.lost["car"] == 0 and not verdict.is_good
    half = scores.copy()
    half[0, :, 8:12, 4:12] = half[0, :, :1, :1]
    assert judge(lambda *_: half).lost["car"] == pytest.approx(0.5, abs=0.1)


def test_borders_are_left_out() -> None:
    mask = np.zeros((8, 20), np.int64)
    mask[:, 10:] = 1
    inner = away_from_borders(mask)
    assert (inner[:, 6:14] == IGNORE).all() and (inner[:, :6] == 0).all() and (inner[:, 14:] == 1).all()


def test_one_camera_is_missing_now_and_then() -> None:
    inputs = frames.frames_of(Calibration(), PreprocessConfig(SIZE), SIZE, frames.Pixels.NEVER)
    assert (len(inputs.measured), len(inputs.judged)) == (4, 2)
    rgb, thermal, present = inputs.judged[0]
    assert rgb.shape == (1, 3, *SIZE) and thermal.shape == (1, 1, *SIZE) and present.all()
    alone = [frames.as_input(*make_frames(*SIZE), i, PreprocessConfig(SIZE), frames.Pixels.NEVER)[2] for i in range(16)]
    assert [tuple(one) for one in alone if not one.all()] == [(False, True), (True, False)]
