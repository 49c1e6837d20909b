"""`engine: tensorrt` as far as a machine without a GPU goes: options, refusals, and its path by the CPU's provider."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from sartm_core.runtime.engines import ENGINES, Source, building, onnxruntime, tensorrt
from sartm_core.runtime.engines.base import Settings
from sartm_core.runtime.engines.choice import Wish, pick_engine
from sartm_core.runtime.engines.onnxruntime import CPU as CPU_PROVIDER
from sartm_core.support.device import Device
from test.core.conftest import make_batch, make_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
CPU, CUDA = Device("cpu"), Device("cuda")


@pytest.fixture
def network() -> bytes:
    """A file that hands its input on."""
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:])
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10
    ).SerializeToString()


@pytest.fixture
def by_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The engine with the CPU's provider in TensorRT's place; where it keeps things."""
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path))
    monkeypatch.setattr(tensorrt, "TENSORRT", CPU_PROVIDER)
    monkeypatch.setattr(tensorrt, "options", lambda settings, folder: {})
    return tmp_path / "engines"


def test_without_the_provider_it_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError, match="'tensorrt' asked for, but onnxruntime does not run the network on cpu here; it"
    ):
        pick_engine(Wish(CPU, "tensorrt"))
    monkeypatch.setattr(tensorrt, "providers_here", lambda: [onnxruntime.CUDA, CPU_PROVIDER])
    obstacle = ENGINES["tensorrt"].obstacle(CUDA)
    assert (
        "onnxruntime does not run the network on cuda here; it needs an NVIDIA GPU and an onnxruntime with" in obstacle
    )
    assert "pip install onnxruntime-gpu" in obstacle and "docs/jetson.md" in obstacle
    monkeypatch.setattr(tensorrt, "providers_here", lambda: [tensorrt.TENSORRT])
    assert ENGINES["tensorrt"].obstacle(CUDA) == "" and tensorrt.precisions(CUDA) == ("fp16", "fp32")


@pytest.mark.parametrize(
    "precision,flags", [("fp32", (False, False)), ("fp16", (True, False)), ("int8", (False, True))]
)
def test_options_of_the_provider(precision: str, flags: tuple[bool, bool], tmp_path: Path) -> None:
    options = tensorrt.options(Settings(Device("cuda:1"), precision), tmp_path)
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == flags
    assert options["device_id"] == 1 and options["trt_engine_cache_enable"] is True
    assert options["trt_engine_cache_path"] == str(tmp_path)


def test_another_network_or_precision_has_another_folder(network: bytes) -> None:
    folder = tensorrt.engine_folder(network, Settings(CPU, "fp32"))
    assert folder == tensorrt.engine_folder(network, Settings(CPU, "fp32"))
    assert folder not in (
        tensorrt.engine_folder(network + b"x", Settings(CPU, "fp32")),
        tensorrt.engine_folder(network, Settings(CPU, "fp16")),
    )


def test_the_path_runs_and_what_is_built_is_built_once(by_cpu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = make_model().eval(), make_batch(1)
    scores = tensorrt.make(Source(model), Settings(CPU, "fp32"))(*inputs)
    with torch.inference_mode():
        expected = model(*inputs, size=(16, 24)).logits
    torch.testing.assert_close(scores, expected, atol=1e-3, rtol=1e-3)
    assert [path.name for path in by_cpu.glob("tensorrt-*/*")] == [tensorrt.DONE]
    monkeypatch.setattr(building, "build", lambda *_: pytest.fail("built again"))
    torch.testing.assert_close(tensorrt.make(Source(model), Settings(CPU, "fp32"))(*inputs), scores)


def test_a_build_that_takes_too_long_is_stopped_and_said(
    by_cpu: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, network: bytes
) -> None:
    monkeypatch.setattr(tensorrt, "PATIENCE", 0.0)
    with caplog.at_level(logging.WARNING):
        tensorrt.session_of(network, Settings(CPU, "fp32"), (64, 96))
    assert "TensorRT: not done within 0 s" in caplog.text and "the next start tries again" in caplog.text
    assert not list(by_cpu.glob(f"tensorrt-*/{tensorrt.DONE}"))


def test_a_long_build_is_heard_of(tmp_path: Path, caplog: pytest.LogCaptureFixture, network: bytes) -> None:
    with caplog.at_level(logging.INFO):
        building.build(network, [(CPU_PROVIDER, {})], tmp_path / "done", patience=600, news=0.01)
    assert "still building after 0 of at most 600 s" in caplog.text and (tmp_path / "done").is_file()


def test_a_provider_that_cannot_be_loaded_ends_the_build(tmp_path: Path, network: bytes) -> None:
    with pytest.raises(ValueError, match="exit code 1: .*engine: onnxruntime has Tensorrt.* and took CPUExecutionProv"):
        building.build(network, [("TensorrtExecutionProvider", {})], tmp_path / "done", patience=600)
    with pytest.raises(ValueError, match="engine: the build ended with exit code 1: .*"):
        building.build(b"no network", [(CPU_PROVIDER, {})], tmp_path / "done", patience=600)
    assert not (tmp_path / "done").exists()


def test_the_building_process_does_what_it_is_told(tmp_path: Path, network: bytes) -> None:
    (tmp_path / "network.onnx").write_bytes(network)
    (tmp_path / "providers.json").write_text(json.dumps([[CPU_PROVIDER, {}]]))
    building.main(str(tmp_path / "network.onnx"), str(tmp_path / "providers.json"))
