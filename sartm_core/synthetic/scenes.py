"""Public side: one scene by seed, a set of independent scenes, and a drive through one world."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sartm_core.preprocess.camera import Camera as Intrinsics
from sartm_core.synthetic import thermal
from sartm_core.synthetic.appearance import expose
from sartm_core.synthetic.background import draw_ground, draw_sky
from sartm_core.synthetic.builder import SEED_LIMIT
from sartm_core.synthetic.canvas import FAR, NEAR, Camera, Canvas
from sartm_core.synthetic.config import SceneConfig, check_conditions
from sartm_core.synthetic.environment import Environment, blend, make_environment
from sartm_core.synthetic.items import Item
from sartm_core.synthetic.layers import Layers, read_layers
from sartm_core.synthetic.layout import VIEW, World, build_world
from sartm_core.synthetic.objects import OBJECTS

DEFAULT = SceneConfig()
FRAME_SECONDS = 0.1  # drives run at 10 Hz
DRIVE_SPEED = 2.5  # m/s
SHUTTER_GAP = (8, 20)  # frames between two shutter events
WORLD, LIGHT, TEXTURE, SENSOR, POSE, PATTERN, SHUTTER = range(7)  # independent random streams of one seed
SUN_GAIN, SUN_VEIL = 3.0, 0.35
ROOM = {"car": 2.4, "person": 1.0, "bike": 1.0}
"""Metres beside the camera's path that a drive keeps free of each kind, where it gets nearer than `AHEAD`."""
AHEAD = 4.0


@dataclass(frozen=True)
class Scene:
    """One aligned pair of pictures with exact labels."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    kelvin: np.ndarray
    """(H, W) float32, apparent temperature."""
    label: np.ndarray
    """(H, W) uint8, MFNet class ids 0..8."""
    condition: str
    """One of CONDITIONS; in a drive, the nearest one."""
    seed: int
    """Seed the scene was made from."""
    depth: np.ndarray
    """(H, W) float32, metres along the colour camera's axis; NaN for the sky and what is as far."""
    camera: Intrinsics
    """The colour camera."""


def render_scene(seed: int, config: SceneConfig = DEFAULT, condition: str | None = None) -> Scene:
    """Scene number `seed`, always the same bytes. `condition` None = drawn from the config's by the seed."""
    if condition is not None:
        check_conditions("condition", (condition,))
    rng = _stream(seed, LIGHT)
    drawn = config.conditions[rng.integers(len(config.conditions))]
    name = condition or drawn
    env = make_environment(name, rng, float(rng.random()))
    world = build_world(_stream(seed, WORLD))
    if env.glare and env.artificial > 0.5:
        _add_blinding_car(world, _stream(seed, POSE))
    layers = draw(world, env, world.camera(config.height, config.width), 0.0, seed)
    rgb = expose(layers, _stream(seed, SENSOR, 0), config.rgb_noise)
    kelvin = thermal.misalign(heat(world, layers, 0.0, seed, config), config.misalignment, _stream(seed, POSE))
    pattern = thermal.fixed_pattern(kelvin.shape, config.thermal_noise, _stream(seed, PATTERN))
    kelvin = thermal.read_out(kelvin, config.thermal_noise, pattern, _stream(seed, SENSOR, 1))
    return Scene(rgb, kelvin, layers.label, name, seed, *seen_depth(layers))


def draw(world: World, env: Environment, camera: Camera, seconds: float, seed: int) -> Layers:
    """Paint the world from far to near and read the result."""
    canvas = Canvas(camera, env, world.lamps(env, camera, seconds))
    draw_sky(canvas)
    canvas.at(0, camera.z + 10)
    draw_ground(canvas, world.road)
    visible: list[tuple[float, Item]] = []
    for item in world.items:
        z = item.at_time(seconds)[1]
        if z + item.options.get("length", 0) > camera.z + NEAR and (z < camera.z + VIEW or item.kind == "backdrop"):
            visible.append((-(z + item.far), item))
    for _, item in sorted(visible, key=lambda pair: pair[0]):
        OBJECTS[item.kind](canvas, item, seconds)
    _shine(canvas, world)
    return read_layers(canvas, _stream(seed, TEXTURE))


def heat(world: World, layers: Layers, seconds: float, seed: int, config: SceneConfig) -> np.ndarray:
    """What the thermal camera senses, (H, W) float32 kelvin; from where it stands."""
    if config.baseline:
        beside = replace(layers.camera, x=layers.camera.x + config.baseline)
        layers = draw(world, layers.env, beside, seconds, seed)
    return thermal.sense(layers)


def seen_depth(layers: Layers) -> tuple[np.ndarray, Intrinsics]:
    """`Scene.depth` and `Scene.camera`; the painters' pixels have their centres at halves."""
    camera = layers.camera
    size, focal = (camera.width, camera.height), (camera.focal, camera.focal)
    depth = np.where(layers.depth < FAR, layers.depth, np.float32(np.nan))  # (H, W)
    return depth, Intrinsics(size, focal, (camera.center - 0.5, camera.horizon - 0.5))


