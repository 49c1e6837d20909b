"""`sartm benchmark` from its options to its files."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sartm_core.benchmark import __main__ as benchmark
from sartm_core.benchmark import lane as lane_module
from sartm_core.benchmark import run as benchmark_run
from sartm_core.benchmark import startup
from sartm_core.benchmark.compare import compare
from sartm_core.benchmark.config import BenchmarkConfig
from sartm_core.benchmark.lane import Lane
from sartm_core.benchmark.machine import THREADS, cpus, environment, limited
from sartm_core.benchmark.results import Row
from sartm_core.benchmark.session import Session, Way
from sartm_core.benchmark.subjects import Frames, make_frames, random_model, weights_from, weights_of
from sartm_core.runtime.engines import ENGINES
from sartm_core.runtime.opening import DEFAULT
from sartm_core.support.device import pick_device
from test.core.benchmark.test_benchmark_worker import Refusing
from test.core.conftest import LITE0

SIZE = (64, 96)
LARGE = 1 << 25
"""Numbers of 8 bytes: more than a busy machine takes back of a process meanwhile."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any], Path]:
    """A real run, processes and all: text, JSON, folder."""
    folder = tmp_path_factory.mktemp("benchmark")
    arguments = "--resolutions 64x96 --engine torch --precision fp32 --device cpu --threads 1 --runs 5 --warmup 0"
    more = "--agreement-frames 2 --startup false --output"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark_run, "SQUARE", 256)
        assert benchmark.main([*arguments.split(), *more.split(), str(folder)]) == 0
    return (folder / "benchmark.md").read_text(), json.loads((folder / "benchmark.json").read_text()), folder


@pytest.fixture
def way(tmp_path: Path) -> Way:
    """The shipped weights on one small frame."""
    frames = make_frames(1, SIZE).save(tmp_path / "frames.npz")
    weights = weights_of(LITE0, tmp_path)
    return Way(weights, SIZE, frames, "torch", "fp32", "cpu", 1, str(tmp_path / "caches"))


def test_a_run_says_the_same_to_people_and_programs(run) -> None:
    text, found, _ = run
    assert found["machine"]["threads"] == 1 and found["settings"]["runs"] == 5
    (only,) = found["cases"]
    (row,) = only["rows"]
    assert row["ran"]["engine"] == "torch" and row["ran"]["precision"] == "fp32" and row["ran"]["choice"]
    assert only["baseline"]["forward"]["runs"] == row["forward"]["runs"] == 5
    assert row["ratios"]["speedup"] == pytest.approx(only["baseline"]["forward"]["p50"] / row["forward"]["p50"])
    assert set(only["rates"]) == {"fp32"} and only["rates"]["fp32"]["products_ms"] > 0
    cells = next(line for line in text.splitlines() if line.startswith("| torch"))
    assert f" {row['forward']['p50']:.1f} " in cells and f" {row['ratios']['speedup']:.2f} " in cells
    assert f"## {LITE0} at 64x96 (shipped)" in text and "Fastest: torch in fp32" in text


def test_a_run_measures_every_stage_memory_and_agreement(run) -> None:
    row = run[1]["cases"][0]["rows"][0]
    for kind in ("mask", "confidence"):
        stages = {name: spread["p50"] for name, spread in row[kind].items()}
        assert set(stages) == {"preprocess", "forward", "postprocess", "total"} and min(stages.values()) > 0
        assert stages["total"] > stages["forward"]
    assert row["memory"]["allowed"] > 1e6 and row["memory"]["starting"] > 0
    assert row["agreement"]["frames"] == 2 and row["agreement"]["equal_least"] > 0.99
    assert 0 < row["agreement"]["logit_difference"] < 1e-3 < row["agreement"]["logit_range"]


def test_comparing_with_itself_changes_nothing(run) -> None:
    path = run[2] / "benchmark.json"
    text = compare(path, path)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    (torch_line,) = (cells for cells in lines if cells[2] == "torch")
    assert torch_line[:4] == [LITE0, "64x96", "torch", "fp32"] and torch_line[4:7] == ["1.00"] * 3
    assert torch_line[-1] == torch_line[-2] and torch_line[8] == "-", "no start-up was measured"
    assert "WARNING" not in text and "note" not in text


