"""The authors' training checkpoints through our model: the same logits as the description of item 5 gives."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sam2.modeling.sam2_base import SAM2Base

from sartm_core.evaluate import tta
from sartm_core.export.config import ExportConfig
from sartm_core.export.run import describe
from sartm_core.import_weights.__main__ import main
from sartm_core.import_weights.authors import class_names, import_authors
from sartm_core.import_weights.run import Sources, import_weights, write
from sartm_core.model.config import ModelConfig
from sartm_core.model.sartm import SARTM
from sartm_core.runtime.batching import FramePair
from sartm_core.runtime.graph.graph import FoldedSARTM
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.train.config import TrainConfig
from sartm_core.train.start import build_model
from test.core import foreign_weights as foreign
from test.core.conftest import PLAIN, make_frames

CLASSES = ("background", "hand-drill", "backpack", "fire-extinguisher", "survivor")
CLOSE = {"atol": 1e-4, "rtol": 0}
STEP = 2e-7
"""Of float32 numbers, relative: near -512, where one modality is shut off, two of them are 1.2e-4."""


@pytest.fixture(scope="module")
def authors(tmp_path_factory) -> tuple[SAM2Base, Path]:
    """Their network and its file."""
    sam = foreign.authors_model(len(CLASSES))
    path = tmp_path_factory.mktemp("authors") / "pst900.pth"
    torch.save(foreign.authors_file(sam), path)
    return sam, path


@pytest.fixture(scope="module")
def imported(authors, tmp_path_factory) -> Path:
    """Our file."""
    output = tmp_path_factory.mktemp("ours") / "pst900.safetensors"
    write(import_weights(Sources(authors[1])), output)
    return output


@pytest.fixture(scope="module")
def ours(imported: Path) -> SARTM:
    """What is read back from it."""
    return SARTM.load(imported)


@pytest.mark.parametrize("gate", ["open", "half", "shut"])
def test_same_logits_as_the_description(authors, ours: SARTM, gate: str) -> None:
    """With the object scores of both modalities, of one, of none positive; also in the graph that engines run."""
    sam = authors[0]
    rgb, thermal = foreign.inputs(*make_frames(*foreign.CAMERA))
    last = sam.sam_mask_decoder.pred_obj_score_head.layers[-1]
    last.bias.data.zero_()
    scores = [float(foreign.decode(sam, image)[1]) for image in (rgb, thermal.expand(-1, 3, -1, -1))]
    assert abs(scores[0] - scores[1]) > 1e-3
    bias = {"open": 1 - min(scores), "half": -sum(scores) / 2, "shut": -1 - max(scores)}[gate]
    for head in (last, ours.mask_decoder.sam.pred_obj_score_head.layers[-1]):
        head.bias.data.fill_(bias)
    expected = foreign.authors_logits(sam, rgb, thermal)
    with torch.inference_mode():
        found = ours(rgb, thermal).logits
        folded = FoldedSARTM(ours)
        engine = torch.nn.functional.interpolate(
            folded(rgb, thermal, folded.layout((foreign.SIDE,) * 2)), scale_factor=4, mode="bilinear"
        )
    assert (expected.std() > 0.1) == (gate != "shut")
    assert (expected.min() < -500) == (gate != "open")
    close = CLOSE if gate == "open" else {**CLOSE, "rtol": STEP}
    torch.testing.assert_close(found, expected, **close)
    torch.testing.assert_close(engine, expected, **close)


@pytest.mark.parametrize("frame", [foreign.CAMERA, (96, 96), (90, 50)])
def test_same_logits_from_camera_frames(authors, imported: Path, frame: tuple[int, int]) -> None:
    """Normalised, padded to a square, segmented, cut to the frame: as the description does it."""
    sam = authors[0]
    sam.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.data.fill_(1e3)
    model = SARTM.load(imported)
    model.mask_decoder.sam.pred_obj_score_head.layers[-1].bias.data.fill_(1e3)
    segmenter = Segmenter(model, **PLAIN)
    rgb, thermal = make_frames(*frame)
    height, width = frame
    expected = foreign.authors_logits(sam, *foreign.inputs(rgb, thermal))[0, :, :height, :width]
    torch.testing.assert_close(segmenter.logits(rgb, thermal, frame), expected, **CLOSE)
    result = segmenter(rgb, thermal)
    assert result.mask.shape == result.confidence.shape == frame
    assert (result.mask == expected.argmax(0).numpy()).mean() > 0.999
    only_ids = segmenter.batch([FramePair(rgb, thermal, confidence=False)] * 2)[1].mask
    assert only_ids.flags.c_contiguous and (only_ids == result.mask).mean() > 0.999


def test_a_padded_network_at_another_size(ours: SARTM) -> None:
    """With an input size the frame gets its area; everything else follows."""
    segmenter = Segmenter(ours, **PLAIN)
    segmenter.set_input_size((64, 64))
    rgb, thermal = make_frames(72, 128)
    assert segmenter.preprocess.content_size(72, 128) == (48, 85)
    assert segmenter.preprocess.model_size(72, 128) == (96, 96)
    assert segmenter(rgb, thermal).mask.shape == (72, 128)
    views = tta.scaled(segmenter.preprocess, 1.5, rgb.shape)
    assert views.content_size(72, 128) == (68, 121)  # of 72 x 127, in whole strides
    assert segmenter.logits(rgb, thermal, (36, 64), views).shape == (len(CLASSES), 36, 64)


def test_where_frames_cannot_be_padded_it_says_so(ours: SARTM) -> None:
    with pytest.raises(ValueError, match="file.safetensors: its frames are padded"):
        describe(ours, ExportConfig(output="file.onnx"), Path("file.safetensors"), "")
    config = TrainConfig(model=ModelConfig(train_encoder=True), preprocess=ours.info.preprocess)
    with pytest.raises(ValueError, match="PreprocessConfig.pad: 'square' is for imported weights only"):
        build_model(config)


def test_adapters_are_in_it(authors) -> None:
    """The tests of equal logits could not pass without them: they move the logits by far more than is allowed."""
    sam = authors[0]
    sam.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.data.fill_(1e3)
    inputs = foreign.inputs(*make_frames(*foreign.CAMERA))
    before = foreign.authors_logits(sam, *inputs)
    third = [parameter for name, parameter in sam.named_parameters() if ".linear_b_q3." in name]
    for parameter in third:
        parameter.data.neg_()
    after = foreign.authors_logits(sam, *inputs)
    for parameter in third:
        parameter.data.neg_()
    assert (after - before).abs().max() > 1e-2


def test_as_a_command(authors, tmp_path: Path) -> None:
    output = tmp_path / "pst900.safetensors"
    command = [sys.executable, "-m", "sartm_core.import_weights", str(authors[1]), "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert "sam2_hiera_t, 5 classes: background, hand-drill, backpack, fire-extinguisher, survivor" in done.stdout
    assert "5 tensors: part of their training, not of their output" in done.stdout
    assert "1 tensors: their output does without it" in done.stdout
    report = json.loads(output.with_suffix(".json").read_text())
    source = torch.load(authors[1], weights_only=True)
    assert sorted([*report["used"], *report["ignored"]]) == sorted(source)
    assert "sam.image_encoder.trunk.blocks.1.attn.qkv.linear_b_v3.weight" in report["used"]
    assert report["ignored"]["sam.sam_mask_decoder.output_hypernetworks_mlps.0.layers.0.weight"]
    assert not report["untrained"]
    info = SARTM.load(output).info
    assert info.preprocess.pad == "square" and info.preprocess.thermal.mode == "unit"
    assert info.preprocess.input_size is None
    assert info.protocol["imported"]["files"].keys() == {authors[1].name}


def without(source: dict, name: str) -> dict:
    return {key: value for key, value in source.items() if key != name}


BLOCK = "sam.image_encoder.trunk.blocks.1.attn.qkv."
BAD = {
    "unknown below": (lambda s: s | {"sam.surprise.weight": torch.ones(1)}, "unknown tensor 'sam.surprise.weight'"),
    "unknown beside": (lambda s: s | {"head.weight": torch.ones(1)}, "unknown tensor 'head.weight' beside sam"),
    "no product": (lambda s: without(s, f"{BLOCK}linear_a_v2.weight"), "blocks.1.attn.qkv.linear_{a,b}_v2.weight"),
    "no projection": (lambda s: without(s, f"{BLOCK}qkv.weight"), f"lacks the projection {BLOCK}qkv.weight"),
    "no token": (lambda s: without(s, "sam.sam_mask_decoder.mask_tokens.weight"), "lacks 'sam.sam_mask_decoder"),
    "no neck": (lambda s: without(s, "sam.image_encoder.neck.convs.0.conv.bias"), "lacks 1 tensors"),
    "rank": (lambda s: s | {f"{BLOCK}linear_b_q.weight": torch.ones(96, 3)}, "expected (rank, 96) and (96, rank)"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_known_is_refused_by_name(authors, case: str) -> None:
    change, expected = BAD[case]
    with pytest.raises(ValueError, match=re.escape(expected)):
        import_authors(change(foreign.authors_file(authors[0])), Path("bad.pth"), None)


def test_bad_file_as_a_command(authors, tmp_path: Path, capsys) -> None:
    path, output = tmp_path / "bad.pth", tmp_path / "out.safetensors"
    torch.save({"state_dict": foreign.authors_file(authors[0]) | {"head": torch.ones(1)}}, path)
    refused([str(path), "--output", str(output)], f"import: {path}: unknown tensor 'head'", capsys)
    refused([str(path), "--output", str(tmp_path / "out.pt")], "must end in .safetensors", capsys)
    assert not output.exists()


def refused(argv: list[str], expected: str, capsys) -> None:
    """The command ends with 2 and one line."""
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert expected in error and len(error.strip().splitlines()) == 1


class Surprise:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("surprise",)


def test_code_in_a_file_is_not_run(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Surprise()}, "bad.pth")
    refused(
        ["bad.pth", "--output", "out.safetensors"],
        "bad.pth: beside plain tensors it holds a posix.mkdir, which only code",
        capsys,
    )
    (tmp_path / "bad.pth").write_bytes(pickle.dumps([1, 2], protocol=2))
    refused(["bad.pth", "--output", "out.safetensors"], "bad.pth: ", capsys)
    refused(["none.pth", "--output", "out.safetensors"], "none.pth: no such file", capsys)
    assert not (tmp_path / "surprise").exists()


def test_class_names_of_other_weights() -> None:
    five, nine = ({"sam_mask_decoder.mask_tokens.weight": torch.ones(count + 1, 8)} for count in (5, 9))
    names = ("a", "b", "c", "d", "e")
    assert class_names(five, Path("x.pth"), names) == names
    assert class_names(five, Path("x.pth"), None) == CLASSES
    with pytest.raises(ValueError, match="x.pth: has 5 classes, --classes names 2: a, b"):
        class_names(five, Path("x.pth"), names[:2])
    with pytest.raises(ValueError, match="x.pth: has 9 classes, but no names .* give --classes with 9 names"):
        class_names(nine, Path("x.pth"), None)
