"""Networks of others beside ours: what they are fed, what is refused, and a run with two small ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sartm_core.benchmark import peers
from sartm_core.benchmark.__main__ import main
from sartm_core.benchmark.compare import compare
from sartm_core.benchmark.peers import PeerSession, PeerWay, feeds_of
from sartm_core.benchmark.runtimes import AS_EXPORTED, RUNTIMES, Port
from sartm_core.benchmark.subjects import Frames
from sartm_core.support.device import CPU

onnx = pytest.importorskip("onnx")
SIZE = (64, 96)
FLOAT, PIXELS = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
Shape = Sequence[int | str]


def write(path: Path, inputs: dict[str, tuple[int, Shape]]) -> str:
    """A file whose output is the sum of the means of its inputs."""
    helper = onnx.helper
    ports = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    nodes = []
    for name in inputs:
        nodes.append(helper.make_node("Cast", [name], [f"{name}_float"], to=FLOAT))
        nodes.append(helper.make_node("ReduceMean", [f"{name}_float"], [f"{name}_mean"], keepdims=0))
    nodes.append(helper.make_node("Sum", [f"{name}_mean" for name in inputs], ["out"]))
    graph = helper.make_graph(nodes, "peer", ports, [helper.make_tensor_value_info("out", FLOAT, [])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return str(path)


@pytest.fixture
def frames(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (2, *SIZE, 3), dtype=np.uint8)
    return Frames(rgb, rng.integers(0, 256, (2, *SIZE), dtype=np.uint8)).save(tmp_path / "frames.npz")


RGB = np.zeros((*SIZE, 3), np.uint8) + np.array([255, 0, 51], np.uint8)
THERMAL = np.full(SIZE, 102, np.uint8)


@pytest.mark.parametrize("ports,shapes,planes", [
    ([Port("x", (1, 4, 64, 96), "float32")], [(1, 4, 64, 96)], [[1, 0, 0.2, 0.4]]),
    ([Port("x", (None, 6, None, None), "float16")], [(1, 6, 64, 96)], [[1, 0, 0.2, 0.4, 0.4, 0.4]]),
    ([Port("x", (1, 32, 64, 4), "uint8")], [(1, 32, 64, 4)], [[255, 0, 51, 102]]),
    ([Port("a", (1, 3, 64, 96), "float32"), Port("b", (1, 1, 32, 48), "float32")], [(1, 3, 64, 96), (1, 1, 32, 48)],
     [[1, 0, 0.2], [0.4]]),
    ([Port("a", (1, None, None, 1), "float32"), Port("b", (1, 4, 4, 3), "uint8")], [(1, 64, 96, 1), (1, 4, 4, 3)],
     [[0.4], [255, 0, 51]]),
    ([Port("a", (1, 3, 64, 96), "float32"), Port("b", (1, 3, 64, 96), "float32")], [(1, 3, 64, 96)] * 2,
     [[1, 0, 0.2], [0.4, 0.4, 0.4]]),
])  # fmt: skip
def test_each_input_gets_its_camera(
    ports: list[Port], shapes: list[tuple[int, ...]], planes: list[list[float]]
) -> None:
    for feed, shape, expected in zip(feeds_of(ports, SIZE, "net.onnx"), shapes, planes, strict=True):
        array = feed.array(RGB, THERMAL)
        assert (array.shape, array.dtype.name) == (shape, feed.port.dtype)
        channels = np.moveaxis(array, 3, 1) if feed.last else array
        np.testing.assert_allclose(channels[0].reshape(len(expected), -1).mean(1, dtype=float), expected, atol=1e-3)


@pytest.mark.parametrize("ports,found", [
    ([Port("x", (1, 3, 64, 96), "float32")], "x float32 (1, 3, 64, 96)"),
    ([Port("x", (1, 5, None, 96), "float32")], "x float32 (1, 5, ?, 96)"),
    ([Port("x", (2, 4, 64, 96), "float32")], "x float32 (2, 4, 64, 96)"),
    ([Port("x", (1, 4, 64, 96), "int64")], "x int64 (1, 4, 64, 96)"),
    ([Port("x", (4, 64, 96), "float32")], "x float32 (4, 64, 96)"),
    ([Port("a", (1, 1, 64, 96), "float32"), Port("b", (1, 1, 64, 96), "float32")], "a float32 (1, 1, 64, 96); b "),
    ([Port(name, (1, 3, 64, 96), "float32") for name in "abc"], "a float32 (1, 3, 64, 96); b float32 (1, 3, 64, 96); "),
    ([], "none"),
])  # fmt: skip
def test_other_inputs_are_refused_and_named(ports: list[Port], found: str) -> None:
    with pytest.raises(ValueError) as error:
        feeds_of(ports, SIZE, "net.onnx")
    assert f"peer: net.onnx: its inputs are {found}" in str(error.value)
    assert "Expected one image of 4 or 6 channels" in str(error.value)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_runtime_reads_and_runs_files_of_open_and_fixed_size(runtime: str, tmp_path: Path, frames: str) -> None:
    pytest.importorskip(runtime)
    path = write(tmp_path / "two.onnx", {"a": (FLOAT, ["n", 3, "h", "w"]), "b": (PIXELS, [1, 32, 48, 1])})
    ports = RUNTIMES[runtime].ports(path)
    assert ports == [Port("a", (None, 3, None, None), "float32"), Port("b", (1, 32, 48, 1), "uint8")]
    session = PeerSession(PeerWay(path, SIZE, frames, runtime, AS_EXPORTED, "cpu", 1, ""))
    assert session.facts()["choice"] == "two.onnx, inputs of 64x96, 32x48"
    session.warm_up(1)
    turn = session.turn(3)
    assert turn.forward > 0 and turn.mask == turn.confidence == {}
    assert session.peak().starting >= 0


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_broken_file_is_named(runtime: str, tmp_path: Path) -> None:
    pytest.importorskip(runtime)
    (tmp_path / "broken.onnx").write_text("no network")
    with pytest.raises(ValueError, match=rf"peer: .*broken\.onnx: {runtime} cannot open it"):
        RUNTIMES[runtime].ports(str(tmp_path / "broken.onnx"))


def test_what_cannot_be_timed_is_said_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sartm_core.benchmark.run.measure", lambda *_: pytest.fail("measured"))
    path = write(tmp_path / "colour.onnx", {"x": (FLOAT, [1, 3, 64, 96])})
    for peer, message in ((path, "its inputs are x float32 (1, 3, 64, 96)"), ("no.onnx", "no.onnx: no such file")):
        with pytest.raises(SystemExit) as stop:
            main(["--peer", peer, "--resolutions", "64x96"])
        assert stop.value.code == 2 and message in capsys.readouterr().err
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        main(["--peer", path, "--resolutions", "64x96"])
    assert "none of onnxruntime, openvino is installed" in capsys.readouterr().err


def test_peers_are_rows_of_the_tables_the_file_and_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sartm_core.benchmark.run.SQUARE", 256)
    path = write(tmp_path / "theirs.onnx", {"x": (FLOAT, [1, 4, 32, 48])})
    out = tmp_path / "bench"
    main([
        "--resolutions", "64x96", "--engine", "torch", "--precision", "fp32", "--runs",
        "5", "--warmup", "0", "--agreement_frames", "1", "--startup", "false", "--threads", "1", "--device", "cpu",
        "--peer", path, "--output", str(out),
    ])  # fmt: skip
    (case,) = json.loads((out / "benchmark.json").read_text())["cases"]
    runtimes = {name for name in peers.installed() for _ in RUNTIMES[name].precisions(CPU)}
    assert {row["engine"] for row in case["peers"]} == {f"theirs.onnx ({name})" for name in runtimes}
    for row in case["peers"]:
        assert row["why_not"] == "" and row["forward"]["p50"] > 0 and row["forward"]["runs"] == 5
        assert list(row["ratios"]) == ["speedup"] and row["agreement"] is None and row["memory"]["running"] is not None
    text = (out / "benchmark.md").read_text()
    assert "| theirs.onnx (" in text and "networks of others" in text and "Fastest: torch in fp32" in text
    assert "theirs.onnx (" in compare(out / "benchmark.json", out / "benchmark.json")
