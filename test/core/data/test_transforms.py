"""Augmentation: geometry for all three images alike, photometry for one camera alone, plain crops when all is off."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sartm_core.data.config import DataConfig
from sartm_core.data.transforms import Frame, augment, jitter_rgb, jitter_thermal, scale_and_crop
from sartm_core.preprocess.thermal.parts import THERMAL_CLIP

OFF = {
    "scale_range": (1.0, 1.0), "hflip": 0.0, "color_jitter": 0.0, "blur": 0.0, "darken": 0.0,
    "thermal_jitter": 0.0, "thermal_shift": 0.0, "focus": 0.0,
}  # fmt: skip
SEEDS = range(6)


def config(**changes) -> DataConfig:
    return DataConfig(**{"crop_size": (32, 64), **OFF, **changes})


def noise_frame(height: int = 60, width: int = 90) -> Frame:
    """Unrelated random images; the labels hold 0, 2, 7 and 255."""
    generator = torch.Generator().manual_seed(7)
    rgb = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)
    thermal = torch.rand(1, height, width, generator=generator) * 2.5 - 0.5
    ids = torch.tensor([0, 2, 7, 255], dtype=torch.uint8)
    return Frame(rgb, thermal, ids[torch.randint(0, 4, (1, height, width), generator=generator)])


def position_frame(height: int = 60, width: int = 90) -> Frame:
    """Every image holds its pixels' column numbers."""
    columns = torch.arange(width).expand(1, height, width)
    return Frame(columns.expand(3, -1, -1).to(torch.uint8), columns.float(), columns.to(torch.uint8))


def parts(frame: Frame) -> tuple[torch.Tensor, ...]:
    return frame.rgb.clone(), frame.thermal.clone(), frame.label.clone()


@pytest.mark.parametrize("seed", SEEDS)
def test_with_everything_off_augment_is_a_plain_crop(seed: int) -> None:
    torch.manual_seed(seed)
    whole, frame = noise_frame(), augment(noise_frame(), config())
    rows, columns = range(60 - 32 + 1), range(90 - 64 + 1)
    found = [(y, x) for y in rows for x in columns if torch.equal(whole.label[:, y : y + 32, x : x + 64], frame.label)]
    assert len(found) == 1
    (y, x), (rgb, thermal, _) = found[0], parts(frame)
    assert torch.equal(rgb, whole.rgb[:, y : y + 32, x : x + 64]) and rgb.dtype == torch.uint8
    assert torch.equal(thermal, whole.thermal[:, y : y + 32, x : x + 64]) and thermal.dtype == torch.float32


@pytest.mark.parametrize("seed", SEEDS)
def test_colour_changes_touch_rgb_only(seed: int) -> None:
    torch.manual_seed(seed)
    frame = noise_frame()
    rgb, thermal, label = parts(frame)
    jitter_rgb(frame, config(color_jitter=0.4, blur=1.0, darken=1.0))
    assert torch.equal(frame.thermal, thermal) and torch.equal(frame.label, label)
    assert not torch.equal(frame.rgb, rgb) and frame.rgb.shape == rgb.shape and frame.rgb.dtype == torch.uint8


@pytest.mark.parametrize("change", [{"color_jitter": 0.4}, {"blur": 1.0}, {"darken": 1.0}])
def test_each_colour_change_does_something_by_itself(change: dict) -> None:
    torch.manual_seed(0)
    frame, untouched = noise_frame(), noise_frame()
    jitter_rgb(frame, config())
    assert torch.equal(frame.rgb, untouched.rgb)
    jitter_rgb(frame, config(**change))
    assert not torch.equal(frame.rgb, untouched.rgb)


