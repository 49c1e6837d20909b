"""What exported files do around the network, before anything is exported: the same numbers as on the robot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.preprocess.normalise import normalize_thermal
from sartm_core.preprocess.prepare import prepare
from sartm_core.preprocess.thermal.parts import traced_percentiles
from sartm_core.runtime.exported.stages import Finish, Prepare, Thermal
from sartm_core.runtime.graph.graph import FixedGraph, FoldedSARTM
from sartm_core.runtime.postprocess import ids_and_confidence
from test.core.conftest import make_batch, make_frames, make_model, train_lora

SIZE = (64, 96)
NORMS = (
    ThermalNorm(),
    ThermalNorm("percentile", 0.0, 100.0),
    ThermalNorm("range", 20.0, 180.5),
    ThermalNorm("unit"),
    ThermalNorm("standardise"),
)
TYPES = ("uint8", "uint16", "float32")


def thermal_frame(dtype: str, height: int = 60, width: int = 70) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.random((height, width)) ** 3 * {"uint8": 255, "uint16": 30000, "float32": 40.0}[dtype]).astype(dtype)


def exported(thermal: np.ndarray, norm: ThermalNorm) -> np.ndarray:
    return Thermal(norm, str(thermal.dtype))(torch.from_numpy(thermal).float()).numpy()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: f"{norm.mode}-{norm.high:g}")
def test_thermal_numbers_are_those_of_the_robot(dtype: str, norm: ThermalNorm) -> None:
    thermal = thermal_frame(dtype)
    np.testing.assert_allclose(exported(thermal, norm), normalize_thermal(thermal, norm), atol=1e-5)


@pytest.mark.parametrize("dtype", TYPES)
def test_a_closed_shutter_is_not_stretched(dtype: str) -> None:
    thermal = np.full((40, 40), 100, dtype)
    thermal[0, 0] += 1
    np.testing.assert_allclose(exported(thermal, ThermalNorm()), normalize_thermal(thermal, ThermalNorm()), atol=1e-6)


@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: f"{norm.mode}-{norm.high:g}")
def test_missing_pixels_count_for_nothing(norm: ThermalNorm) -> None:
    thermal = thermal_frame("float32")
    thermal[np.random.default_rng(1).random(thermal.shape) < 0.4] = np.nan
    thermal[0, 0], thermal[4, 8] = np.inf, -np.inf
    np.testing.assert_allclose(exported(thermal, norm), normalize_thermal(thermal, norm), atol=1e-5)


def test_a_frame_without_sampled_pixels_still_gives_numbers() -> None:
    thermal = np.full((40, 40), np.nan, np.float32)
    thermal[1, 1] = 0.25  # between the sampled pixels
    values = exported(thermal, ThermalNorm())
    assert values[1, 1] == 0.5 and (np.delete(values.ravel(), 41) == 0).all()


def test_percentiles_are_numpys_at_every_size() -> None:
    rng = np.random.default_rng(2)
    for count in (1, 2, 19_201, 129_600):  # the last: 1080x1920
        sample = rng.random(count).astype(np.float32)
        for percent in (0.0, 12.5, 50.0, 99.95, 100.0):
            (found,) = traced_percentiles(torch.from_numpy(sample), percent)
            np.testing.assert_allclose(found, np.percentile(sample, percent), atol=1e-6)


@pytest.mark.parametrize("camera,thermal_camera", [(SIZE, SIZE), ((48, 64), (130, 170)), ((100, 80), (60, 70))])
def test_inputs_of_the_network_are_those_of_the_robot(camera: tuple[int, int], thermal_camera: tuple[int, int]) -> None:
    from sartm_core.runtime.exported.description import fixed

    config = fixed(PreprocessConfig(rgb_mean=(0.4, 0.5, 0.6)), SIZE)
    rgb, _ = make_frames(*camera)
    thermal = thermal_frame("uint16", *thermal_camera)
    expected = prepare(rgb, thermal, config)
    found = Prepare(config, SIZE, camera, thermal_camera, "uint16")(torch.from_numpy(rgb), torch.from_numpy(thermal))
    for a, b in zip(found, expected, strict=True):
        assert b is not None and a.shape[2:] == SIZE
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_masks_are_those_of_the_robot() -> None:
    scores = torch.randn(1, 5, SIZE[0] // 4, SIZE[1] // 4) * 3
    mask, confidence = Finish(5, SIZE, (75, 90), 4)(scores)
    ids, sure = ids_and_confidence(scores[0], (75, 90))
    assert torch.equal(mask, ids) and mask.shape == (75, 90)
    assert (confidence.int() - sure.int()).abs().max() <= 1


@pytest.mark.parametrize("fusion", ["frm_ffm", "mean", "late"])
def test_the_graph_equals_the_model_with_any_fusion_and_any_camera(fusion: str) -> None:
    model = train_lora(make_model(fusion=fusion)).eval()
    graph = FixedGraph(FoldedSARTM(model), SIZE).eval()
    rgb, thermal = make_batch(1, *SIZE)
    with torch.inference_mode():
        for there in ((True, True), (True, False), (False, True)):
            given = (rgb if there[0] else None, thermal if there[1] else None)
            expected = model(*given, size=(SIZE[0] // 4, SIZE[1] // 4)).logits
            found = graph(rgb * there[0], thermal * there[1], torch.tensor(there))
            torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
