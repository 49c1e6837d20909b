"""`Segmenter`: what a robot calls."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.device import pick_device
from test.core.conftest import PLAIN, make_frames, make_model, train_lora


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    model = train_lora(make_model())
    model.info = replace(model.info, preprocess=PreprocessConfig(input_size=(64, 96)))
    return model.save(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="module")
def segmenter(checkpoint) -> Segmenter:
    return Segmenter.load(checkpoint, **PLAIN)


@pytest.mark.parametrize("size", [(48, 64), (33, 97), (130, 70)])
def test_mask_has_the_rgb_cameras_size(segmenter: Segmenter, size: tuple[int, int]) -> None:
    rgb, _ = make_frames(*size)
    _, thermal = make_frames(24, 32)
    result = segmenter(rgb, thermal)
    assert result.mask.shape == result.confidence.shape == size
    assert result.mask.dtype == result.confidence.dtype == np.uint8
    assert result.mask.max() < len(segmenter.classes)
    assert set(result.timing) == {"preprocess", "forward", "postprocess"}
    assert segmenter(None, thermal).mask.shape == (24, 32)
    assert segmenter(rgb, None).mask.shape == size


def test_result_equals_the_plain_model(segmenter: Segmenter, checkpoint) -> None:
    from sartm_core.model.sartm import SARTM
    from sartm_core.preprocess.prepare import prepare

    rgb, thermal = make_frames(64, 96)
    model = SARTM.load(checkpoint)
    with torch.inference_mode():
        probability = model(*prepare(rgb, thermal, model.info.preprocess)).logits[0].softmax(0)
    result = segmenter(rgb, thermal)
    agree = (torch.from_numpy(result.mask) == probability.argmax(0)).float().mean()
    assert agree > 0.999
    np.testing.assert_allclose(result.confidence, probability.amax(0).numpy() * 255, atol=1.0)


@pytest.mark.parametrize("dtype,scale", [(np.uint16, 100), (np.float32, 0.1)])
def test_thermal_of_any_type_gives_the_same_mask(segmenter: Segmenter, dtype: type, scale: float) -> None:
    rgb, thermal = make_frames()
    plain, other = segmenter(rgb, thermal), segmenter(rgb, (thermal.astype(np.float64) * scale).astype(dtype))
    assert (plain.mask == other.mask).mean() > 0.999


def test_unsure_pixels_become_255(segmenter: Segmenter) -> None:
    frames = make_frames()
    sure, all_of_it = segmenter(*frames, confidence_threshold=0.5), segmenter(*frames)
    unsure = sure.mask == 255
    assert unsure.any() and (sure.confidence[unsure] < 128).all() and (sure.confidence[~unsure] >= 127).all()
    assert (sure.mask[~unsure] == all_of_it.mask[~unsure]).all()


def test_confidence_that_nobody_wants_is_not_made(segmenter: Segmenter) -> None:
    frames = make_frames()
    assert segmenter(*frames, confidence=False).confidence is None
    assert (segmenter(*frames, confidence=False).mask == segmenter(*frames).mask).all()
    unsure = segmenter(*frames, confidence=False, confidence_threshold=0.5)
    assert unsure.confidence is None and (unsure.mask == segmenter(*frames, confidence_threshold=0.5).mask).all()


def test_own_thermal_range_replaces_the_checkpoints(checkpoint) -> None:
    norm = ThermalNorm("range", 280.0, 320.0)
    assert Segmenter.load(checkpoint, **PLAIN, thermal=norm).preprocess.thermal == norm


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_precisions_agree(checkpoint, segmenter: Segmenter, precision: str) -> None:
    frames = make_frames(64, 96)
    other = Segmenter.load(checkpoint, device="cpu", engine="torch", precision=precision)
    assert (other(*frames).mask == segmenter(*frames).mask).mean() > 0.95


@pytest.mark.parametrize(
    "arguments,match",
    [
        ({"engine": "tensor"}, "Segmenter.engine: got 'tensor', expected one of"),
        ({"precision": "fp8"}, "Segmenter.precision"),
        ({"device": "gpu"}, "device: got 'gpu'"),
        ({"device": "cuda:99"}, "device: 'cuda:99' asked for, torch sees"),
    ],
)
def test_wrong_settings_name_the_argument(checkpoint, arguments: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Segmenter.load(checkpoint, **arguments)


def test_calls_from_several_threads_do_not_mix_their_cameras(segmenter: Segmenter) -> None:
    rgb, thermal = make_frames()
    cameras = [(rgb, thermal), (rgb, None), (None, thermal)] * 10
    expected = [segmenter(*c).mask for c in cameras]
    with ThreadPoolExecutor(3) as pool:
        masks = list(pool.map(lambda c: segmenter(*c).mask, cameras))
    assert all(np.array_equal(a, b) for a, b in zip(expected, masks, strict=True))


def test_another_input_size(checkpoint) -> None:
    segmenter = Segmenter.load(checkpoint, **PLAIN, input_size=(32, 64))
    shapes = []
    run = segmenter._network._run
    segmenter._network._run = lambda rgb, thermal: shapes.append(tuple(thermal.shape[2:])) or run(rgb, thermal)
    frames = make_frames(32, 64)
    assert segmenter.input_size == (32, 64) and segmenter(*frames).mask.shape == (32, 64)
    segmenter.set_input_size((64, 128))
    assert segmenter.input_size == (64, 128) and segmenter(*frames).mask.shape == (32, 64)
    assert shapes == [(32, 64), (64, 128)]
    assert segmenter.preprocess.thermal == ThermalNorm()


def test_wrong_input_size_is_refused_and_changes_nothing(checkpoint) -> None:
    with pytest.raises(ValueError, match=r"input_size: got \(100, 64\), expected \(height, width\) in multiples of 32"):
        Segmenter.load(checkpoint, **PLAIN, input_size=(100, 64))
    segmenter = Segmenter.load(checkpoint, **PLAIN)
    with pytest.raises(ValueError, match="input_size"):
        segmenter.set_input_size((0, 64))
    assert segmenter.input_size == (64, 96)


def test_the_file_is_known_by_its_hash(checkpoint, segmenter: Segmenter) -> None:
    assert segmenter.sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert Segmenter(make_model(), **PLAIN).sha256 == ""


def test_gpu_memory_is_told_on_a_gpu_only(segmenter: Segmenter) -> None:
    assert segmenter.memory_mb() is None
    Segmenter.free_memory()
    assert segmenter(*make_frames()).mask.shape == (48, 64)


def test_check_passes_good_weights(segmenter: Segmenter) -> None:
    rgb, thermal = make_frames()
    for frames in ((rgb, thermal), (rgb, None), (None, thermal)):
        segmenter.check(*frames)


def test_check_names_weights_that_give_no_numbers() -> None:
    model = make_model()
    with torch.no_grad():
        next(model.fusion.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match=r"^broken: \d+ of \d+ scores are not finite in fp32; the weights are damaged"):
        Segmenter(model, name="broken", **PLAIN).check(*make_frames(32, 32))


def test_check_names_scores_of_a_wrong_shape(checkpoint) -> None:
    segmenter = Segmenter.load(checkpoint, **PLAIN)
    run = segmenter._network._run
    segmenter._network._run = lambda rgb, thermal: run(rgb, thermal)[:, :3]
    with pytest.raises(ValueError, match=r"tiny: .*shape \(1, 3, 16, 24\), expected \(1, 4, 16, 24\)"):
        segmenter.check(*make_frames(64, 96))


def test_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors"):
        Segmenter.load("nowhere.safetensors")


def test_device_auto_is_cpu_without_cuda() -> None:
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_files_of_swapped_cameras_are_warned_of(segmenter: Segmenter, tmp_path, recwarn) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    color, grey = tmp_path / "color.png", tmp_path / "grey.png"
    Image.fromarray(noise).save(color)
    Image.fromarray(np.repeat(noise[..., :1], 3, 2)).save(grey)
    segmenter(color, grey)
    assert not [one for one in recwarn if "swapped" in str(one.message)]
    with pytest.warns(UserWarning, match="are the two cameras swapped"):
        segmenter(grey, color)
