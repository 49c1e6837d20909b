"""Which object stands where: a random street, campus path or car park along +z, seen from the road."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sartm_core.synthetic.builder import Builder
from sartm_core.synthetic.canvas import Camera, Lamp
from sartm_core.synthetic.environment import Environment
from sartm_core.synthetic.items import Item
from sartm_core.synthetic.traffic import add_bikes, add_cars, add_classes, add_distractors, add_people

QUIET = 0.05  # share of worlds without any labelled object
VIEW = 75.0  # m, how far ahead of the camera things are placed
LAMP_COLORS = ((1.0, 0.95, 0.8), (1.0, 0.72, 0.35), (0.85, 1.0, 0.8), (0.9, 0.97, 1.0))


@dataclass
class World:
    """Everything that stays the same while a sequence runs."""

    items: list[Item]
    road: dict
    lamp_color: tuple[float, float, float]
    head_lights: float
    """Strength of the own vehicle's head lights at night, 0 = none."""
    sun_place: tuple[float, float]
    """Where the sun stands in the picture, as shares of width and height."""
    focal: float
    horizon: float
    center: float
    """Focal length and principal point, as shares of the image height, height and width."""
    camera_x: float
    camera_y: float
    curve: float

    def camera(self, height: int, width: int, z: float = 0.0) -> Camera:
        return Camera(height, width, self.focal * height, self.horizon * height, self.center * width,
                      self.camera_x, self.camera_y, z, self.curve)  # fmt: skip

    def lamps(self, env: Environment, camera: Camera, seconds: float) -> list[Lamp]:
        """Lights that reach the ground: street lamps, head lights of other cars and our own."""
        if env.artificial < 0.1:
            return []
        power, lamps = env.artificial**2, []
        for item in self.items:
            x, z = item.at_time(seconds)
            if not -8 < z - camera.z < VIEW:
                continue
            if item.kind == "pole" and item.options.get("on"):
                lamps.append(Lamp(0.8 * x, z, 3.6, item.options["power"] * power, self.lamp_color))
            elif item.kind == "car" and item.options.get("running"):
                ahead = 6.0
                x, z = x + ahead * math.sin(item.yaw), z + ahead * math.cos(item.yaw)
                lamps.append(Lamp(x, z, 2.5, 0.12 * power, (1.0, 0.95, 0.82)))
        if self.head_lights:
            lamps.append(Lamp(camera.x, camera.z + 6, 3.0, self.head_lights * power, (0.95, 1.0, 0.9)))
            lamps.append(Lamp(camera.x, camera.z + 12, 6.0, 0.35 * self.head_lights * power, (0.95, 1.0, 0.9)))
        return lamps


def build_world(rng: np.random.Generator, travel: float = 0.0) -> World:
    """Random world for a camera that will advance `travel` metres."""
    b = Builder(rng, VIEW + travel)
    road = cross_section(b)
    add_sides(b)
    add_lights(b)
    if rng.random() > QUIET:
        add_cars(b)
        add_people(b)
        add_bikes(b)
        add_classes(b)
    add_distractors(b)
    b.add("backdrop", 0, VIEW + travel + 10, far=1000.0)
    return World(
        items=b.items, road=road,
        lamp_color=LAMP_COLORS[rng.integers(len(LAMP_COLORS))],
        head_lights=float(rng.uniform(0.02, 0.15)) if rng.random() < 0.55 else 0.0,
        sun_place=(float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.08, 0.38))),
        focal=float(rng.uniform(1.0, 1.45)), horizon=float(rng.uniform(0.36, 0.52)),
        center=float(rng.uniform(0.35, 0.65)),
        camera_x=float(rng.uniform(-0.5, 0.5) * b.half), camera_y=float(rng.uniform(1.25, 1.75)),
        curve=0.0 if travel or rng.random() < 0.5 else float(rng.normal(0, 0.0022)),
    )  # fmt: skip