@pytest.mark.parametrize("seed", SEEDS)
def test_thermal_changes_touch_thermal_only_and_stay_within_the_clip(seed: int) -> None:
    torch.manual_seed(seed)
    frame = noise_frame()
    frame.thermal[0, :2] = torch.tensor(THERMAL_CLIP)[:, None]
    rgb, thermal, label = parts(frame)
    jitter_thermal(frame, 0.9)
    assert torch.equal(frame.rgb, rgb) and torch.equal(frame.label, label)
    assert not torch.equal(frame.thermal, thermal) and torch.isfinite(frame.thermal).all()
    assert THERMAL_CLIP[0] <= frame.thermal.min() and frame.thermal.max() <= THERMAL_CLIP[1]


def test_thermal_jitter_changes_what_the_network_sees_in_every_mode() -> None:
    """It used to come before `percentile`, which took gain and offset away again."""
    seen = []
    for seed in range(200):
        torch.manual_seed(seed)
        thermal = torch.zeros(1, 32, 32)
        thermal[:, 16:] = 1.0
        frame = Frame(None, thermal, torch.zeros(1, 32, 32))
        jitter_thermal(frame, 0.3)
        seen.append((frame.thermal[0, :12].median().item(), frame.thermal[0, 20:].median().item()))
    low, high = np.array(seen).T
    assert low.min() < -0.2 and low.max() > 0.2 and np.abs(low).max() < 0.6
    assert high.min() < 0.8 and high.max() > 1.2 and np.abs(high - 1).max() < 0.6
    assert (high - low).min() > 0.4 and (high - low).max() < 1.7


def test_a_constant_thermal_image_stays_one_but_for_the_noise() -> None:
    frame = noise_frame()
    frame.thermal = torch.zeros(1, 60, 90)
    jitter_thermal(frame, 0.5)
    assert frame.thermal.std() < 0.06


@pytest.mark.parametrize("zoom", [0.6, 1.0, 1.5])
@pytest.mark.parametrize("seed", SEEDS)
def test_geometry_moves_all_three_alike(seed: int, zoom: float) -> None:
    torch.manual_seed(seed)
    frame = augment(position_frame(), config(scale_range=(0.5, 2.0), hflip=0.5), zoom)
    assert frame.rgb.shape == (3, 32, 64) and frame.thermal.shape == frame.label.shape == (1, 32, 64)
    unknown = torch.nn.functional.max_pool2d((frame.label == 255).float(), 5, stride=1, padding=2) > 0
    inner = ~unknown & (frame.label > 3) & (frame.label < 86)
    assert inner.any()
    assert (frame.thermal - frame.label)[inner].abs().max() <= 2.5
    assert (frame.rgb.float() - frame.label)[inner.expand(3, -1, -1)].abs().max() <= 2.5


@pytest.mark.parametrize("flips,descending", [(0.0, False), (1.0, True)])
def test_a_flip_turns_all_three(flips: float, descending: bool) -> None:
    frame = augment(position_frame(32, 64), config(hflip=flips))
    columns = torch.arange(64).flip(0) if descending else torch.arange(64)
    for image in (frame.rgb, frame.thermal, frame.label):
        assert torch.equal(image[0, 5].long(), columns)


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_are_those_of_the_input_and_255(seed: int) -> None:
    torch.manual_seed(seed)
    frame = augment(noise_frame(), config(scale_range=(0.3, 3.0), hflip=0.5, thermal_shift=3.0))
    assert set(frame.label.unique().tolist()) <= {0, 2, 7, 255} and frame.label.dtype == torch.uint8


