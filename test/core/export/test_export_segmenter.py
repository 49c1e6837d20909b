"""Exported files in a `Segmenter`: what a checkpoint can do, at the file's size."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sartm_core.export.config import FORMATS
from sartm_core.preprocess.config import ThermalNorm
from sartm_core.preprocess.registration import Registration
from sartm_core.runtime.batching import FramePair
from sartm_core.runtime.engines import ENGINES
from sartm_core.runtime.exported import openvino_file
from sartm_core.runtime.segmenter import Segmenter
from test.core.conftest import make_frames
from test.core.exports import SIZE, File, frames, of_format, write_files

RUN = """
import sys
import numpy as np
from sartm_core.runtime.segmenter import Segmenter
segmenter = Segmenter.load(sys.argv[1], device="cpu", precision="fp32")
segmenter(np.zeros((70, 100, 3), np.uint8), np.zeros((50, 60), np.uint16))
print("torch" in sys.modules)
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory)[0]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, File]:
    return write_files(tmp_path_factory)[1]


@pytest.fixture(params=FORMATS)
def file(request: pytest.FixtureRequest, files: dict[str, File]) -> File:
    return of_format(request.param, files)


@pytest.fixture(scope="module")
def plain(checkpoint: Path) -> Segmenter:
    """An engine that takes rgb as pixels, too: they are rounded after resizing."""
    pytest.importorskip("openvino")
    return Segmenter.load(checkpoint, device="cpu", engine="openvino", precision="fp32")


@pytest.fixture
def segmenter(file: File) -> Segmenter:
    return Segmenter.load(file.path, device="cpu", precision="fp32")


def test_segmenter_runs_the_file_as_the_checkpoint(segmenter: Segmenter, plain: Segmenter) -> None:
    rgb, thermal = frames()
    kelvin = thermal.astype(np.float32) / 100
    kelvin[::7] = np.nan
    registration = Registration.scale_shift((0.9, 0.9), (3, -2))
    for pair in (
        FramePair(rgb, thermal),
        FramePair(rgb, None),
        FramePair(None, thermal[:48, :72]),
        FramePair(rgb, kelvin, registration),
        FramePair(rgb, thermal, thermal_norm=ThermalNorm("range", 7000.0, 9000.0)),
        FramePair(rgb.repeat(2, 0).repeat(2, 1), thermal, confidence_threshold=0.4),
    ):
        (found,), (expected,) = segmenter.batch([pair]), plain.batch([pair])
        assert found.mask.shape == expected.mask.shape and found.mask.dtype == np.uint8
        assert (found.mask == expected.mask).mean() >= 0.995
        assert np.abs(found.confidence.astype(int) - expected.confidence).max() <= 2
    batch = [FramePair(rgb, thermal), FramePair(rgb[::-1].copy(), thermal)]
    for found, expected in zip(segmenter.batch(batch), plain.batch(batch), strict=True):
        assert (found.mask == expected.mask).mean() >= 0.995


def test_a_file_runs_without_torch(file: File) -> None:
    out = subprocess.run([sys.executable, "-c", RUN, str(file.path)], capture_output=True, text=True, timeout=200)
    assert out.stdout.split() == ["False"], out.stderr


def test_frames_of_any_aspect_are_stretched_to_the_files_size(segmenter: Segmenter) -> None:
    rgb, thermal = make_frames(150, 60)
    assert segmenter(rgb, thermal).mask.shape == (150, 60)
    assert segmenter.preprocess.model_size(150, 60) == SIZE == segmenter.input_size


def test_the_size_of_the_network_stays(file: File, segmenter: Segmenter) -> None:
    with pytest.raises(ValueError, match=r"input_size: got \(32, 32\), but an exported file has \(64, 96\) only"):
        segmenter.set_input_size((32, 32))
    with pytest.raises(ValueError, match="input_size"):
        Segmenter.load(file.path, device="cpu", precision="fp32", input_size=(32, 32))
    segmenter.set_input_size(SIZE)
    with pytest.raises(ValueError, match=r"input_size: got \(32, 32\), but the network in tiny\.\w+ takes \(64, 96\)"):
        segmenter.scores((torch.zeros(1, 3, 32, 32), None))


def test_segmenter_knows_what_the_checkpoint_says(file: File, segmenter: Segmenter, plain: Segmenter) -> None:
    assert (segmenter.classes, segmenter.palette) == (plain.classes, plain.palette)
    assert segmenter.info.protocol == {"epochs": 3} and segmenter.info.metrics == {"miou": 0.5}
    assert segmenter.preprocess.thermal == plain.preprocess.thermal
    assert segmenter.name == "tiny" and segmenter.device.type == "cpu" and segmenter.precision == "fp32"
    assert segmenter.engine == {".onnx": "onnxruntime", ".xml": "openvino"}[file.path.suffix]
    assert segmenter.choice == f"engine {segmenter.engine} (for {file.path.name}), fp32 as asked for"
    content = b"".join(file.read_bytes() for file in file.parts)
    assert segmenter.sha256 == hashlib.sha256(content).hexdigest()
    segmenter.check(*frames())


