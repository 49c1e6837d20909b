"""Synthetic scenes: determinism, labels, temperatures, conditions, sensor faults and drives."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from sartm_core.support.classes import MFNET
from sartm_core.synthetic import CONDITIONS, Scene, SceneConfig, SyntheticScenes, drive, render_scene, thermal

SMALL = SceneConfig(height=64, width=64)
MEDIUM = SceneConfig(height=120, width=160)
COLDEST, HOTTEST = 215.0, 350.0  # kelvin: clear winter sky .. exhaust in summer
PERSON = MFNET.names.index("person")


def assert_same(a: Scene, b: Scene) -> None:
    np.testing.assert_array_equal(a.rgb, b.rgb)
    np.testing.assert_array_equal(a.kelvin, b.kelvin)
    np.testing.assert_array_equal(a.label, b.label)
    assert (a.condition, a.seed) == (b.condition, b.seed)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_same_seed_gives_the_same_bytes(condition):
    first, second = render_scene(7, MEDIUM, condition), render_scene(7, MEDIUM, condition)
    assert_same(first, second)
    assert first.condition == condition
    assert not np.array_equal(first.rgb, render_scene(8, MEDIUM, condition).rgb)


@pytest.mark.parametrize("config", [SMALL, MEDIUM, SceneConfig(), SceneConfig(height=33, width=97)])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_shapes_types_ids_and_temperatures(config, condition):
    scene = render_scene(3, config, condition)
    size = (config.height, config.width)
    assert scene.rgb.shape == (*size, 3) and scene.rgb.dtype == np.uint8
    assert scene.kelvin.shape == size and scene.kelvin.dtype == np.float32
    assert scene.label.shape == size and scene.label.dtype == np.uint8
    assert scene.label.max() < len(MFNET.names)
    assert np.isfinite(scene.kelvin).all()
    assert scene.kelvin.min() > COLDEST and scene.kelvin.max() < HOTTEST


def test_scenes_do_not_depend_on_the_order_of_access():
    scenes = SyntheticScenes(6, seed=5, config=SMALL)
    assert len(scenes) == 6
    forward = [scenes[i] for i in range(6)]
    for i in reversed(range(6)):
        assert_same(scenes[i], forward[i])
    assert_same(scenes[-1], forward[-1])
    assert_same(render_scene(forward[2].seed, SMALL), forward[2])
    assert len({s.rgb.tobytes() for s in forward}) == 6
    with pytest.raises(IndexError):
        scenes[6]


def test_every_class_occurs_and_no_scene_has_all():
    seen = np.zeros(len(MFNET.names))
    for scene in SyntheticScenes(60, seed=1, config=MEDIUM):
        present = np.bincount(scene.label.ravel(), minlength=len(MFNET.names)) > 0
        assert not present.all()
        seen += present
    assert (seen >= 3).all(), dict(zip(MFNET.names, seen, strict=False))
    assert (seen[1:] < 60).all(), "every class must be missing somewhere"


def test_conditions_are_drawn_and_restricted():
    drawn = {s.condition for s in SyntheticScenes(40, config=SMALL)}
    assert drawn == set(CONDITIONS)
    only = SceneConfig(height=64, width=64, conditions=("fog",))
    assert {s.condition for s in SyntheticScenes(5, config=only)} == {"fog"}


def test_night_is_darker_than_dusk_and_dusk_than_day():
    mean = {c: np.mean([render_scene(i, SMALL, c).rgb.mean() for i in range(8)]) for c in ("day", "dusk", "night")}
    assert mean["night"] < mean["dusk"] < mean["day"]
    assert mean["night"] < 0.5 * mean["day"]


def test_glare_blows_out_pixels():
    def share(condition: str) -> float:
        return np.mean([(render_scene(i, SMALL, condition).rgb.min(axis=2) > 235).mean() for i in range(12)])

    assert share("glare") > 0.02 > share("night")


def test_fog_flattens_the_picture():
    spread = {c: np.mean([render_scene(i, SMALL, c).rgb.std() for i in range(8)]) for c in ("day", "fog")}
    assert spread["fog"] < spread["day"]


def test_people_are_warmer_than_their_surroundings_at_night():
    differences = []
    for seed in range(25):
        scene = render_scene(seed, MEDIUM, "night")
        person = scene.label == PERSON
        if person.sum() > 30:
            differences.append(scene.kelvin[person].mean() - np.median(scene.kelvin[~person]))
    assert len(differences) >= 5
    assert np.mean(differences) > 3 and np.min(differences) > -2


def test_hot_days_hold_ground_warmer_than_people():
    def ground(seed: int) -> float:
        return float(np.median(render_scene(seed, SMALL, "day").kelvin[-8:]))

    assert max(ground(s) for s in range(30)) > 310


def test_labels_and_rgb_ignore_thermal_faults():
    plain = render_scene(4, MEDIUM, "day")
    faulty = render_scene(4, SceneConfig(height=120, width=160, misalignment=6.0, thermal_noise=0.5), "day")
    np.testing.assert_array_equal(plain.label, faulty.label)
    np.testing.assert_array_equal(plain.rgb, faulty.rgb)
    assert np.abs(plain.kelvin - faulty.kelvin).mean() > 0.1


def test_noise_factors():
    quiet = SceneConfig(height=120, width=160, rgb_noise=0.0, thermal_noise=0.0)
    clean, noisy = render_scene(4, quiet, "night"), render_scene(4, MEDIUM, "night")
    np.testing.assert_array_equal(clean.label, noisy.label)
    assert np.abs(clean.rgb.astype(int) - noisy.rgb).mean() > 1
    sigma = float((noisy.kelvin - clean.kelvin).std())
    assert 0.05 < sigma < 0.08  # 0.05 K of frame noise and the fixed pattern


def displacement(monkeypatch, limit: float, seed: int) -> np.ndarray:
    """How far each thermal pixel is moved, (2, H, W) pixels in x and y: ramps stand in for the temperatures."""
    config = SceneConfig(height=120, width=160, thermal_noise=0.0, misalignment=limit)
    ramps = np.meshgrid(np.arange(160, dtype=np.float32), np.arange(120, dtype=np.float32))
    moved = []
    for ramp in ramps:
        monkeypatch.setattr(thermal, "sense", lambda layers, ramp=ramp: ramp)
        moved.append(render_scene(seed, config, "day").kelvin - ramp)
    return np.stack(moved)


def test_misalignment_stays_below_its_limit(monkeypatch):
    limit, in_proportion = 2.0, 480 / 120 * np.hypot(thermal.ROTATION_PER_PIXEL, thermal.SCALE_PER_PIXEL)
    shifts = []
    for seed in range(6):
        field = displacement(monkeypatch, limit, seed)
        shifts.append(np.hypot(*field[:, 59:61, 79:81].mean((1, 2))))  # rotation and scale leave the centre alone
        assert np.hypot(*field).max() <= limit * (1 + in_proportion * np.hypot(60, 80)) + 1e-2
    assert limit / 2 < max(shifts) <= limit + 1e-3
    assert np.ptp(shifts) > limit / 10
    assert not displacement(monkeypatch, 0.0, 0).any()


@pytest.mark.parametrize(
    ("field", "value"),
    [("height", 16), ("height", 480.0), ("width", 0), ("conditions", ()), ("conditions", ("day", "rain")),
     ("conditions", "day"), ("misalignment", -1), ("rgb_noise", float("nan")), ("thermal_noise", "0.05"),
     ("frozen_shutter", -1), ("frozen_shutter", 1.5)],
)  # fmt: skip
def test_bad_config_names_the_field_and_the_value(field, value):
    with pytest.raises(ValueError) as error:
        SceneConfig(**{field: value})
    assert f"SceneConfig.{field}" in str(error.value)
    assert repr(value) in str(error.value)
    assert "expected" in str(error.value)


def test_unknown_condition_is_an_error():
    with pytest.raises(ValueError, match="rain"):
        render_scene(0, SMALL, "rain")
    with pytest.raises(ValueError, match="rain"):
        drive(3, conditions=("rain",))


def test_drive_is_deterministic_continuous_and_gets_dark():
    frames, again = list(drive(24, seed=3, config=MEDIUM)), list(drive(24, seed=3, config=MEDIUM))
    for a, b in zip(frames, again, strict=False):
        assert_same(a, b)
    for a, b in pairwise(frames):
        assert (a.label == b.label).mean() > 0.85
        assert not np.array_equal(a.rgb, b.rgb)
        assert not np.array_equal(a.kelvin, b.kelvin)
    assert (frames[0].label != frames[-1].label).any(), "nothing moved"
    assert [frames[0].condition, frames[-1].condition] == ["day", "night"]
    assert frames[-1].rgb.mean() < 0.5 * frames[0].rgb.mean()


def test_drive_shows_people_or_cars_for_some_seed_and_one_condition_works():
    labels = [next(drive(1, seed=s, config=SMALL, conditions=("night",))).label for s in range(4)]
    assert max(label.max() for label in labels) > 0


def test_frozen_shutter_repeats_thermal_while_rgb_goes_on():
    config = SceneConfig(height=64, width=64, frozen_shutter=3)
    frames = list(drive(45, seed=2, config=config))
    repeats = [np.array_equal(a.kelvin, b.kelvin) for a, b in pairwise(frames)]
    assert not all(repeats) and sum(repeats) >= 3
    assert max(len(run) for run in "".join("x" if r else " " for r in repeats).split()) == 3
    assert not any(np.array_equal(a.rgb, b.rgb) for a, b in pairwise(frames))
