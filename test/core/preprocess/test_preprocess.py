"""Camera arrays to model inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.preprocess.normalise import normalize_pixels, normalize_thermal
from sartm_core.preprocess.prepare import Pixels, prepare
from sartm_core.preprocess.thermal import mode_of
from test.core.conftest import make_frames


def test_rgb_is_imagenet_normalised() -> None:
    rgb, thermal = make_frames(64, 96)
    config = PreprocessConfig(input_size=None)
    rgb_in, thermal_in = prepare(rgb, thermal, config)
    expected = (rgb / 255 - np.array(config.rgb_mean)) / np.array(config.rgb_std)
    np.testing.assert_allclose(rgb_in[0].permute(1, 2, 0).numpy(), expected, atol=1e-5)
    assert rgb_in.shape == (1, 3, 64, 96) and thermal_in.shape == (1, 1, 64, 96)


@pytest.mark.parametrize(
    "camera,size",
    [((480, 640), (480, 640)), ((720, 1280), (416, 736)), ((120, 160), (480, 640)), ((640, 480), (640, 480))],
)
def test_any_camera_size_becomes_the_same_area_in_multiples_of_32(camera: tuple, size: tuple) -> None:
    assert PreprocessConfig(input_size=(480, 640)).model_size(*camera) == size


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_model_size_is_always_valid(height: int, width: int) -> None:
    for config in (PreprocessConfig(input_size=None), PreprocessConfig(input_size=(64, 96))):
        assert all(n >= 32 and n % 32 == 0 for n in config.model_size(height, width))


def test_range_maps_low_and_high_to_zero_and_one() -> None:
    kelvin = np.array([[280.0, 320.0], [300.0, np.nan]], np.float32)
    out = normalize_thermal(kelvin, ThermalNorm("range", 280.0, 320.0))
    np.testing.assert_allclose(out, [[0.0, 1.0], [0.5, 0.0]])


def test_unit_divides_by_the_range_of_the_type() -> None:
    norm = ThermalNorm("unit")
    assert normalize_thermal(np.array([[255]], np.uint8), norm)[0, 0] == 1
    assert normalize_thermal(np.array([[65535]], np.uint16), norm)[0, 0] == 1
    assert normalize_thermal(np.array([[0.25]], np.float32), norm)[0, 0] == 0.25


@pytest.mark.parametrize("mode", ["percentile", "standardise"])
@pytest.mark.parametrize("gain,offset,dtype", [(1, 0, np.float32), (0.04, 273.15, np.float32), (100, 5000, np.uint16)])
def test_percentiles_and_deviations_forget_the_camera_unit(gain: float, offset: float, dtype: type, mode: str) -> None:
    """The same scene in 8 bit, in kelvin and in counts gives the same input."""
    _, thermal = make_frames()
    converted = (thermal.astype(np.float64) * gain + offset).astype(dtype)
    norm = ThermalNorm(mode)
    np.testing.assert_allclose(normalize_thermal(converted, norm), normalize_thermal(thermal, norm), atol=2e-3)


def test_standardised_frames_have_mean_0_and_deviation_1() -> None:
    values = np.random.default_rng(0).normal(295.0, 4.0, (480, 640)).astype(np.float32)
    values[100, 100], values[0, 0] = np.nan, 900.0
    out = normalize_thermal(values, ThermalNorm("standardise"))
    assert abs(out.mean()) < 0.02 and abs(out.std() - 1) < 0.02
    assert out[100, 100] == 0 and (out.min(), out.max()) == (-3.0, 6.0), "missing is the mean; the rest is cut"


def test_16_bit_scene_keeps_its_grey_levels() -> None:
    """A 30 K scene in 0.01 K counts: cutting it to 8 bit first would leave 12 levels."""
    counts = np.linspace(29315, 32315, 48 * 64).astype(np.uint16).reshape(48, 64)
    out = normalize_thermal(counts, ThermalNorm("range", 29315, 32315))
    assert len(np.unique(out)) > 2900


@given(st.lists(st.floats(width=32), min_size=1, max_size=64).filter(lambda v: np.isfinite(np.float32(v)).any()))
def test_normalised_values_are_always_finite_and_bounded(values: list[float]) -> None:
    thermal = np.array([values], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for norm in (ThermalNorm(), ThermalNorm("range", 0.0, 1.0), ThermalNorm("standardise")):
            out, (low, high) = normalize_thermal(thermal, norm), mode_of(norm.mode).CLIP
            assert np.isfinite(out).all() and out.min() >= low and out.max() <= high


@pytest.mark.parametrize("dtype,level,noise", [(np.uint8, 80, 1), (np.uint16, 30000, 5), (np.float32, 295.0, 0.05)])
def test_a_closed_shutter_does_not_become_a_hot_street(dtype: type, level: float, noise: float) -> None:
    """Noise of a flat frame used to be stretched over the whole range."""
    flat = (level + noise * np.random.default_rng(0).choice((-1, 0, 1), (48, 64), p=(0.005, 0.99, 0.005))).astype(dtype)
    for mode in ("percentile", "standardise"):
        assert np.abs(normalize_thermal(flat, ThermalNorm(mode))).max() <= 0.51


def test_read_only_message_buffers_work() -> None:
    rgb, thermal = (np.frombuffer(frame.tobytes(), np.uint8).reshape(frame.shape) for frame in make_frames(32, 32))
    assert not rgb.flags.writeable
    rgb_in, _ = prepare(rgb, thermal, PreprocessConfig(input_size=None))
    assert torch.isfinite(rgb_in).all()


@pytest.mark.parametrize(
    "rgb,thermal,match",
    [
        (None, None, "both are None"),
        (np.zeros((4, 4), np.uint8), None, r"rgb: got shape \(4, 4\) uint8; expected \(H, W, 3\) uint8"),
        (np.zeros((4, 4, 3), np.float32), None, "rgb: .*float32"),
        (np.zeros((0, 4, 3), np.uint8), None, "rgb: got shape"),
        (
            None,
            np.zeros((4, 4), np.int32),
            r"thermal: got shape \(4, 4\) int32; expected \(H, W\) uint8, uint16 or float32",
        ),
        (None, np.zeros((4, 4, 1), np.uint8), "thermal: got shape"),
        (None, np.full((4, 4), np.nan, np.float32), "thermal: every value is NaN"),
    ],
)
def test_wrong_frames_name_the_argument(rgb, thermal, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        prepare(rgb, thermal, PreprocessConfig())


@pytest.mark.parametrize(
    "make,match",
    [
        (lambda: ThermalNorm("auto"), "ThermalNorm.mode"),
        (lambda: ThermalNorm("range", 5.0, 5.0), "low must be below high"),
        (lambda: ThermalNorm("percentile", -1.0, 50.0), "percentiles lie in 0..100"),
        (lambda: PreprocessConfig(input_size=(480, 650)), "PreprocessConfig.input_size"),
        (lambda: PreprocessConfig(rgb_std=(1.0, 0.0, 1.0)), "PreprocessConfig.rgb_std"),
    ],
)
def test_wrong_settings_name_the_field(make, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


@given(st.integers(1, 2000), st.integers(1, 2000), st.sampled_from([None, (64, 96), (480, 640)]))
def test_square_padding(height: int, width: int, area: tuple[int, int] | None) -> None:
    """The smallest square of whole strides that holds the frame; without an area the frame keeps its pixels."""
    config = PreprocessConfig(input_size=area, pad="square")
    content, (side, other) = config.content_size(height, width), config.model_size(height, width)
    assert side == other and side % 32 == 0 and side - 32 < max(content) <= side
    covered = config.covered((height, width), (height, width))
    assert covered[0] >= height and covered[1] >= width
    if area is None:
        assert content == (height, width) and covered == (side, side)


@pytest.mark.parametrize("area", [None, (64, 64)])
def test_padding_is_zero_below_and_on_the_right(area: tuple[int, int] | None) -> None:
    rgb, thermal = make_frames(40, 50)
    padded, plain = (PreprocessConfig(input_size=area, pad=pad) for pad in ("square", "none"))
    height, width = padded.content_size(40, 50)
    side = padded.model_size(40, 50)[0]
    inputs = prepare(rgb, thermal, padded)
    for image in inputs:
        assert image.shape[2:] == (side, side)
        assert not image[..., height:, :].any() and not image[..., width:].any() and image[..., :height, :width].any()
    pixels = prepare(rgb, thermal, padded, pixels=Pixels.ALWAYS)[0]
    assert pixels.dtype == torch.uint8 and pixels.shape == (1, side, side, 3)
    difference = (normalize_pixels(pixels, padded) - inputs[0]).abs()
    assert difference.max() < 0.01  # rounded: the padding, which is the mean colour, and what was resized
    assert prepare(rgb, thermal, padded, pixels=Pixels.FITTING)[0].dtype == torch.float32
    assert plain.covered((40, 50), (20, 25)) == (20, 25)
    with pytest.raises(ValueError, match="PreprocessConfig.pad: got 'circle'"):
        PreprocessConfig(pad="circle")
