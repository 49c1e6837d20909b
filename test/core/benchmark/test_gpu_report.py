"""The report that an owner of a GPU sends: what is missing is said in words, and the whole way runs by the CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sartm_core.benchmark import gpu_report
from sartm_core.benchmark.__main__ import main
from sartm_core.benchmark.compare import compare


def test_without_a_gpu_it_says_what_is_missing(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu_report, "benchmark", lambda config: pytest.fail("measured"))
    monkeypatch.setattr(gpu_report, "providers_here", lambda: ["CPUExecutionProvider"])
    for cuda, words in ((None, "is built for the CPU only"), ("13.0", "is built for CUDA 13.0 but finds no GPU")):
        monkeypatch.setattr(torch.version, "cuda", cuda)
        with pytest.raises(SystemExit) as stop:
            main(["--gpu-report"])
        error = capsys.readouterr().err
        assert stop.value.code == 2 and words in error and "--device cpu" in error
        assert "engine tensorrt: the installed onnxruntime has no TensorrtExecutionProvider" in error


def test_what_the_system_does_not_say_is_none(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"NVIDIA Jetson AGX Orin\0")
    assert gpu_report.read(tmp_path / "model") == "NVIDIA Jetson AGX Orin"
    assert gpu_report.read(tmp_path / "nothing") is None
    assert gpu_report.said(("echo", "NV Power Mode: MAXN")) == "NV Power Mode: MAXN"
    assert gpu_report.said(("no-such-program",)) is None and gpu_report.said(("false",)) is None


def test_lines_of_a_program_fit_a_table() -> None:
    assert gpu_report.shown("NV Power Mode: MAXN\n0 | x") == "NV Power Mode: MAXN / 0 / x"
    assert gpu_report.shown(None) == "not readable" and gpu_report.shown(["a", "b"]) == "a, b"


def test_the_whole_way_by_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sartm_core.benchmark.run.SQUARE", 256)
    main([
        "--gpu-report", "--device", "cpu", "--resolutions", "64x96", "--engine", "torch", "tensorrt", "--precision",
        "fp32", "--runs", "5", "--warmup", "0", "--agreement_frames", "1", "--startup", "false", "--threads", "1",
        "--output", str(tmp_path),
    ])  # fmt: skip
    text, found = ((tmp_path / f"gpu-report.{suffix}").read_text() for suffix in ("md", "json"))
    report = json.loads(found)
    assert text.startswith("# GPU report\n\n**No GPU was measured: this ran on cpu") and "| torch  " in text
    assert "it needs an NVIDIA GPU" in text  # why tensorrt has no numbers
    assert report["gpu"]["versions"]["torch"] and "power mode" in report["gpu"]["system"] and report["missing"]
    (case,) = report["benchmark"]["cases"]
    assert case["rows"][0]["forward"]["p50"] > 0 and case["rows"][0]["agreement"]["equal_mean"] > 0.99
    path = tmp_path / "gpu-report.json"
    assert "1.00" in compare(path, path)  # as any benchmark