def cross_section(b: Builder) -> dict:
    """Widths, colours and paint of road, pavement and verge."""
    rng, half = b.rng, b.half
    tone = rng.uniform(70, 125) if rng.random() < 0.75 else rng.uniform(125, 165)
    cast = rng.uniform(-6, 6)
    walk = rng.uniform(95, 170)
    grass = rng.random() < 0.5
    marks: list[tuple[float, float, float, float, float]] = []
    bright = float(rng.uniform(160, 225))
    end = b.span + 90
    if b.style == "street":
        if rng.random() < 0.7:
            marks += [(s * (half - 0.35), s * (half - 0.2), 0, end, bright) for s in (-1, 1)]
        if rng.random() < 0.6:
            dashes = [(z, z + 3.0) for z in np.arange(0, end, 6.0)] if rng.random() < 0.6 else [(0, end)]
            marks += [(-0.07, 0.07, z0, z1, bright) for z0, z1 in dashes]
        if rng.random() < 0.35:
            z = b.depth(5)
            marks += [(x, x + 0.45, z, z + 3.0, bright) for x in np.arange(-half + 0.3, half - 0.4, 0.9)]
        if rng.random() < 0.25:
            z = b.depth(4)
            rows = [(x, z + k) for k in (0, 0.9, 1.8) for x in np.arange(0.6, half - 0.6, 0.6)]
            marks += [(x, x + 0.18, start, start + 0.5, bright) for x, start in rows]
        if rng.random() < 0.3:
            marks.append((0.2, half - 0.3, (z := b.depth(4)), z + 0.45, bright))
    elif b.style == "lot":
        marks += [
            (s * (half - 0.4), s * (half + 4.2), z, z + 0.12, bright) for s in (-1, 1) for z in np.arange(1, end, 2.6)
        ]
    marks = [(min(x0, x1), max(x0, x1), float(a), float(c), v) for x0, x1, a, c, v in marks]
    return {
        "half": half if b.style != "lot" else half + 4.5, "walk": b.walk,
        "color": (tone + cast, tone, tone - cast), "grain": float(rng.uniform(0.06, 0.14)),
        "tracks": b.style == "street" and rng.random() < 0.5,
        "walk_color": (walk + 4, walk, walk - 6), "marks": marks,
        "verge_color": (72, 82, 45) if grass else (110, 100, 85), "verge_sun": 0.15 if grass else 0.55,
    }  # fmt: skip


def add_sides(b: Builder) -> None:
    """Buildings, walls, hedges and trees left and right, in stretches of random length."""
    rng = b.rng
    set_back = 4.8 if b.style == "lot" else 0.0
    for s in (-1, 1):
        green, z = float(rng.uniform(0.1, 0.9)), -float(rng.uniform(0, 10))
        while z < b.span + 10:
            length = float(rng.uniform(7, 18))
            x = s * (b.edge + set_back + rng.uniform(0.3, 3.5))
            if rng.random() > green:
                height = float(rng.choice((3.5, 7, 10, 16, 24)) + rng.uniform(0, 2))
                b.add("building", x, z, far=length + 2, length=length, height=height)
            else:
                if rng.random() < 0.6:
                    b.add("wall", x, z, far=length + 2, length=length, type=str(rng.choice(("wall", "hedge", "hedge"))))
                for _ in range(int(rng.integers(1, 4))):
                    b.add("tree", x + s * rng.uniform(-0.3, 4), z + rng.uniform(0, length), far=1.0)
            z += length + (rng.uniform(2, 8) if rng.random() < 0.35 else 0)
        if rng.random() < 0.4:
            for z in np.arange(rng.uniform(3, 10), b.span, rng.uniform(7, 12)):
                b.add("tree", s * (b.edge - 0.5 + set_back), z)


def add_lights(b: Builder) -> None:
    """Street lamps; some dark, some roads with none."""
    rng, gap = b.rng, float(b.rng.uniform(12, 30))
    if rng.random() < 0.2:
        return
    s, set_back = b.side(), 4.8 if b.style == "lot" else 0.0
    for z in np.arange(rng.uniform(2, gap), b.span, gap):
        x, on = s * (b.half + set_back + 0.5), bool(rng.random() < 0.8)
        b.add("pole", x, z, type="lamp", on=on, power=float(rng.uniform(0.02, 0.2)))
        if rng.random() < 0.4:
            s = -s