def other_run(run, folder: Path, **machine: Any) -> Path:
    """The run as if another machine had done it, and twice as fast."""
    found = json.loads(json.dumps(run[1]))
    found["machine"] |= machine
    for row in found["cases"][0]["rows"]:
        row["forward"]["p50"] /= 2
    path = folder / "other.json"
    path.write_text(json.dumps(found))
    return path


def test_comparing_prints_b_over_a(run, tmp_path: Path, capsys) -> None:
    other = other_run(run, tmp_path, sartm="9.9")
    assert benchmark.main(["--compare", str(run[2] / "benchmark.json"), str(other)]) == 0
    text = capsys.readouterr().out
    assert "| torch            | fp32      | 0.50 " in text and "note: SARTM: A has" in text


def test_other_machines_are_refused_unless_asked_for(run, tmp_path: Path, capsys) -> None:
    files = [str(run[2] / "benchmark.json"), str(other_run(run, tmp_path, threads=8))]
    with pytest.raises(SystemExit) as stop:
        benchmark.main(["--compare", *files])
    assert stop.value.code == 2 and "threads: A has 1, B has 8" in capsys.readouterr().err
    assert benchmark.main(["--compare", *files, "--anyway"]) == 0
    assert "WARNING: threads: A has 1, B has 8" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other"}', '{"format": "sartm-benchmark", "version": 0}'])
def test_files_that_are_no_benchmark_are_named(text: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SystemExit) as stop:
        benchmark.main(["--compare", str(tmp_path / "a.json"), str(tmp_path / "a.json")])
    assert stop.value.code == 2 and "a.json" in capsys.readouterr().err


def test_what_cannot_run_says_why_and_the_others_go_on(way: Way, monkeypatch) -> None:
    refused = replace(way, engine="onnxruntime", precision="bf16")
    with pytest.raises(ValueError, match="onnxruntime"):  # not installed, or no bf16 there
        Session(refused)
    monkeypatch.setattr(lane_module, "Session", Refusing)
    lane = Lane(Row("onnxruntime", "bf16"), refused)
    lane.open(0)
    assert not lane.alive and lane.row.why_not == "onnxruntime cannot do bf16"
    lane.turn(0)
    lane.summarize()
    assert lane.ask("peak") is None and lane.row.forward is None


