"""The benchmark of the node: its arithmetic on given moments, and a short run of all its processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")
from hypothesis import given
from hypothesis import strategies as st

from sartm_ros import benchmark
from sartm_ros.benchmarking import frames, measures, report, stages, usage
from sartm_ros.benchmarking.plan import Plan
from sartm_ros.benchmarking.search import RESOLUTION, find_peak
from sartm_ros.companions.camera_info import camera as camera_of
from sartm_ros.companions.topics import DEPTH, RGB_INFO, THERMAL_INFO
from sartm_ros.frames.images import depth_image, parse
from sartm_ros.inference.inference import tell_system
from sartm_ros.inference.timing import Trace, beside_to_json, to_json
from sartm_ros.outputs.table import TABLE
from sartm_ros.replay.sources import Pair
from test.patience import patience
from test.ros.processes import ROOT

pytestmark = pytest.mark.alone


def test_the_numbers_of_a_run():
    sent = [(100 + k, 10.0 + k * 0.1, 10.0 + k * 0.1) for k in range(5)]
    masks = [(100, 10.02), (101, 10.13), (103, 10.34), (104, 10.41)]
    found = measures.run(sent, masks)
    assert (found["sent"], found["received"], found["missed"]) == (5, 4, 1)
    assert found["missed_share"] == pytest.approx(0.2)
    assert found["sent_hz"] == pytest.approx(10) and found["received_hz"] == pytest.approx(3 / 0.39)
    latency = found["latency_ms"]
    assert (latency["first"], latency["last"], latency["max"]) == pytest.approx((20, 10, 40))
    assert latency["p50"] == pytest.approx(25)
    assert found["jitter_ms"]["mean"] == pytest.approx((100 + 140) / 2)  # gaps of 110, 210 and 70 ms
    assert found["jitter_ms"]["max"] == pytest.approx(140)


def test_a_run_without_masks_has_no_latency():
    found = measures.run([(1, 0.0, 0.0), (2, 0.1, 0.1)], [])
    assert found["missed"] == 2 and found["missed_share"] == 1
    assert found["latency_ms"]["p50"] is None and found["received_hz"] is None and found["jitter_ms"]["mean"] is None


def test_medians_over_runs_leave_out_what_is_unknown():
    runs = [{"a": {"b": value}, "list": [1]} for value in (3, None, 1)]
    assert measures.medians(runs) == {"a": {"b": 2}}


MOMENTS = Trace(
    arrived=1.008, received=1.010, posted=1.011, taken=1.013, converting=1.013, converted=1.015,
    asked=1.016, answered=1.046, built=1.047, sent=1.049, done=1.050,
)  # fmt: skip
MODEL_MS = {"preprocess": 4.0, "forward": 20.0, "postprocess": 5.0}


@pytest.mark.parametrize(("free", "busy", "wake"), [(0.0, 0.0, 2.0), (1.0125, 1.5, 0.5), (1.02, 2.0, 0.0)])
def test_stages_fill_the_time_and_overhead_leaves_out_the_model(free, busy, wake):
    row = stages.stages(MOMENTS, MODEL_MS, published=1.004, received=1.053, free=free)
    assert (row["busy model"], row["wake the model"]) == pytest.approx((busy, wake))
    assert (row["to the node"], row["take"], row["convert"]) == pytest.approx((4, 2, 3))
    assert row["to the reader"] == pytest.approx(4)
    assert row["around the model"] == pytest.approx(1)
    assert sum(row[name] for name in stages.STAGES) == pytest.approx((1.053 - 1.004) * 1e3)
    assert row[stages.NODE] == pytest.approx(39)
    assert row[stages.OVERHEAD] == pytest.approx(39 - 20 - busy)


def test_stages_are_told_of_frames_of_this_run_only():
    told = [to_json(MOMENTS, stamp, 0.0, MODEL_MS, {}) for stamp in (1, 2, 3)]
    found = stages.breakdown([(2, 1.004, 1.005)], [(2, 1.053), (3, 1.1)], told)
    assert set(found) == {*stages.STAGES, stages.NODE, stages.OVERHEAD}
    assert found["forward"]["p50"] == 20 and found["busy model"]["p50"] == pytest.approx(
        2
    )  # until the mask before was done
    assert stages.breakdown([], [], told) == {}


def test_outputs_are_told_with_the_mask_or_later_and_each_has_its_own_percentiles():
    spans = {"semantic_mask": (1.0, 1.001, 1.003, 0.002)}
    later = {"cloud": (1.01, 1.03, 1.04, 0.015)}
    told = [to_json(MOMENTS, 2, 0.0, MODEL_MS, spans), beside_to_json(2, later)]
    found = stages.outputs(told)
    assert [found["semantic_mask"][part]["p50"] for part in stages.PARTS] == pytest.approx([1, 2, 2])
    assert [found["cloud"][part]["p50"] for part in stages.PARTS] == pytest.approx([20, 10, 15])
    assert stages.breakdown([(2, 1.004, 1.005)], [(2, 1.053)], told)["forward"]["p50"] == 20


def test_what_outputs_need_beside_the_cameras_is_played():
    plan = Plan(listen=("all",), image_size="48x64")
    assert "cloud" in plan.topics and plan.topics == tuple(output.name for output in TABLE)
    sent = frames.beside(plan)
    camera = camera_of(sent[RGB_INFO], rectified=False)
    assert camera.size == (64, 48) and set(sent) == {RGB_INFO, THERMAL_INFO, DEPTH}
    depth = depth_image(sent[DEPTH], "depth")
    assert depth.shape == (48, 64) and depth.min() >= 500 and depth.max() == frames.FAR


@given(st.floats(0.3, 400), st.floats(0.5, 300))
def test_the_search_finds_the_highest_rate_that_holds(limit, guess):
    tried: list[float] = []
    found = find_peak(lambda rate: tried.append(rate) or rate <= limit, 0.5, 240, guess)
    assert all(0.5 <= rate <= 240 for rate in tried) and len(tried) < 20
    if limit < 0.5:
        assert found is None
    else:
        assert found <= limit and (found == 240 or found * RESOLUTION >= limit)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image_size", "480", "HEIGHTxWIDTH as 480x640"),
        ("forward", "nothing", "expected one of"),
        ("listen", ("overlay",), "semantic_mask among them"),
        ("parameters", ("threads=2",), "NAME:=VALUE"),
        ("rates", (0.0,), "at least 0.1"),
        ("loss", 1.0, "between 0 and 1"),
        ("highest", 0.1, "more than lowest"),
        ("runs", 0, "at least 1"),
    ],
)
def test_a_plan_that_cannot_be_used_names_the_field(key, value, message):
    with pytest.raises(ValueError, match=rf"Plan\.{key}.*{message}"):
        Plan(**{key: value})


def test_a_plan_becomes_parameters_of_the_node():
    plan = Plan(engine="torch", transport="compressed", parameters=("decode_ahead:=always", "sync.tolerance:=0.1"))
    values = plan.node_parameters
    assert (values["engine"], values["rgb_transport"], values["decode_ahead"]) == ("torch", "compressed", "always")
    with pytest.raises(ValueError, match="32FC1 has no PNG"):
        Plan(transport="compressed", thermal_encoding="32FC1")


def test_frames_have_the_size_and_encodings_of_the_plan():
    rng = np.random.default_rng(0)
    rgb, thermal = rng.integers(0, 256, (24, 32, 3), np.uint8), rng.integers(0, 60000, (24, 32), np.uint16)
    pair = Pair("x", rgb, thermal)
    for plan in (Plan(image_size="24x32"), Plan(image_size="24x32", rgb_encoding="bgr8")):
        color, heat = frames.messages(pair, plan)
        assert np.array_equal(parse(color, "rgb", "a").rgb(), rgb)
        assert np.array_equal(parse(heat, "thermal", "b").thermal(), thermal)
    color, heat = frames.messages(pair, Plan(image_size="12x16", transport="compressed"))
    assert parse(color, "rgb", "a").rgb().shape == (12, 16, 3)
    assert np.array_equal(parse(heat, "thermal", "b").thermal(), thermal[::2, ::2])
    assert frames.digest([(color, heat)]) != frames.digest([(heat, color)])


def test_the_use_of_a_process_counts_its_threads():
    found = usage.look(os.getpid())
    if found is None:
        pytest.skip("no /proc here")
    assert found.cpu_s[usage.EXECUTOR] > 0 and 0 < found.memory_mib <= found.peak_mib
    assert usage.threads(os.getpid())[os.getpid()] == usage.EXECUTOR
    assert usage.pin(os.getpid(), "no") == {}


def test_the_nodes_worker_has_a_core_without_the_model_if_asked():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one CPU")
    told, going = threading.Event(), threading.Event()

    def work() -> None:
        tell_system("sartm-worker")
        told.set()
        going.wait()

    thread, before = threading.Thread(target=work), os.sched_getaffinity(0)
    thread.start()
    assert told.wait(10)
    try:
        assert usage.threads(os.getpid())[thread.native_id] == usage.WORKER
        first = min(before)
        for how, expected in (("beside", {first}), ("split", before - {first}), ("one", {first})):
            os.sched_setaffinity(0, before)
            usage.pin(os.getpid(), how)
            assert os.sched_getaffinity(thread.native_id) == expected
    finally:
        for number in usage.threads(os.getpid()):
            os.sched_setaffinity(number, before)
        going.set()
        thread.join()


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"ROS_LOG_DIR": str(folder)}
    call = [sys.executable, "-m", "sartm_ros.benchmark", *arguments]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=120 * patience(), env=environment)


def test_a_short_run_of_everything(tmp_path: Path):
    out = tmp_path / "out"
    small = ("--forward", "none", "--image_size", "48x64", "--frames", "4")
    short = ("--peak", "no", "--rates", "20", "--seconds", "0.5", "--runs", "2")
    done = command(*small, *short, "--output", str(out), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads((out / "benchmark.json").read_text())
    median = result["rates"]["20 Hz"]["median"]
    assert median["sent"] == 10 and 1 <= median["received"] <= 10
    assert 0 < median["stages_ms"]["overhead"]["p50"] < median["latency_ms"]["max"]
    assert result["node"]["first_mask_s"] > 0 and len(result["node"]["input_sha256"]) == 64
    assert done.stdout == (out / "benchmark.md").read_text() and "| **overhead**" in done.stdout
    compared = report.comparison(result, result, ("a", "b"))
    assert "NOT ALIKE" not in compared and "| 20 Hz | sent " in compared


def test_a_node_that_does_not_start_ends_it_with_the_reason(tmp_path: Path):
    options = ("--checkpoint", str(tmp_path / "nowhere.safetensors"), "--frames", "1", "--image_size", "48x64")
    done = command(*options, folder=tmp_path)
    assert done.returncode == 1 and "the node ended with exit code 1" in done.stderr
    assert "nowhere.safetensors" in done.stderr and "Traceback" not in done.stderr


def test_comparing_names_what_is_not_alike_and_what_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture):
    def result(cpu: str, p50: float) -> dict:
        run = {"latency_ms": {"p50": p50}, "missed_share": 0.0}
        rates = {"10 Hz": {"hz": 10.0, "median": run, "runs": []}}
        return {"host": {"cpu": cpu}, "plan": {}, "node": {}, "peak": {"hz": 2 * p50}, "rates": rates}

    a, b, bad = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "bad.json"
    a.write_text(json.dumps(result("this", 20.0)))
    b.write_text(json.dumps(result("that", 10.0)))
    bad.write_text("{}")
    assert benchmark.main(["--compare", str(a), str(b)]) == 0
    out = capsys.readouterr().out
    assert "NOT ALIKE, CPU: this and that" in out
    assert "| 10 Hz | p50          | 20.0 | 10.0 | 0.50  |" in out and "peak Hz" in out
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["--compare", str(a), str(bad)])
    assert ended.value.code == 2 and "bad.json: not a benchmark.json" in capsys.readouterr().err
