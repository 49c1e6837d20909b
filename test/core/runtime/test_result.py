"""Frames in every form people have them, and what a result shows of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sartm_core import FramePair, Segmenter
from sartm_core.runtime.result import SegmentationResult

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (64, 96, 3), np.uint8)
THERMAL = RNG.integers(20_000, 30_000, (32, 48), np.uint16)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.load(engine="torch", precision="fp32", input_size=(64, 96))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("frames")
    Image.fromarray(RGB).save(folder / "rgb.png")
    Image.fromarray(THERMAL).save(folder / "thermal.png")
    return folder / "rgb.png", folder / "thermal.png"


@pytest.mark.parametrize("form", ["path", "text", "pillow", "tensor", "channels first"])
def test_every_form_of_the_frames_gives_the_mask_of_the_arrays(segmenter: Segmenter, files, form: str) -> None:
    rgb, thermal = {
        "path": files,
        "text": tuple(map(str, files)),
        "pillow": tuple(map(Image.open, files)),
        "tensor": (torch.from_numpy(RGB), torch.from_numpy(THERMAL.astype(np.int32)).to(torch.float32)),
        "channels first": (torch.from_numpy(RGB).permute(2, 0, 1), torch.from_numpy(THERMAL.astype(np.float32))[None]),
    }[form]
    expected = segmenter(RGB, THERMAL)
    assert np.array_equal(segmenter(rgb, thermal).mask, expected.mask)


def test_one_camera_alone(segmenter: Segmenter, files) -> None:
    assert np.array_equal(segmenter(files[0]).mask, segmenter(RGB, None).mask)
    assert segmenter(thermal=files[1]).mask.shape == THERMAL.shape


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({}, "rgb, thermal: both are None"),
        ({"rgb": 3}, "rgb: got int, expected a numpy array"),
        ({"rgb": [[1, 2], [3, 4]]}, "rgb: got list"),
        ({"rgb": "no.png"}, r"rgb: no\.png: no such file"),
        ({"thermal": "no.png"}, r"thermal: no\.png: no such file"),
        ({"rgb": Image.new("I;16", (4, 4))}, "rgb: got a Pillow image of mode I;16"),
        ({"rgb": torch.rand(3, 8, 8)}, "rgb: .*float32"),
        ({"rgb": RGB[..., 0]}, r"rgb: .*\(64, 96\)"),
        ({"thermal": RGB}, "thermal: "),
    ],
)
def test_anything_else_is_a_value_error_that_names_the_argument(segmenter: Segmenter, arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segmenter(**arguments)


def test_a_stream_gives_results_as_they_come_and_names_the_bad_pair(segmenter: Segmenter) -> None:
    seen = []

    def pairs():
        for _ in range(2):
            seen.append(len(seen))
            yield RGB, THERMAL
        yield RGB, "no.png"

    results = segmenter.stream(pairs(), confidence=False)
    first = next(results)
    assert seen == [0] and first.confidence is None
    assert np.array_equal(next(results).mask, first.mask)
    with pytest.raises(ValueError, match=r"pair 2: thermal: no\.png"):
        next(results)


def make_result(mask: np.ndarray, **changes) -> SegmentationResult:
    height, width = mask.shape
    pair = FramePair(np.full((height, width, 3), 100, np.uint8), np.zeros((height, width), np.uint8))
    values = {"classes": ("nothing", "car"), "palette": ((0, 0, 0), (200, 0, 0)), "pair": pair, **changes}
    return SegmentationResult(mask, np.full_like(mask, 7), {"forward": 3.0}, **values)


MASK = np.array([[0, 0, 0, 1], [0, 0, 255, 1]], np.uint8)


def test_classes_present_by_share() -> None:
    assert make_result(MASK).classes_present() == {"nothing": 5 / 8, "car": 2 / 8, "ignored": 1 / 8}


def test_repr_is_one_line_for_people() -> None:
    assert repr(make_result(MASK)) == "SegmentationResult(4x2: nothing 62.5%, car 25.0%, ignored 12.5%; forward 3 ms)"


def test_the_overlay_blends_and_leaves_the_rest(segmenter: Segmenter) -> None:
    out = make_result(MASK).overlay(alpha=1.0)
    assert out.shape == (2, 4, 3) and tuple(out[0, 3]) != (100, 100, 100) and tuple(out[0, 0]) == (100, 100, 100)
    only_thermal = segmenter(None, THERMAL)
    assert only_thermal.overlay().shape == (*THERMAL.shape, 3)


def test_saved_files_read_back(tmp_path: Path) -> None:
    paths = make_result(MASK).save(tmp_path / "new", "a")
    assert [path.name for path in paths] == ["a_mask.png", "a_overlay.png", "a_confidence.png"]
    assert np.array_equal(np.array(Image.open(paths[0])), MASK)
    assert np.array_equal(np.array(Image.open(paths[2])), np.full_like(MASK, 7))


def test_a_notebook_shows_the_frames_side_by_side(segmenter: Segmenter) -> None:
    png = segmenter(RGB, THERMAL)._repr_png_()
    assert png.startswith(b"\x89PNG")
    both, alone = segmenter(RGB, THERMAL).plot(), segmenter(RGB).plot()
    assert both.width * 2 == alone.width * 3


def test_a_result_without_frames_says_so() -> None:
    with pytest.raises(ValueError, match="without its frames"):
        make_result(MASK, pair=None).overlay()


def test_weights_of_another_kind_name_the_importer(tmp_path: Path) -> None:
    torch.save({"model": {}}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="sartm import"):
        Segmenter.load(tmp_path / "x.pt")