@pytest.mark.parametrize("scale", [0.625, 0.8, 1.3])
def test_labels_keep_their_place_when_resized(scale: float) -> None:
    """Plain nearest neighbour moves edges by 0.4 to 0.5 pixels against the images."""
    size, window = 64, round(64 / scale)
    offsets = []
    for edge in range(window // 4, 3 * window // 4):
        step = torch.zeros(1, window, window)
        step[..., edge:] = 1
        frame = Frame(step.expand(3, -1, -1).to(torch.uint8), step.clone(), step.to(torch.uint8))
        scale_and_crop(frame, (size, size), (scale, scale))
        seen_in_thermal = size - frame.thermal[0, 0].sum().item()
        offsets.append((frame.label[0, 0] == 0).sum().item() - seen_in_thermal)
    assert abs(float(np.mean(offsets))) < 0.1


def test_the_resize_covers_its_range_and_no_more() -> None:
    """A factor of 0.5 to 2, drawn evenly on a logarithmic scale."""
    torch.manual_seed(0)
    factors = []
    for _ in range(150):
        frame = position_frame(8, 250)
        scale_and_crop(frame, (4, 64), (0.5, 2.0))
        inner = frame.thermal[0, 2]
        factors.append(1 / (inner[40] - inner[24]).item() * 16)
    logs = np.log2(factors)
    assert -1.05 < logs.min() < -0.85 and 0.85 < logs.max() < 1.05 and abs(logs.mean()) < 0.15


@pytest.mark.parametrize("seed", SEEDS)
def test_misalignment_is_small_whole_and_of_thermal_only(seed: int) -> None:
    torch.manual_seed(seed)
    whole = position_frame(32, 64)
    frame = augment(position_frame(32, 64), config(thermal_shift=3.0))
    assert torch.equal(frame.rgb, whole.rgb) and torch.equal(frame.label, whole.label)
    moved = (frame.thermal - whole.thermal)[0, 10, 5:-5].unique()
    assert moved.numel() == 1 and abs(moved.item()) <= 3 and moved.item() == math.floor(moved.item())


def test_all_random_numbers_come_from_torchs_generator() -> None:
    everything = config(
        scale_range=(0.5, 2.0), hflip=0.5, color_jitter=0.4, blur=0.5, darken=0.5, thermal_jitter=0.5,
        thermal_shift=3.0,
    )  # fmt: skip
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(parts(augment(noise_frame(), everything)))
    assert all(torch.equal(a, b) for a, b in zip(results[0], results[1], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(results[0], results[2], strict=True))


@pytest.mark.parametrize("size", [(60, 90), (200, 40), (32, 64)])
@pytest.mark.parametrize("seed", SEEDS)
def test_scales_of_the_crop_from_1_on_need_no_padding(seed: int, size: tuple[int, int]) -> None:
    torch.manual_seed(seed)
    whole = Frame(torch.full((3, *size), 9, dtype=torch.uint8), None, torch.ones(1, *size, dtype=torch.uint8))
    frame = augment(whole, config(scale_of="crop", scale_range=(1.0, 2.5)), zoom=0.3)
    assert (frame.label == 1).all() and (frame.rgb == 9).all() and frame.label.shape == (1, 32, 64)


def test_scale_1_of_the_crop_is_the_frame_that_just_fills_it() -> None:
    frame = augment(position_frame(60, 90), config(scale_of="crop"))  # 32x64 of it resized by 64/90
    assert frame.thermal[0, :, 0].max() < 1 and frame.thermal[0, :, -1].min() > 88


def test_half_of_scale_1_is_padding_in_both_ways() -> None:
    shares = []
    for scale_of in ("input", "crop"):
        torch.manual_seed(0)
        frame = augment(noise_frame(32, 64), config(scale_of=scale_of, scale_range=(0.5, 0.5)))
        shares.append((frame.rgb == 0).all(0).float().mean().item())
    assert shares[0] == shares[1] and 0.7 < shares[0] < 0.76


def test_jittered_thermal_stays_within_the_clip_of_its_mode() -> None:
    torch.manual_seed(0)
    frame = noise_frame()
    frame.thermal = torch.linspace(-3, 6, 60 * 90).view(1, 60, 90)
    jitter_thermal(frame, 0.1, (-3.0, 6.0))
    assert frame.thermal.min() < -2 and frame.thermal.max() > 4.5, "it used to be cut at -1 and 4"
