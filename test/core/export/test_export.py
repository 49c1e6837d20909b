"""`sartm export`: files that do what the model does, without this project around them."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sartm_core.export.__main__ import main
from sartm_core.export.config import FORMATS, ExportConfig
from sartm_core.export.run import describe
from sartm_core.model.checkpoint import load
from sartm_core.model.sartm import SARTM
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.runtime.exported import description, openvino_file
from sartm_core.runtime.segmenter import Segmenter
from test.core.conftest import PLAIN, make_model
from test.core.exports import CAMERA, OPTIONS, SIZE, THERMAL_CAMERA, File, frames, of_format, write_files


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
    return Segmenter.load(checkpoint, **PLAIN)


def test_the_whole_file_gives_the_segmenters_masks(file: File, plain: Segmenter) -> None:
    run = file.kind.Runner(file.path)
    rgb, thermal = frames()
    for given in ((rgb, thermal), (rgb, None)):
        shown = rgb, thermal if given[1] is not None else np.zeros_like(thermal)
        mask, confidence, scores = run(*shown, np.array([True, given[1] is not None]))
        expected = plain(*given)
        assert (mask.dtype, confidence.dtype, scores.dtype) == (np.uint8, np.uint8, np.float32)
        assert scores.shape == (1, 4, SIZE[0] // 4, SIZE[1] // 4)
        assert (mask == expected.mask).mean() >= 0.999
        assert np.abs(confidence.astype(int) - expected.confidence).max() <= 2


def test_a_missing_camera_may_show_anything(file: File) -> None:
    run = file.kind.Runner(file.path)
    rgb, thermal = frames()
    for there in ((True, False), (False, True)):
        masks = [
            run(rgb * s, thermal * t, np.array(there))[0] for s, t in ((1, 1), there, (there[0], 1), (1, there[1]))
        ]
        assert all((mask == masks[0]).all() for mask in masks)


def test_metadata_comes_back(file: File, checkpoint: Path) -> None:
    about = file.kind.describe(file.path)
    config = ExportConfig(camera="72x100", thermal_camera="60x80", thermal="uint16")
    assert about == describe(load(checkpoint), config, checkpoint, hashlib.sha256(checkpoint.read_bytes()).hexdigest())
    assert (about.size, about.camera, about.thermal_camera, about.thermal) == (SIZE, CAMERA, THERMAL_CAMERA, "uint16")
    assert about.weights_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert "torch" in about.versions and about.weights == "tiny"
    assert json.loads(about.texts()["classes"]) == ["unlabeled", "car", "person", "bike"]


def test_metadata_of_another_release_or_edited_is_refused(files: dict[str, File]) -> None:
    if not files:
        pytest.skip("neither onnx nor openvino is installed")
    some = next(iter(files.values()))
    texts, path = some.kind.describe(some.path).texts(), Path("x.onnx")
    for change, match in (
        ({"version": "2"}, r"x\.onnx: format version 2, this release reads 1; export the checkpoint again"),
        ({"version": "{"}, r"x\.onnx: "),
        ({"size": '"big"'}, r"x\.onnx: metadata\.size"),
        ({"thermal": '"int8"'}, r"x\.onnx: Description\.thermal: got 'int8'"),
    ):
        with pytest.raises(ValueError, match=match):
            description.parse({**texts, **change}, path)
    del texts["model"]
    with pytest.raises(ValueError, match=r"x\.onnx: the metadata lacks 'model'"):
        description.parse(texts, path)


# The command


def test_the_command_says_what_it_wrote_and_nothing_else(file: File) -> None:
    names = " and ".join(map(str, file.parts))
    assert file.text.startswith(f"{names}: rgb 72x100 uint8, thermal 60x80 uint16; network 64x96 fp32, 4 classes, ")
    assert "\ncompared: 100.000% of pixels as the model in torch fp32, scores differ by at most " in file.text
    assert [r.getMessage() for r in file.chatter if r.name.partition(".")[0] in ("onnxscript", "onnx_ir")] == []


def test_a_file_that_disagrees_is_not_written(
    files: dict[str, File], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Made to disagree: the files of another model."""
    file = of_format("openvino", files)

    def write(parts: object, about: object, path: Path) -> None:
        for part in file.parts:
            shutil.copy(part, path.with_suffix(part.suffix))

    monkeypatch.setattr(openvino_file, "write", write)
    torch.manual_seed(9)
    model = SARTM(make_model().config)
    model.info = replace(model.info, preprocess=PreprocessConfig(SIZE))
    weights, out = model.save(tmp_path / "other.safetensors"), tmp_path / "out" / "tiny.xml"
    with pytest.raises(SystemExit) as stop:
        main([*OPTIONS, "--format", "openvino", "--checkpoint", str(weights), "--output", str(out)])
    assert stop.value.code == 2
    assert "tiny.xml was not written: it would give" in (error := capsys.readouterr().err) and "99.5%" in error
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("argv,match", [
    (["--format", "onnnx"], "ExportConfig.format: got 'onnnx', expected one of ('onnx', 'openvino'); did you mean"),
    (["--camera", "480"], "ExportConfig.camera: got '480', expected HEIGHTxWIDTH (480x640)"),
    (["--size", "100x100"], "ExportConfig.size: got '100x100', expected HEIGHTxWIDTH in multiples of 32"),
    (["--format", "openvino", "--precision", "fp16"], "ExportConfig.precision: got 'fp16'"),
    (["--calibration", "x"], "ExportConfig.calibration: given with precision fp32, but it is for int8"),
    (["--output", "x.xml"], "ExportConfig.output: got 'x.xml', expected a name ending in .onnx"),
    (["--thermal-camera", "0x1"], "ExportConfig.thermal_camera: got '0x1'"),
])  # fmt: skip
def test_wrong_options_are_named(argv: list[str], match: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2 and match in capsys.readouterr().err


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_package_is_named_with_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(description, "find_spec", lambda package: None)
    with pytest.raises(SystemExit):
        main(["--format", name])
    assert f'{name} is not installed; pip install "sartm_ros[{name}]"' in capsys.readouterr().err
