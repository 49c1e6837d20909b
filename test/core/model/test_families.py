"""Every family of trunks goes through all of it: files, engines, exports, adapters side by side, a whole training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sartm_core.evaluate import __main__ as evaluate
from sartm_core.export import __main__ as export
from sartm_core.export.config import FORMATS
from sartm_core.model.checkpoint import load, read_metadata
from sartm_core.model.sartm import SARTM
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.normalise import normalize_pixels
from sartm_core.runtime.engines import ENGINES, Source
from sartm_core.runtime.engines.base import Settings
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.device import CPU
from sartm_core.train import __main__ as train
from test.core.conftest import CONVNEXT, LITE0, PLAIN, make_batch, make_frames, make_model, scramble
from test.core.runs import command, history, write_config

SIZE = (64, 96)
SAM2 = "sam2.1_hiera_t"
FAMILIES = [LITE0, CONVNEXT, pytest.param(SAM2, marks=pytest.mark.slow)]
"""Beside `hiera_nano`, which most tests have."""
RUNS = [
    *((LITE0, name) for name in ("torch", "openvino", "onnxruntime")),
    *((CONVNEXT, name) for name in ("torch", "onnxruntime")),  # in openvino after the training below
    *(pytest.param(SAM2, name, marks=pytest.mark.slow) for name in ("torch", "openvino", "onnxruntime")),
]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> SARTM:
    heads = "decoder" if request.param == CONVNEXT else "both"
    model = scramble(make_model(backbone=request.param, heads=heads))
    model.info = replace(model.info, preprocess=PreprocessConfig(input_size=SIZE))
    return model


@pytest.fixture(scope="module")
def checkpoint(model: SARTM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model.save(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def test_a_file_holds_all_of_it(model: SARTM, checkpoint: Path) -> None:
    loaded = load(checkpoint)
    assert loaded.config == model.config and read_metadata(checkpoint)["kind"] == "full"
    expected, found = model.state_dict(), loaded.state_dict()
    assert expected.keys() == found.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(("model", "name"), RUNS, indirect=["model"])
def test_engine_equals_the_model_in_fp32(model: SARTM, name: str) -> None:
    if obstacle := ENGINES[name].obstacle(CPU):
        pytest.skip(obstacle)
    run = ENGINES[name].make(Source(model), Settings(CPU, "fp32"))
    pixels = torch.randint(0, 256, (1, *SIZE, 3), dtype=torch.uint8)
    rgb, thermal = normalize_pixels(pixels, model.info.preprocess), make_batch(1, *SIZE)[1]
    for given in ((rgb, thermal), (rgb, None), (None, thermal)):
        with torch.inference_mode():
            expected = model(*given, size=(SIZE[0] // 4, SIZE[1] // 4)).logits
        found = run(None if given[0] is None else pixels, given[1])
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("model", [LITE0, pytest.param(SAM2, marks=pytest.mark.slow)], indirect=True)
@pytest.mark.parametrize("name", FORMATS)
def test_exported_file_gives_the_segmenters_masks(checkpoint: Path, tmp_path: Path, name: str) -> None:
    try:
        FORMATS[name].check_installed()
    except ValueError as missing:
        pytest.skip(str(missing))
    path = tmp_path / f"tiny{FORMATS[name].SUFFIX}"
    given = ["--format", name, "--checkpoint", str(checkpoint), "--output", str(path), "--camera", "72x100"]
    assert export.main(given) == 0
    exported = Segmenter.load(path, device="cpu", precision="fp32")
    pytest.importorskip("openvino")  # which takes pixels as exported files do, rounded after resizing
    plain = Segmenter.load(checkpoint, device="cpu", engine="openvino", precision="fp32")
    rgb, thermal = make_frames(72, 100)
    for frames in ((rgb, thermal), (None, thermal)):
        assert (exported(*frames).mask == plain(*frames).mask).mean() >= 0.999


@pytest.mark.parametrize("model", [LITE0], indirect=True)
def test_adapters_side_by_side_mix_nothing(model: SARTM, checkpoint: Path, tmp_path: Path) -> None:
    other = make_model(backbone=model.config.backbone, classes=("unlabeled", "fire"))
    other.info = replace(other.info, preprocess=PreprocessConfig(input_size=(96, 96)))
    files = {"tiny": checkpoint, "second": other.save(tmp_path / "second.safetensors")}
    frames = make_frames()
    alone = {name: Segmenter.load(path, **PLAIN)(*frames).mask for name, path in files.items()}
    segmenter = Segmenter.load(checkpoint, **PLAIN, adapters=[files["second"]])
    for name in ("tiny", "second", "tiny"):
        segmenter.set_adapter(name)
        assert np.array_equal(segmenter(*frames).mask, alone[name])


def test_from_training_to_an_exported_file(tmp_path: Path) -> None:
    """A second family of timm's: layer norms, linear layers, maps with their channels last."""
    run = tmp_path / "run"
    config = write_config(tmp_path, model={"backbone": CONVNEXT, "heads": "both"}, trainer={"max_epochs": 1})
    assert train.main(command(config, run)) == 0
    assert history(run)[-1]["step"] == 3
    weights, root = str(run / "weights.safetensors"), str(tmp_path / "data")
    found = ["--data", root, "--split", "val", "--checkpoint", weights, "--output", str(run / "val")]
    assert evaluate.main(found) == 0
    scores = json.loads((run / "val" / "evaluation.json").read_text())["scores"]
    assert 0 <= scores["rgb+thermal"]["all"]["miou"] <= 1
    try:
        FORMATS["openvino"].check_installed()
    except ValueError as missing:
        pytest.skip(str(missing))
    file = run / "weights.xml"
    given = ["--format", "openvino", "--checkpoint", weights, "--output", str(file), "--camera", "96x128"]
    assert export.main(given) == 0
    frames = make_frames(96, 128)
    assert Segmenter.load(file, device="cpu")(*frames).mask.shape == (96, 128)