def _stream(seed: int, *path: int) -> np.random.Generator:
    return np.random.default_rng((seed, *path))


def _shine(canvas: Canvas, world: World) -> None:
    """Low sun in the picture: a blown-out disc and a veil over everything."""
    env, camera = canvas.env, canvas.camera
    if env.glare <= 0 or env.artificial > 0.5:
        return
    u, v = world.sun_place[0] * camera.width, world.sun_place[1] * camera.height
    canvas.halo(u, v, 0.09 * camera.height, (1.0, 0.93, 0.8), SUN_GAIN * env.glare)
    canvas.halo(u, v, 0.38 * camera.height, (1.0, 0.9, 0.72), SUN_VEIL * 2 * env.glare)
    canvas.halo(u, 1.05 * camera.height, 0.22 * camera.height, (1.0, 0.92, 0.8), env.wet * env.glare)


def _add_blinding_car(world: World, rng: np.random.Generator) -> None:
    x, z = float(rng.uniform(-2.5, 2.5)), float(rng.uniform(9, 22))
    world.items[:] = [i for i in world.items if i.kind != "car" or abs(i.z - z) > 6 or abs(i.x - x) > 2.2]
    options = {"type": str(rng.choice(("sedan", "hatch", "minivan"))), "running": True}
    world.items.append(
        Item("car", x, z, int(rng.integers(SEED_LIMIT)), yaw=math.pi + float(rng.normal(0, 0.08)), options=options)
    )


class SyntheticScenes(Sequence[Scene]):
    """`length` independent scenes; number i depends on (seed, i) only, not on the order of access."""

    def __init__(self, length: int, seed: int = 0, config: SceneConfig = DEFAULT) -> None:
        if length < 0:
            raise ValueError(f"SyntheticScenes.length is {length}; expected at least 0")
        self.length, self.seed, self.config = length, seed, config

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        if not -self.length <= index < self.length:
            raise IndexError(f"SyntheticScenes: index {index} of {self.length} scenes")
        seed = np.random.SeedSequence((self.seed, index % self.length)).generate_state(1)[0]
        return render_scene(int(seed), self.config)


def drive(length: int, seed: int = 0, config: SceneConfig = DEFAULT,
          conditions: tuple[str, ...] = ("day", "dusk", "night")) -> Iterator[Scene]:  # fmt: skip
    """Yield `length` consecutive frames at 10 Hz: the camera advances, light goes through `conditions`."""
    check_conditions("drive: conditions", conditions)
    return _drive(length, seed, config, tuple(conditions))


def _drive(length: int, seed: int, config: SceneConfig, conditions: tuple[str, ...]) -> Iterator[Scene]:
    light = _stream(seed, LIGHT)
    season = float(light.random())
    stages = [make_environment(c, light, season) for c in conditions]
    world = build_world(_stream(seed, WORLD), travel=DRIVE_SPEED * FRAME_SECONDS * length)
    world.items[:] = [item for item in world.items if not _runs_into_camera(item, world.camera_x, length)]
    shape = (config.height, config.width)
    pattern = thermal.fixed_pattern(shape, config.thermal_noise, _stream(seed, PATTERN))
    frozen = frozen_frames(length, config.frozen_shutter, _stream(seed, SHUTTER))
    kelvin = np.zeros(shape, np.float32)
    for i in range(length):
        place = i / max(length - 1, 1) * (len(stages) - 1)
        stage = min(int(place), max(len(stages) - 2, 0))
        env = blend(stages[stage], stages[min(stage + 1, len(stages) - 1)], place - stage)
        seconds = i * FRAME_SECONDS
        layers = draw(world, env, world.camera(*shape, z=DRIVE_SPEED * seconds), seconds, seed)
        rgb = expose(layers, _stream(seed, SENSOR, i, 0), config.rgb_noise)
        if i not in frozen:
            sensed = heat(world, layers, seconds, seed, config)
            aligned = thermal.misalign(sensed, config.misalignment, _stream(seed, POSE))
            kelvin = thermal.read_out(aligned, config.thermal_noise, pattern, _stream(seed, SENSOR, i, 1))
        yield Scene(rgb, kelvin, layers.label, conditions[round(place)], seed, *seen_depth(layers))


def _runs_into_camera(item: Item, camera_x: float, length: int) -> bool:
    """Whether a thing on the road comes so near in the course of a drive that it would fill the picture."""
    clearance = ROOM.get(item.kind)
    if clearance is None:
        return False
    for seconds in (i * FRAME_SECONDS for i in range(length)):
        x, z = item.at_time(seconds)
        if abs(x - camera_x) < clearance and -1.0 < z - DRIVE_SPEED * seconds < AHEAD:
            return True
    return False


def frozen_frames(length: int, frozen: int, rng: np.random.Generator) -> set[int]:
    """Frame numbers in which the shutter is closed and the thermal image repeats; never the first frame."""
    frames: set[int] = set()
    start = int(rng.integers(*SHUTTER_GAP))
    while frozen and start < length:
        frames.update(range(start, start + frozen))
        start += frozen + int(rng.integers(*SHUTTER_GAP))
    return frames