def test_openvino_runs_onnx_files_too(files: dict[str, File], plain: Segmenter) -> None:
    of_format("openvino", files)
    segmenter = Segmenter.load(of_format("onnx", files).path, engine="openvino", precision="fp32")
    assert segmenter.engine == "openvino"
    assert (segmenter(*frames()).mask == plain(*frames()).mask).mean() >= 0.999


@pytest.fixture
def of_two_precisions(files: dict[str, File], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file for OpenVINO as on a CPU with bf16, and an empty cache."""
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path))
    kind = replace(ENGINES["openvino"], precisions=lambda device: ("bf16", "fp32"))
    monkeypatch.setitem(ENGINES, "openvino", kind)
    return of_format("openvino", files).path


def test_openvino_picks_the_precision_that_agrees(
    of_two_precisions: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = of_two_precisions
    share = {"now": 0.999}
    monkeypatch.setattr("sartm_core.runtime.engines.choice.agreement", lambda *_: share["now"])
    assert Segmenter.load(path).choice == "engine openvino (for tiny.xml), bf16: 99.90% of pixels as in fp32"
    share["now"] = 0.5
    assert Segmenter.load(path).precision == "bf16"  # it was remembered
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path / "other"))
    assert "fp32; bf16 agrees on 50.00% of pixels only" in Segmenter.load(path).choice


def test_openvino_measures_the_precision_that_agrees(of_two_precisions: Path) -> None:
    """Regression: the exact network got floats where it takes pixels."""
    choice = Segmenter.load(of_two_precisions, device="cpu").choice
    assert float(choice.split("%")[0].split()[-1]) > 80, choice


def test_a_second_start_compiles_nothing(
    files: dict[str, File], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = of_format("openvino", files).path
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path))
    load = lambda: Segmenter.load(path, precision="fp32")  # noqa: E731
    mask = load()(*frames()).mask
    monkeypatch.setattr(openvino_file, "network_of", lambda *_: pytest.fail("compiled again"))
    assert (load()(*frames()).mask == mask).all()


@pytest.mark.parametrize("arguments,match", [
    ({"engine": "torch"}, r"engine: 'torch' asked for, but tiny\.\w+ in fp32 is run by"),
    ({"precision": "fp16"}, r"precision: 'fp16' asked for, but tiny\.\w+ runs in"),
])  # fmt: skip
def test_what_the_file_cannot_do_is_refused(file: File, arguments: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Segmenter.load(file.path, device="cpu", **arguments)


def test_the_file_may_be_overwritten_and_cut_while_it_runs(file: File, tmp_path: Path) -> None:
    """Regression: OpenVINO mapped the .bin, and cutting it ended the process (SIGBUS)."""
    own = [Path(shutil.copy(part, tmp_path)) for part in file.parts]
    segmenter = Segmenter.load(own[0], device="cpu", precision="fp32")
    mask = segmenter(*frames()).mask
    for part in own:
        data = part.read_bytes()
        part.write_bytes(bytes(len(data)))
        os.truncate(part, 0)
    assert (segmenter(*frames()).mask == mask).all()
    for part in own:
        part.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=own[0].name):
        Segmenter.load(own[0], device="cpu", precision="fp32")


# Files that are not ours


def test_a_foreign_onnx_file_is_named(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [value], [])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "other.onnx")
    with pytest.raises(ValueError, match=r"other\.onnx: no SARTM metadata; expected a file of"):
        Segmenter.load(tmp_path / "other.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.onnx: (not an ONNX file|no SARTM metadata)"):
        Segmenter.load(tmp_path / "text.onnx")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.onnx"):
        Segmenter.load(tmp_path / "nowhere.onnx")


def test_a_foreign_or_broken_openvino_file_is_named(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    openvino.save_model(_identity(openvino), tmp_path / "a.xml")
    with pytest.raises(ValueError, match=r"a\.xml: no SARTM metadata"):
        Segmenter.load(tmp_path / "a.xml")
    (tmp_path / "b.xml").write_text("<net")
    with pytest.raises(FileNotFoundError, match=r"b\.bin; an OpenVINO network is a \.xml and a \.bin"):
        Segmenter.load(tmp_path / "b.xml")
    (tmp_path / "b.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"b\.xml: OpenVINO cannot read it"):
        Segmenter.load(tmp_path / "b.xml")


def _identity(openvino):
    parameter = openvino.op.Parameter(openvino.Type.f32, openvino.PartialShape([1]))
    return openvino.Model([openvino.op.Result(parameter.output(0))], [parameter])


def test_thermal_alone_may_come_first(segmenter: Segmenter, plain: Segmenter) -> None:
    """A node that starts degraded: the network then got pixels, which a file does not take."""
    _, thermal = frames()
    assert (segmenter(None, thermal).mask == plain(None, thermal).mask).mean() >= 0.995
