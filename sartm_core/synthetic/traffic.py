"""Cars, people, bicycles and small street objects for a layout: how many, where and in which pose."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sartm_core.synthetic.builder import Builder
from sartm_core.synthetic.items import Item
from sartm_core.synthetic.vehicles import BODIES, PARKED, TYPES

VIEW_LENGTH = 75.0  # m, counts below are for this much road


def count(b: Builder, chance: float, mean: float) -> int:
    """Number of things on the whole span: none with probability 1 - chance, else Poisson around `mean` per view."""
    if b.rng.random() > chance:
        return 0
    return 1 + int(b.rng.poisson(max(mean - 1, 0) * b.span / VIEW_LENGTH))


def add_cars(b: Builder) -> None:
    """Parked rows along the road or across it in a car park, moving traffic, and cars that cross."""
    rng = b.rng

    def new(x: float, z: float, **values: Any) -> None:
        kind = str(rng.choice(TYPES if values.get("running") or rng.random() < 0.1 else PARKED))
        b.add("car", x, z, type=kind, far=BODIES[kind].length * 0.25, **values)

    if b.style == "lot":
        for s in (-1.0, 1.0):
            fill = rng.uniform(0, 0.6)
            for z in np.arange(2.3 + 2.6, b.span, 2.6):
                if rng.random() < fill:
                    back = math.pi / 2 if rng.random() < 0.6 else -math.pi / 2
                    new(s * (b.half + 2.2), z, yaw=back + rng.normal(0, 0.04))
    else:
        s = b.side()
        for _ in range(count(b, 0.62, 3.0)):
            x, z = s * (b.half - rng.uniform(0.7, 1.2)), b.depth(5.5)
            yaw = float(rng.choice((0, math.pi))) + rng.normal(0, 0.05)
            new(x, z, yaw=yaw, running=bool(rng.random() < 0.1))
            s = -s if rng.random() < 0.25 else s
    for _ in range(count(b, 0.5, 1.6)):
        away = rng.random() < 0.5
        lane, z = 0.45 * b.half * (1 if away else -1), b.depth(8)
        yaw = (0.0 if away else math.pi) + rng.normal(0, 0.06)
        new(lane, z, yaw=yaw, speed=float(rng.uniform(0, 8)), running=True)
    if rng.random() < 0.2:
        x, z = rng.uniform(-8, 8), b.depth(10)
        yaw = b.side() * (math.pi / 2) + rng.normal(0, 0.25)
        new(x, z, yaw=yaw, speed=float(rng.uniform(0, 5)), running=True)
    separate(b)


def separate(b: Builder) -> None:
    """Drop cars that would stand inside another."""
    kept: list[Item] = []
    cars: list[Item] = []

    def clash(one: Item, other: Item) -> bool:
        gap = 2.5 if b.style == "lot" and one.speed == other.speed else 6.0
        return abs(one.x - other.x) < 2.1 and abs(one.z - other.z) < gap

    for item in b.items:
        if item.kind == "car":
            if any(clash(item, car) for car in cars):
                continue
            cars.append(item)
        kept.append(item)
    b.items[:] = kept


def add_people(b: Builder) -> None:
    """Single walkers, groups, people who cross the road, and now and then one close to the camera."""
    rng = b.rng
    reach = b.half * (1.0 if b.style == "campus" else 0.6)
    for _ in range(count(b, 0.78, 4.4)):
        on_walk = rng.random() < 0.6
        x = b.side() * rng.uniform(b.half * 0.8, b.edge + 0.2) if on_walk else rng.uniform(-reach, reach)
        z = b.depth(5.0)
        heading = (
            float(rng.choice((0.0, math.pi))) + rng.normal(0, 0.25)
            if on_walk or rng.random() < 0.4
            else b.side() * math.pi / 2 + rng.normal(0, 0.3)
        )
        speed = 0.0 if rng.random() < 0.25 else float(rng.uniform(0.8, 1.6))
        members = 1 if rng.random() < 0.65 else int(rng.integers(2, 5))
        for _ in range(members):
            height = {"height": float(rng.uniform(1.05, 1.4))} if rng.random() < 0.06 else {}
            b.add("person", x, z, yaw=heading, speed=speed, **height)
            x, z = x + rng.uniform(0.4, 0.75), z + rng.uniform(-0.5, 0.8)
            if rng.random() < 0.5:
                heading += rng.normal(0, 0.3)
    if rng.random() < 0.25:
        x, z, yaw = rng.uniform(-1.6, 1.6), rng.uniform(3.2, 6.5), float(rng.uniform(-math.pi, math.pi))
        b.add("person", x, z, yaw=yaw, speed=float(rng.choice((0.0, 1.2))))


def add_bikes(b: Builder) -> None:
    """Riders, and parked bicycles alone or in rows."""
    rng = b.rng
    for _ in range(count(b, 0.5, 1.8)):
        yaw = (
            float(rng.choice((0.12, math.pi - 0.12, -0.12))) + rng.normal(0, 0.15)
            if rng.random() < 0.6
            else b.side() * math.pi / 2 + rng.normal(0, 0.4)
        )
        x = rng.uniform(-0.7, 0.7) * b.half
        z = rng.uniform(4, 10) if rng.random() < 0.45 else b.depth(4.5)
        b.add("bike", x, z, yaw=yaw, speed=float(rng.uniform(2, 4)), rider=True)
    for _ in range(count(b, 0.45, 1.5)):
        x = b.side() * rng.uniform(0.8 * b.half, b.edge)
        z = rng.uniform(4.5, 12) if rng.random() < 0.5 else b.depth(4.5)
        lean, row = b.side() * math.pi / 2 + rng.normal(0, 0.35), 1 if rng.random() < 0.45 else int(rng.integers(3, 9))
        for k in range(row):
            b.add("bike", x + rng.normal(0, 0.06), z + 0.55 * k, yaw=lean + rng.normal(0, 0.07))


def add_classes(b: Builder) -> None:
    """The thin and rare classes: kerbs, guardrails, parking stops, barriers, bumps and cones."""
    rng, half = b.rng, b.half
    set_back = 4.5 if b.style == "lot" else 0.0
    for s in (-1.0, 1.0):
        if b.style != "lot" and rng.random() < 0.42:
            z = float(rng.uniform(-2, 12))
            length = float(rng.uniform(15, 35)) if b.span <= VIEW_LENGTH else b.span - z
            b.add("kerb", s * half, z, far=15.0, length=length)
        if rng.random() < 0.17:
            length = float(rng.uniform(8, 22))
            b.add("guardrail", s * (half + set_back - 0.1), rng.uniform(2, 14), far=length + 0.5, length=length)
    if b.style == "lot" or rng.random() < 0.2:
        s, stops = b.side(), rng.random()
        for z in np.arange(2.3 + 2.6, b.span, 2.6) if stops < 0.85 else ():
            for k in (-0.55, 0.55):
                b.add("car_stop", s * (half + (4.1 if b.style == "lot" else -0.3)), z + k, yaw=math.pi / 2, half=0.3)
    if rng.random() < 0.22:
        x, z, yaw = rng.uniform(-0.7, 0.7) * half, b.depth(7), rng.normal(0, 0.2)
        b.add("car_stop", x, z, yaw=yaw, half=float(rng.uniform(0.6, 1.8)), barrier=True)
    for _ in range(count(b, 0.25, 1.2)):
        b.add("bump", 0, b.depth(5), half=half * float(rng.uniform(0.7, 1)), far=1.0)
    if rng.random() < 0.42:
        x, line = rng.uniform(-1, 1) * half, int(rng.integers(1, 6))
        z = rng.uniform(3.2, 8) if rng.random() < 0.55 else b.depth(3.5)
        dx, dz = rng.uniform(-0.8, 0.8), rng.uniform(0.3, 2.5)
        for k in range(line):
            b.add("color_cone", x + k * dx, z + k * dz)


def add_distractors(b: Builder) -> None:
    """Things without a class that resemble one."""
    rng, half = b.rng, b.half
    set_back = 4.5 if b.style == "lot" else 0.0
    for kind, chance, mean, types in (
        ("pole", 0.8, 3, ("sign", "utility", "bollard", "bollard")),
        ("box", 0.65, 2.2, ("bin", "cabinet", "vending", "board", "vent", "sack")),
    ):  # fmt: skip
        for _ in range(count(b, chance, mean)):
            x = b.side() * (rng.uniform(half + 0.2, b.edge + 0.3) + set_back)
            b.add(kind, x, b.depth(4), type=str(rng.choice(types)))
    for _ in range(count(b, 0.5, 2)):
        b.add("bush", b.side() * (rng.uniform(half + 0.5, b.edge + 1) + set_back), b.depth(5))
    for _ in range(count(b, 0.6, 2)):
        x, z = rng.uniform(-0.8, 0.8) * half, b.depth(3.5)
        b.add("flat", x, z, far=60.0, type=str(rng.choice(("manhole", "manhole", "puddle", "patch"))))