def test_a_session_times_watches_and_answers(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    session, call = Session(way), Session.call
    monkeypatch.setattr(Session, "call", lambda *args: call(*args) if np.ones(LARGE).any() else None)
    session.warm_up(0)
    turn = session.turn(0)
    assert turn.forward > 0 and turn.mask["total"] > turn.mask["forward"]
    assert session.call(0, False)[0].confidence is None and session.call(0, True)[0].confidence is not None
    assert session.scores(0).shape == (len(session.segmenter.classes), 16, 24)
    assert session.peak().starting > 0  # LARGE at least, less what the machine takes back of many tests' memory


def test_a_start_is_timed_from_outside(way: Way) -> None:
    seconds, stages = startup.start(way)
    assert set(stages) == {"imports", "load", "mask"} and min(stages.values()) > 0
    assert seconds > sum(stages.values())


@pytest.mark.parametrize("end,said", [("sys.exit('noise\\nno tape')", "no tape"), ("pass", "ended with exit code 0")])
def test_a_start_that_fails_says_why(way: Way, monkeypatch, end: str, said: str) -> None:
    monkeypatch.setattr(startup, "CHILD", f"import sys; print('hello'); {end}")
    with pytest.raises(startup.WorkerError, match=said):
        startup.start(way)


def test_every_engine_in_the_table_is_tried_as_it_offers_itself() -> None:
    device = pick_device("cpu")
    ways = BenchmarkConfig(device="cpu").ways
    assert {engine for engine, _ in ways} == set(ENGINES)
    for name, kind in ENGINES.items():
        assert [p for engine, p in ways if engine == name] == list(kind.precisions(device) or ("auto",))
    asked = BenchmarkConfig(engine=("auto", "torch"), precision=("bf16", "bf16")).ways
    assert asked == [("auto", "bf16"), ("torch", "bf16")]


def test_random_models_are_the_same_every_time_and_nothing_is_zero(tmp_path: Path) -> None:
    first, second = (random_model("hiera_nano").state_dict() for _ in range(2))
    assert all(first[name].equal(second[name]) for name in first)
    assert all(first[name].abs().max() > 0 for name in first if name.endswith("lora_b"))
    assert weights_of(LITE0, tmp_path).checkpoint == DEFAULT and not list(tmp_path.iterdir())
    assert weights_from(DEFAULT, None).backbone == LITE0
    other = "timm:convnext_atto.d2_in1k"  # no name for a file
    assert weights_from(weights_of(other, tmp_path).checkpoint, None).backbone == other


def test_frames_of_a_folder_are_spread_and_fitted(tmp_path: Path) -> None:
    for kind in ("rgb", "thermal"):
        (tmp_path / kind).mkdir()
        for i in range(4):
            shape = (48, 64, 3) if kind == "rgb" else (48, 64)
            Image.fromarray(np.full(shape, 10 * i, np.uint8)).save(tmp_path / kind / f"{i}.png")
    frames = make_frames(2, SIZE, str(tmp_path))
    assert frames.rgb.shape == (2, *SIZE, 3) and frames.thermal.shape == (2, *SIZE)
    assert [int(frame.max()) for frame in frames.thermal] == [0, 20]
    assert len(make_frames(9, SIZE, str(tmp_path))) == 4
    again = Frames.load(frames.save(tmp_path / "frames.npz"))
    assert np.array_equal(again.rgb, frames.rgb) and np.array_equal(again.thermal, frames.thermal)


def test_synthetic_frames_are_what_an_8_bit_camera_gives() -> None:
    frames = make_frames(2, SIZE)
    assert frames.thermal.dtype == np.uint8 and (frames.thermal.min(), frames.thermal.max()) == (0, 255)
    assert not np.array_equal(frames.rgb[0], frames.rgb[1])


def test_limits_hold_for_what_is_started_within_and_end() -> None:
    before, own = os.environ.get(THREADS), cpus()
    with limited(1), environment({"SARTM_TEST": "x"}):
        assert os.environ[THREADS] == "1" and len(cpus()) == 1 and os.environ["SARTM_TEST"] == "x"
    assert os.environ.get(THREADS) == before and cpus() == own and "SARTM_TEST" not in os.environ


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["--backbones", "xl"], "BenchmarkConfig.backbones: got 'xl'"),
        (["--engine", "tourch"], "did you mean 'torch'"),
        (["--precision", "int3"], "BenchmarkConfig.precision: got 'int3'"),
        (["--resolutions", "480x641"], "resolutions: got '480x641', expected HEIGHTxWIDTH in multiples of 32"),
        (["--runs", "4"], "BenchmarkConfig.runs: got 4, expected at least 5"),
        (["--backbones", "t", "--checkpoint", "x"], "backbones: given together with checkpoint"),
        (["--device", "tpu"], "BenchmarkConfig.device: got 'tpu'"),
        (["--checkpoint", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--data", "nowhere"], "nowhere"),
        (["--agreement-frame", "3"], "did you mean --agreement_frames"),
    ],
)
def test_wrong_options_are_named(capsys, arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as stop:
        benchmark.main(arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_training_is_handed_on(monkeypatch, tmp_path: Path, capsys) -> None:
    from sartm_core.benchmark import training

    seen = []
    monkeypatch.setattr(training, "run", lambda *args: seen.append(args) or {"steps": args[1]})
    monkeypatch.setattr(training, "report", lambda result: f"{result['steps']} steps\n")
    config = Path(__file__).resolve().parents[3] / "config" / "train" / "synthetic.yaml"
    arguments = ["--training", str(config), "--steps", "7", "--threads", "2", "--output", str(tmp_path / "out")]
    assert benchmark.main(arguments) == 0
    assert capsys.readouterr().out == (tmp_path / "out" / "training.md").read_text() == "7 steps\n"
    assert json.loads((tmp_path / "out" / "training.json").read_text()) == {"steps": 7}
    assert seen[0][0].model.backbone == "hiera_nano" and seen[0][1:] == (7, 2)


def test_help_explains_every_option(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        benchmark.main(["--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0 and "--agreement_frames N" in text and "[default: 480x640]" in text


def test_ctrl_c_leaves_no_file_and_no_traceback(monkeypatch, tmp_path: Path, capsys) -> None:
    def interrupted(config: BenchmarkConfig) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "benchmark", interrupted)
    with pytest.raises(SystemExit) as stop:
        benchmark.main(["--output", str(tmp_path / "out")])
    assert stop.value.code == 130 and "interrupted" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())
