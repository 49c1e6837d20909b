"""Sky, ground and the sides of the street: buildings, walls, trees, and what closes the view."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from sartm_core.synthetic.canvas import CLOUDS, FAR, FOLIAGE, GROUND, NEAR, STAINS, Canvas, Color
from sartm_core.synthetic.items import Item

SKY_BANDS = 40
FACADES: tuple[Color, ...] = (
    (135, 95, 70), (110, 75, 60), (160, 150, 135), (120, 118, 115), (185, 180, 170),
    (90, 85, 80), (150, 130, 100), (100, 105, 112),
)  # fmt: skip
GREENS: tuple[Color, ...] = ((45, 70, 30), (60, 85, 35), (38, 58, 30), (85, 95, 40), (120, 105, 40), (140, 85, 40))
WARM_ROOM: Color = (255, 225, 160)
COLD_ROOM: Color = (225, 240, 255)


def draw_sky(canvas: Canvas) -> None:
    """Gradient from overhead to the horizon in colour and in temperature, with clouds in both."""
    camera, env = canvas.camera, canvas.env
    canvas.depth, canvas.label = FAR, 0
    edges = np.linspace(0, max(camera.horizon, 1) + 2, SKY_BANDS + 1)
    for i in range(SKY_BANDS):
        share = ((i + 0.5) / SKY_BANDS) ** 1.5  # 0 top .. 1 horizon
        radiance = [a + (b - a) * share for a, b in zip(env.sky_top, env.sky_low, strict=False)]
        color = tuple(255 * r ** (1 / 2.2) for r in radiance)
        kelvin = env.sky_kelvin + (env.ambient - env.sky_kelvin) * 0.75 * share
        cloud = 0.03 + 0.12 * min(env.clouds, 1 - 0.6 * env.clouds)
        warm = 0.12 * env.clouds * (env.ambient - env.sky_kelvin)
        paint = canvas.paint(color, kelvin + warm, glow=1.0, texture=CLOUDS, grain=cloud, heat_grain=0.6 * warm)
        top, low = edges[i], edges[i + 1] + 1
        canvas.polygon([(-1, top), (camera.width, top), (camera.width, low), (-1, low)], paint)


def draw_ground(canvas: Canvas, road: dict) -> None:
    """Open ground: verge, pavements, road and its paint. `road` is what the layout chose."""
    env, z0, z1 = canvas.env, canvas.camera.z, canvas.camera.z + 160
    canvas.label = 0

    def lay(
        color: Color, sun: float, spread: float, x0: float, x1: float, a: float = z0, b: float = z1, grain: float = 0.13
    ) -> None:
        kelvin = env.surface(sun, env.stored_heat + spread)
        paint = canvas.paint(color, kelvin, texture=GROUND, grain=grain, heat_grain=0.2)
        canvas.ground(x0, x1, a, b, paint)

    half, walk = road["half"], road["walk"]
    lay(road["verge_color"], road["verge_sun"], -1.2, -80, 80, grain=0.22)
    for side in (-1, 1):
        x0, x1 = (half, half + walk) if side > 0 else (-half - walk, -half)
        lay(road["walk_color"], 0.6, -0.4, x0, x1, grain=0.1)
    lay(road["color"], 0.85, 0.0, -half, half, grain=road["grain"])
    for x in (-half * 0.5 - 0.7, -half * 0.5 + 0.7, half * 0.5 - 0.7, half * 0.5 + 0.7) if road["tracks"] else ():
        lay(tuple(c * 0.93 for c in road["color"]), 0.85, 0.7, x - 0.22, x + 0.22, grain=road["grain"])
    for x0, x1, a, b, bright in road["marks"]:
        if b > z0 + NEAR and a < z0 + 70:
            lay((bright,) * 3, 0.65, -0.3, x0, x1, a, b, grain=0.18)


def _lean(canvas: Canvas, x: float) -> tuple[float, float]:
    """How much a wall at x faces sun light and sun heat: walls across from the sun are lit."""
    return (0.8, 0.75) if x * canvas.env.sun_side < 0 else (0.0, 0.12)


def draw_building(canvas: Canvas, item: Item, seconds: float) -> None:
    """Facade along the street from z to z + length, with rows of windows, or blind with an arcade of dark openings."""
    rng, env, o = item.rng(), canvas.env, item.options
    x, high = item.x, o["height"]
    z0, z1 = max(item.z, canvas.camera.z + NEAR), item.z + o["length"]
    if z1 <= z0:
        return
    color = FACADES[rng.integers(len(FACADES))]
    lit, heat = _lean(canvas, x)
    wall_heat = env.surface(heat, env.stored_heat + float(rng.normal(0, 1)))
    for a, b in pairwise(np.linspace(z0, z1, 4)):
        canvas.at(x, (a + b) / 2)
        wall = canvas.paint(color, wall_heat, shade=0.6, sun=lit, texture=STAINS, grain=0.2, heat_grain=0.7)
        canvas.flank(x, a, b, 0, high, wall)
    canvas.at(x, (z0 + z1) / 2)
    if item.z > canvas.camera.z + NEAR:  # the end wall that faces us
        kelvin = env.surface(0.2, env.stored_heat)
        end = canvas.paint(color, kelvin, shade=0.72, texture=STAINS, grain=0.13, heat_grain=0.5)
        canvas.front(x, x + math.copysign(12, x), 0, high, z0, end)
    dark, light = tuple(c * 0.6 for c in color), tuple(min(255, c * 1.25) for c in color)
    plinth = canvas.paint(dark, wall_heat + 0.4, shade=0.6, sun=0.7 * lit, texture=STAINS, grain=0.15)
    canvas.flank(x, z0, z1, 0, 0.6, plinth)
    ledge = canvas.paint(light, wall_heat - 0.5, shade=0.7, sun=lit, texture=STAINS, grain=0.15)
    for y in np.arange(3.5, high + 0.5, 3.2) if rng.random() < 0.6 else (high - 0.3,):
        canvas.flank(x, z0, z1, y, y + 0.22, ledge)
    windows(canvas, item, rng, z0, z1)


def windows(canvas: Canvas, item: Item, rng: np.random.Generator, z0: float, z1: float) -> None:
    """Panes in a grid on the facade; some rooms are lit or warm, some openings are doors."""
    env, x, high = canvas.env, item.x, item.options["height"]
    pitch, wide, tall = float(rng.uniform(2.0, 3.4)), float(rng.uniform(0.9, 1.6)), float(rng.uniform(1.1, 1.9))
    share_lit = float(rng.uniform(0, 0.45)) * (env.artificial > 0.2)
    warm = float(rng.uniform(1, 7))
    paints = {
        "dark": canvas.paint((55, 65, 75), env.glass, shade=0.8, texture=STAINS, grain=0.3, heat_grain=1.0),
        "sky": canvas.paint((120, 135, 150), env.glass - 1, shade=0.9, texture=STAINS, grain=0.3),
        "warm": canvas.paint((75, 78, 80), env.glass + warm, shade=0.8, texture=STAINS, grain=0.3),
        "lit": canvas.paint(WARM_ROOM if rng.random() < 0.6 else COLD_ROOM, env.glass + 0.5 * warm,
                            glow=0.55 * env.artificial + 1e-6),
    }  # fmt: skip
    n = max(1, int(item.options["length"] / pitch))
    for row in range(min(6, max(1, int(high / 3.2)))):
        low = 1.1 + 3.2 * row
        kinds = rng.choice(("dark", "sky", "warm"), n, p=(0.6, 0.28, 0.12))
        lit = rng.random(n) < share_lit
        for i in range(n):
            a = item.z + (i + 0.5) * pitch - wide / 2
            if a < z0 or a + wide > z1 or a - canvas.camera.z > 60:
                continue
            door = row == 0 and (i * 7 + item.seed) % 5 == 0
            y0, y1 = (0.0, 2.2) if door else (low, low + tall)
            kind = "lit" if lit[i] else str(kinds[i])
            canvas.flank(x, a, a + wide, y0, y1, paints[kind])
            if lit[i] and a - canvas.camera.z < 30:
                u, v = canvas.camera.project(x, y0 + tall / 2, a + wide / 2)
                canvas.halo(u, v, canvas.camera.scale(a) * 0.8, (1.0, 0.85, 0.55), 0.18 * env.artificial)


def draw_wall(canvas: Canvas, item: Item, seconds: float) -> None:
    """Garden wall, fence or hedge along the street."""
    rng, env, o, x = item.rng(), canvas.env, item.options, item.x
    z0, z1 = max(item.z, canvas.camera.z + NEAR), item.z + o["length"]
    if z1 <= z0:
        return
    lit, heat = _lean(canvas, x)
    hedge = o["type"] == "hedge"
    color = GREENS[rng.integers(3)] if hedge else FACADES[rng.integers(len(FACADES))]
    high = float(rng.uniform(0.8, 2.2))
    for a, b in pairwise(np.linspace(z0, z1, 5)):
        canvas.at(x, (a + b) / 2)
        kelvin = env.surface(0.15, -0.4) if hedge else env.surface(heat, env.stored_heat)
        paint = canvas.paint(color, kelvin, shade=0.6, sun=lit, texture=FOLIAGE if hedge else STAINS,
                             grain=0.5 if hedge else 0.2, heat_grain=0.6)  # fmt: skip
        canvas.flank(x, a, b, 0, high, paint)
        top = canvas.paint(color, kelvin + 0.3, shade=1.1, sun=0.7, texture=FOLIAGE if hedge else STAINS, grain=0.3)
        back = x + math.copysign(0.4, x)
        canvas.solid(((x, high, a), (x, high, b), (back, high, b), (back, high, a)), top)


def draw_tree(canvas: Canvas, item: Item, seconds: float) -> None:
    """Trunk with branches and a crown of leaf clusters, dark inside and light on top."""
    canvas.at(item.x, item.z)
    rng, env, s = item.rng(), canvas.env, canvas.camera.scale(item.z)
    trunk_high, trunk_wide = float(rng.uniform(2.0, 4.0)), float(rng.uniform(0.2, 0.55))
    crown, bare = float(rng.uniform(1.8, 3.8)), rng.random() < 0.12
    kelvin = env.surface(0.15, env.stored_heat * 0.6 + 0.5)
    bark = canvas.paint((62, 52, 42), kelvin, shade=0.8, sun=0.3, texture=STAINS, grain=0.3, heat_grain=0.4)
    foot, fork = canvas.camera.project(item.x, 0, item.z), canvas.camera.project(item.x + 0.1, trunk_high, item.z)
    u, v, wide = *foot, crown * s
    canvas.shadow([(u - wide, v - 0.15 * s), (u + wide, v - 0.15 * s), (u + 0.8 * crown * s, v + 0.2 * s)], 0.6)
    canvas.stroke(foot, fork, trunk_wide * s, trunk_wide * 0.7 * s, bark)
    for angle in rng.uniform(-1.1, 1.1, 5):
        tip = (fork[0] + math.sin(angle) * crown * s, fork[1] - math.cos(angle) * crown * s)
        canvas.stroke(fork, tip, trunk_wide * 0.45 * s, trunk_wide * 0.1 * s, bark)
    if not bare:
        leaves(canvas, rng, fork, crown, s)


def leaves(canvas: Canvas, rng: np.random.Generator, fork: tuple[float, float], crown: float, s: float) -> None:
    env, green = canvas.env, np.array(GREENS[rng.integers(len(GREENS))]) * rng.uniform(0.8, 1.2)
    center = fork[1] - 0.75 * crown * s
    count = 40
    across, up, size = rng.uniform(-1, 1, count), rng.uniform(-0.85, 0.9, count), rng.uniform(0.13, 0.36, count)
    wobble = rng.uniform(0.75, 1.2, (count, 10))
    turns = [(math.cos(t), math.sin(t)) for t in np.linspace(0, 2 * math.pi, 11)[:-1]]
    order = np.argsort(up + rng.uniform(-0.5, 0.5, count))
    paints = [
        canvas.paint(tuple(green * rng.uniform(0.85, 1.15, 3)), env.surface(0.14, -0.4 + 0.2 * k), shade=0.3 + 0.14 * k,
                     sun=0.08 + 0.12 * k, texture=FOLIAGE, grain=0.55, heat_grain=0.8)
        for k in range(6)
    ]  # fmt: skip
    for rank, i in enumerate(order):
        width = math.sqrt(max(0.1, 1 - up[i] ** 2))
        u, v, r = fork[0] + across[i] * width * crown * s, center - up[i] * 0.8 * crown * s, size[i] * crown * s
        outline = [(u + a * r * k, v + 0.8 * b * r * k) for (a, b), k in zip(turns, wobble[i], strict=False)]
        canvas.polygon(outline, paints[rank * 6 // count])


def draw_backdrop(canvas: Canvas, item: Item, seconds: float) -> None:
    """What closes the street: a skyline of facades and tree tops far ahead."""
    rng, env, z = item.rng(), canvas.env, item.z
    canvas.at(0, z)
    for x in np.arange(-110, 110, 9.0):
        tree = rng.random() < 0.55
        high = float(rng.uniform(5, 12) if tree else rng.uniform(6, 26))
        color = GREENS[rng.integers(4)] if tree else FACADES[rng.integers(len(FACADES))]
        kelvin = env.surface(0.15, 0 if tree else env.stored_heat + float(rng.normal(0, 1)))
        shade = float(rng.uniform(0.5, 0.8))
        paint = canvas.paint(color, kelvin, shade=shade, sun=0.25, texture=FOLIAGE if tree else STAINS,
                             grain=0.5 if tree else 0.15, heat_grain=0.5)  # fmt: skip
        if tree:
            tops = [(x + 11 * t, high * (0.8 + 0.3 * rng.random()), z) for t in np.linspace(1, 0, 6)]
            canvas.solid(((x, 0, z), (x + 11, 0, z), *tops), paint)
            continue
        canvas.front(x, x + 10, 0, high, z, paint)
        pane = canvas.paint((70, 78, 88), env.glass, shade=0.8)
        lit = canvas.paint(WARM_ROOM, env.glass + 2, glow=0.5 * env.artificial + 1e-6)
        for y in np.arange(2, high - 2, 3.2):
            for a in range(4):
                on = env.artificial > 0.2 and rng.random() < 0.3
                left = x + 0.8 + 2.3 * a
                canvas.front(left, left + 1.4, y, y + 1.7, z, lit if on else pane)
