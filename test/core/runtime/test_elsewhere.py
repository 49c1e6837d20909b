"""A network made ready in a process of its own: the same masks, and this process never imports torch."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sartm_core.model.stored import Stored
from sartm_core.preprocess.config import ThermalNorm
from sartm_core.runtime import ready
from sartm_core.runtime.engines import ENGINES, cache, elsewhere
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support import child
from test.core.conftest import make_frames, make_model
from test.core.hostile import CHANGES, good, spoilt

pytest.importorskip("openvino")

RUN = """
import json, sys
import numpy as np
from sartm_core.runtime.segmenter import Segmenter
options = json.loads(sys.argv[2])
segmenter = Segmenter.load(sys.argv[1], "cpu", input_size=(64, 96), threads=1, lean=True, **options)
random = np.random.default_rng(0)
masks = []
for size in ((64, 96), (96, 64)):  # the second is another input size
    if masks and segmenter.engine != "openvino":
        break  # to write ONNX takes long
    rgb, thermal = random.integers(0, 256, (*size, 3), np.uint8), random.integers(0, 9999, size).astype(np.uint16)
    masks.append(segmenter(rgb, thermal).mask.tolist())
print(json.dumps({"torch": "torch" in sys.modules, "masks": masks, "engine": segmenter.engine}))
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lean") / "nano.safetensors"
    make_model().save(path)
    return path


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with nothing in it."""
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def started(weights: Path, **options: str) -> dict[str, Any]:
    out = subprocess.run(
        [sys.executable, "-c", RUN, str(weights), json.dumps(options)], capture_output=True, text=True, timeout=500,
        check=True,
    )  # fmt: skip
    return dict(json.loads(out.stdout.splitlines()[-1]))


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_cold_start_does_without_torch_and_gives_the_same(weights: Path, empty: Path, engine: str) -> None:
    """It kept a gigabyte of a robot's memory until the next start."""
    pytest.importorskip(engine)
    cold = started(weights, engine=engine, precision="fp32")
    assert not cold["torch"] and cold["engine"] == engine
    segmenter = Segmenter.load(weights, "cpu", "fp32", "torch", input_size=(64, 96))
    random = np.random.default_rng(0)
    for size, mask in zip(((64, 96), (96, 64)), cold["masks"], strict=False):
        rgb, thermal = random.integers(0, 256, (*size, 3), np.uint8), random.integers(0, 9999, size).astype(np.uint16)
        differing = segmenter(rgb, thermal).mask != np.array(mask, np.uint8)
        assert differing.mean() < 0.002, "rounding only"


def test_it_is_made_ready_once(weights: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Segmenter.load(weights, "cpu", "fp32", "openvino", input_size=(64, 96), lean=True)
    monkeypatch.setattr(child, "run", lambda *_: pytest.fail("another process"))
    frames = make_frames(64, 96)
    lean = Segmenter.load(weights, "cpu", "fp32", "openvino", input_size=(64, 96), lean=True)
    assert len(np.unique(lean(*frames).mask)) > 1


@pytest.mark.parametrize("wrong", ["NaN weights", "unknown trunk"])
def test_what_is_wrong_with_weights_is_told_as_ever(tmp_path: Path, empty: Path, wrong: str) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(spoilt(good(), CHANGES[wrong][0]))
    told = []
    for lean in (True, False):
        with pytest.raises(ValueError, match="bad.safetensors") as error:
            Segmenter.load(path, "cpu", "fp32", "openvino", input_size=(64, 96), lean=lean)
        told.append(str(error.value))
    assert told[0] == told[1] and not list(empty.glob("engines/made-*"))


def test_nothing_of_the_file_stays_in_memory(weights: Path, empty: Path) -> None:
    for lean in (True, False):
        segmenter = Segmenter.load(weights, "cpu", "fp32", "openvino", input_size=(64, 96), lean=lean)
        segmenter(*make_frames(64, 96))
        gc.collect()
        assert not [one for one in gc.get_objects() if type(one) is Stored]


def test_what_is_known_of_a_precision_is_found_out_there_too(
    weights: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a CPU with bf16. Regression: another input size had the plain network run in this process."""
    orders = []

    def run(module: str, words: list[str], *_: object) -> None:
        orders.append(json.loads(words[0])["size"])
        ready.main(*words)

    kind = replace(ENGINES["openvino"], precisions=lambda device: ("bf16", "fp32"))
    monkeypatch.setitem(ENGINES, "openvino", kind)
    monkeypatch.setattr(child, "run", run)
    norm = ThermalNorm("range", 0.0, 255.0)
    for size, thermal in (((64, 96), None), ((96, 96), None), ((64, 96), None), ((64, 96), norm)):
        segmenter = Segmenter.load(weights, "cpu", "auto", "openvino", input_size=size, thermal=thermal, lean=True)
        assert "% of pixels" in segmenter.choice
    assert orders == [[64, 96], [96, 96], [64, 96]]
    monkeypatch.setattr("sartm_core.runtime.engines.choice.agreement", lambda *_: pytest.fail("in this process"))
    Segmenter.load(weights, "cpu", "auto", "openvino", input_size=(96, 96), lean=True)


@pytest.mark.parametrize(("number", "hint"), [(9, True), (15, False)])
def test_a_process_that_dies_is_told(
    weights: Path, empty: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: bool
) -> None:
    def killed(*_: object) -> None:
        raise child.ChildError(-number, [])

    monkeypatch.setattr(child, "run", killed)
    with pytest.raises(ValueError, match=f"nano.safetensors: the process that .* signal {number}") as error:
        Segmenter.load(weights, "cpu", "fp32", "openvino", lean=True)
    assert ("memory ran out" in str(error.value)) == hint


@pytest.mark.parametrize("obstacle", ["no process", "no cache", "nothing kept", "no temporary folder"])
def test_where_it_cannot_be_done_elsewhere_it_is_done_here(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, obstacle: str
) -> None:
    calls = []

    def run(*words: object) -> None:
        calls.append(words)
        if obstacle == "no process":
            raise OSError("no such interpreter")

    (tmp_path / "file").touch()
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path / ("file/cache" if obstacle == "no cache" else "cache")))
    monkeypatch.setattr(child, "run", run)
    if obstacle == "no temporary folder":
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    segmenter = Segmenter.load(weights, "cpu", "fp32", "openvino", input_size=(64, 96), lean=True)
    for size in ((64, 96), (96, 64)):
        assert len(np.unique(segmenter(*make_frames(*size)).mask)) > 1
    assert len(calls) == (obstacle in ("no process", "nothing kept")), "once, not for each size again"
    assert ("no such interpreter" in caplog.text) == (obstacle == "no process")
    assert caplog.text.count("nothing of it is in the cache") == 1


def test_a_file_that_changes_meanwhile_is_told(weights: Path, empty: Path, tmp_path: Path) -> None:
    order = elsewhere.Order(str(weights), "another", "openvino", "fp32", 1)
    with pytest.raises(ValueError, match=f"{weights.name} has changed since it was loaded"):
        elsewhere.make_ready(order)
    assert cache.cache_folder() == empty
