"""From a warm start to the mask without torch: the same result, and torch is not imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sartm_core.model.config import ModelConfig
from sartm_core.model.sartm import SARTM
from sartm_core.preprocess import landing
from sartm_core.preprocess.camera import Camera
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.parallax import DepthRegistration
from sartm_core.preprocess.prepare import Pixels, prepare, prepare_arrays
from sartm_core.preprocess.registration import Registration
from sartm_core.preprocess.resize import resize, resized
from sartm_core.runtime.batching import FramePair
from sartm_core.runtime.postprocess import picture, picture_of_array, probabilities, probabilities_of_array
from sartm_core.support.device import CPU
from test.core.conftest import stepped

ROUNDING = 2e-4
"""Largest difference of thermal values, which lie around 0..1: places in float32 and float64."""
TURNED = Registration((0.9, 0.05, 3.0, -0.04, 1.1, -2.0, 1e-4, 0.0, 1.0))
RUN = """
import json, sys
import numpy as np
from sartm_core.preprocess.camera import Camera
from sartm_core.preprocess.parallax import DepthRegistration
from sartm_core.preprocess.registration import Registration
from sartm_core.runtime.segmenter import Segmenter
segmenter = Segmenter.load(sys.argv[1], device="auto", precision="fp32", threads=1)
random = np.random.default_rng(0)
rgb, thermal = random.integers(0, 256, (64, 96, 3), np.uint8), random.integers(0, 9999, (50, 70)).astype(np.uint16)
result = segmenter(rgb, thermal, registration=Registration.scale_shift((0.9, 0.9), (2, 1)), confidence_threshold=0.1)
segmenter.check(rgb, None)
eye, seen = Camera.of(96, 64, (80, 0, 48, 0, 80, 32, 0, 0, 1)), Camera.of(70, 50, (60, 0, 35, 0, 60, 25, 0, 0, 1))
view = DepthRegistration(eye, seen, tuple(np.eye(4).ravel())).at(np.full((64, 96), 5, np.float32))
deep = segmenter(rgb, thermal, registration=view)
view.thermal_pixels((50, 70), (64, 96)), view.rgb_pixels((50, 70), (64, 96)), view.occluded((50, 70), (64, 96))
segmenter.free_memory()
masks = {"mask": result.mask.tolist(), "sure": result.confidence.tolist(), "deep": deep.mask.tolist()}
print(json.dumps({"torch": "torch" in sys.modules, **masks}))
"""


def frames(rgb: tuple[int, int], thermal: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (*rgb, 3), np.uint8), random.normal(300, 5, thermal).astype(np.float32)


def compare(pair: FramePair, config: PreprocessConfig) -> None:
    given = (pair.rgb, pair.thermal, config)
    expected = prepare(*given, registration=pair.registration, pixels=Pixels.ALWAYS)
    found = prepare_arrays(*given, registration=pair.registration)
    for tensor, array in zip(expected, found, strict=True):
        assert (tensor is None) == (array is None)
        if tensor is not None and array is not None:
            assert array.flags.c_contiguous and tuple(tensor.shape) == array.shape
            assert array.dtype == tensor.numpy().dtype
            limit = 1 if array.dtype == np.uint8 else ROUNDING
            assert np.abs(array.astype(np.float32) - tensor.numpy()).max() <= limit


@pytest.mark.parametrize("size", [(64, 96), None, (32, 160)])
@pytest.mark.parametrize("registration", [None, TURNED, Registration.scale_shift((0.5, 0.7), (4, -3))])
@pytest.mark.parametrize("thermal", [(64, 96), (40, 50), (90, 200), (30, 150)])
def test_inputs_are_those_of_torch(
    size: tuple[int, int] | None, registration: Registration | None, thermal: tuple[int, int]
) -> None:
    config = PreprocessConfig(input_size=size)
    for rgb in ((64, 96), (70, 50), (100, 200)):
        compare(FramePair(*frames(rgb, thermal), registration), config)


def test_one_camera_alone_and_depth() -> None:
    rgb, thermal = frames((64, 96), (40, 50))
    config = PreprocessConfig(input_size=(64, 96))
    compare(FramePair(rgb, None), config)
    compare(FramePair(None, thermal, TURNED), config)


def cameras_and_depth(
    thermal: tuple[int, int], lens: tuple[float, ...], fallback: Registration | None
) -> tuple[DepthRegistration, np.ndarray]:
    """An rgb camera of 64x48, a thermal one beside it, and a wall behind a box, with holes."""
    (height, width), beside = thermal, np.eye(4)
    beside[0, 3] = 0.1
    cameras = (
        Camera.of(64, 48, (50, 0, 32, 0, 50, 24, 0, 0, 1)),
        Camera.of(width, height, (0.75 * width, 0, width / 2, 0, 0.75 * width, height / 2, 0, 0, 1), lens),
    )
    depth = np.random.default_rng(1).uniform(7, 9, (48, 64)).astype(np.float32)
    depth[10:30, 20:40] = 2.0
    depth[30:40, :9] = np.nan
    return DepthRegistration(*cameras, tuple(beside.ravel()), fallback), depth


@pytest.mark.parametrize("thermal", [(30, 40), (120, 160)])
@pytest.mark.parametrize("lens", [(), (-0.2, 0.05, 0.001, 0.001, 0.0)])
@pytest.mark.parametrize("fallback", [None, TURNED])
def test_inputs_through_depth_are_those_of_torch(
    thermal: tuple[int, int], lens: tuple[float, ...], fallback: Registration | None
) -> None:
    cameras, depth = cameras_and_depth(thermal, lens, fallback)
    rgb, seen = frames((48, 64), thermal)
    view = cameras.at(depth)
    for size in ((64, 96), None, (64, 96)):  # nothing is left behind by who asked before
        compare(FramePair(rgb, seen, view), PreprocessConfig(input_size=size))
    assert not (view.land(thermal[::-1], (64, 48), (64, 48)).visible & ~np.isfinite(depth)).any()


@pytest.mark.parametrize("lens", [(), (-0.2, 0.05, 0.001, 0.001, 0.0)])
def test_pixels_land_on_a_gpu_as_on_a_cpu(lens: tuple[float, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    cameras, depth = cameras_and_depth((120, 160), lens, None)
    given = cameras.rgb, cameras.thermal, cameras.rgb_to_thermal, cameras.at(depth).depth, cameras.tolerance, CPU
    found = landing.land(*given)
    monkeypatch.setattr(landing, "on_gpu", lambda _: True)
    expected = landing.land(*given)
    assert isinstance(expected.u, torch.Tensor) and found.occluded.any() and not found.known.all()
    for name in ("known", "visible", "occluded"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name).numpy())
    for name in ("u", "v", "nearness"):
        where = found.visible
        np.testing.assert_allclose(getattr(found, name)[where], getattr(expected, name).numpy()[where], rtol=1e-5)


def test_both_missing_or_of_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="both are None"):
        prepare_arrays(None, None, PreprocessConfig())
    with pytest.raises(ValueError, match="rgb: got shape"):
        prepare_arrays(np.zeros((3, 64, 64), np.uint8), None, PreprocessConfig())
    nowhere = Registration.scale_shift((1, 1), (5000, 0))
    with pytest.raises(ValueError, match="registration"):
        prepare_arrays(*frames((64, 96), (40, 50)), PreprocessConfig(), nowhere)


@given(sizes=st.tuples(*[st.integers(2, 60)] * 4), seed=st.integers(0, 99))
def test_resizing_is_that_of_torch(sizes: tuple[int, int, int, int], seed: int) -> None:
    """From 2 pixels on: torch takes a picture one pixel wide for another memory format, and repeats its first row."""
    height, width, *size = sizes
    image = np.random.default_rng(seed).random((height, width), np.float32)
    expected = resize(torch.from_numpy(image)[None, None], (size[0], size[1]))[0, 0].numpy()
    np.testing.assert_allclose(resized(image, (size[0], size[1])), expected, atol=ROUNDING)


@pytest.mark.parametrize("threshold", [0.0, 0.6])
@pytest.mark.parametrize("confidence", [False, True])
@pytest.mark.parametrize("shape", [(48, 64), (45, 61)])
def test_masks_of_scores_everywhere_uncertain(confidence: bool, threshold: float, shape: tuple[int, int]) -> None:
    """There torch enlarges everything; without it, the same comes out of all parts."""
    scores = np.random.default_rng(3).normal(0, 1, (5, 12, 16)).astype(np.float32)
    pair = FramePair(*frames(shape, (12, 16)), confidence=confidence, confidence_threshold=threshold)
    expected = picture(torch.from_numpy(scores), pair, (48, 64))
    found = picture_of_array(scores, pair, (48, 64))
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert array.dtype == np.uint8 and array.flags.c_contiguous
        differing = array != expected[name].numpy()
        assert differing.mean() < 0.005, f"{name}: ties and rounding only"


@pytest.mark.parametrize("covered", [(12, 16), (11, 19), (5, 40)])
def test_probabilities(covered: tuple[int, int]) -> None:
    scores = np.random.default_rng(3).normal(0, 2, (5, 12, 16)).astype(np.float32)
    size = (covered[0] - 1, covered[1] - 2)
    expected, found = (
        probabilities(torch.from_numpy(scores), size, covered).numpy(), probabilities_of_array(scores, size, covered)
    )  # fmt: skip
    assert found.flags.c_contiguous and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_warm_start_does_without_torch_and_gives_the_same(tmp_path: Path) -> None:
    """It took 470 MiB and three seconds of a robot that has another library run the network."""
    pytest.importorskip("openvino")
    path = tmp_path / "nano.safetensors"
    stepped(SARTM(ModelConfig(backbone="hiera_nano", classes=("unlabeled", "car"), lora_rank=2))).save(path)

    def started() -> dict[str, object]:
        out = subprocess.run(
            [sys.executable, "-c", RUN, str(path)], capture_output=True, text=True, timeout=200, check=True
        )
        return dict(json.loads(out.stdout.splitlines()[-1]))

    cold, warm = started(), started()
    assert cold.pop("torch") and (torch.cuda.is_available() or not warm["torch"])
    warm.pop("torch")
    assert warm == cold and len(np.unique(np.array(cold["mask"]))) > 1
