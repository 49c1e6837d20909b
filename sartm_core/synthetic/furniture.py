"""Things without a class that resemble the classes in shape or heat: poles, lamps, boxes, shrubs, manholes."""

from __future__ import annotations

import math

import numpy as np

from sartm_core.synthetic.canvas import FOLIAGE, GROUND, STAINS, Canvas, Color
from sartm_core.synthetic.items import Item

LAMP_KELVIN = 14.0  # a lamp head above the air


def draw_pole(canvas: Canvas, item: Item, seconds: float) -> None:
    """Street lamp, sign, utility pole or bollard: upright like a person, without a class."""
    canvas.at(item.x, item.z)
    rng, env, x, z = item.rng(), canvas.env, item.x, item.z
    kind, s = item.options["type"], canvas.camera.scale(item.z)
    high = {"lamp": 5.0, "sign": 2.6, "utility": 9.0, "bollard": 0.9}[kind]
    wide = {"lamp": 0.13, "sign": 0.07, "utility": 0.3, "bollard": 0.13}[kind]
    tone = float(rng.uniform(45, 150))
    kelvin = env.surface(0.35, float(rng.normal(-0.5, 0.6)))
    metal = canvas.paint((tone, tone, tone * 0.97), kelvin, shade=0.9, sun=0.3, texture=STAINS, grain=0.1)
    foot, top = canvas.camera.project(x, 0, z), canvas.camera.project(x, high, z)
    canvas.stroke(foot, top, wide * s, wide * s * 0.8, metal)
    if kind == "sign":
        color: Color = ((200, 40, 40), (40, 80, 170), (230, 230, 225), (215, 180, 40))[rng.integers(4)]
        plate = canvas.paint(color, env.surface(0.4, -1.0), sun=0.4, shade=1 + env.artificial)
        r = 0.3 * s
        if rng.random() < 0.5:
            canvas.disc(top[0], top[1], r, r, plate)
        else:
            corners = ((-r, -r), (r, -r), (r, r * 0.8), (-r, r * 0.8))
            canvas.polygon([(top[0] + a, top[1] + b) for a, b in corners], plate)
    elif kind == "lamp":
        reach = -math.copysign(1.2, x) if rng.random() < 0.6 else 0.0
        head = canvas.camera.project(x + reach, high + 0.1, z)
        canvas.stroke(top, head, wide * s * 0.6, wide * s * 0.5, metal)
        on = env.artificial if item.options.get("on", True) else 0.0
        glow = canvas.paint((255, 250, 225), env.ambient + LAMP_KELVIN * on, glow=2.0 * on)
        canvas.disc(head[0], head[1], 0.28 * s, 0.12 * s, glow)
        if on:
            canvas.halo(*head, 0.55 * s + 1, item.options.get("color", (1.0, 0.95, 0.8)), 1.2 * on)


def draw_box(canvas: Canvas, item: Item, seconds: float) -> None:
    """Upright box without a class: bin, cabinet, vending machine, billboard, air-conditioner outlet."""
    canvas.at(item.x, item.z)
    rng, env, x, z = item.rng(), canvas.env, item.x, item.z
    kind = item.options["type"]
    wide, high, low, heat = {
        "bin": (0.5, 0.95, 0, 0.0), "cabinet": (0.8, 1.3, 0, float(rng.uniform(0, 6))),
        "vending": (1.0, 1.85, 0, float(rng.uniform(2, 8))),
        "board": (1.6, 1.8, 0.6, 0.0), "vent": (0.7, 1.0, 0.35, float(rng.uniform(5, 25))), "sack": (0.45, 0.5, 0, 0.0),
    }[kind]  # fmt: skip
    color = tuple(float(c) for c in rng.uniform(50, 210, 3)) if kind != "vent" else (170, 170, 165)
    kelvin = env.surface(0.35, heat)
    front = canvas.paint(color, kelvin, shade=0.85, sun=0.4, texture=STAINS, grain=0.12, heat_grain=0.5)
    side = canvas.paint(color, env.surface(0.2, 0.5 * heat), shade=0.55)
    half, inner = wide / 2, -math.copysign(wide / 2, x)
    shadow = ((-half, -0.1), (half, -0.1), (half, wide), (-half, wide))
    canvas.shadow([canvas.camera.project(x + a, 0, z + b) for a, b in shadow], 0.45)
    canvas.flank(x + inner, z, z + 0.6 * wide, low, high, side)
    canvas.front(x - half, x + half, low, high, z, front)
    if kind == "vending":
        glow = 0.8 * env.artificial
        color, warm = ((210, 225, 235), 0.6 * heat) if glow else ((150, 165, 180), heat)
        pane = canvas.paint(color, env.surface(0.2, warm), glow=glow)
        canvas.front(x - 0.42 * wide, x + 0.42 * wide, 0.75, 1.7, z, pane)
        if glow:
            canvas.halo(*canvas.camera.project(x, 1.2, z), canvas.camera.scale(z) * 0.7, (0.8, 0.95, 1.0), 0.35 * glow)
    elif kind in ("vent", "board"):
        lines = canvas.paint((60, 60, 62), env.surface(0.3, 1.4 * heat), shade=0.8)
        for h in np.linspace(low + 0.15, high - 0.1, 4):
            corners = ((-0.4, 0), (0.4 - 0.3 * rng.random(), 0), (0.4, 0.06), (-0.4, 0.06))
            canvas.solid([(x + a * wide, h + b, z) for a, b in corners], lines)


def draw_bush(canvas: Canvas, item: Item, seconds: float) -> None:
    """Round shrub at the height of a person or a car."""
    canvas.at(item.x, item.z)
    rng, env = item.rng(), canvas.env
    s = canvas.camera.scale(item.z)
    green = np.array((48, 68, 32)) * rng.uniform(0.7, 1.4)
    size = float(rng.uniform(0.5, 1.1))
    for shade, lift in ((0.5, 0.5), (0.8, 0.7), (1.1, 0.95)):
        paint = canvas.paint(tuple(green), env.surface(0.12, -0.3), shade=shade, sun=0.5 * shade, texture=FOLIAGE,
                             grain=0.4, heat_grain=0.6)  # fmt: skip
        for dx in rng.uniform(-0.5, 0.5, 3):
            u, v = canvas.camera.project(item.x + dx * size, lift * size * 0.6, item.z)
            canvas.disc(u, v, 0.5 * size * s, 0.45 * size * s, paint)


def draw_flat(canvas: Canvas, item: Item, seconds: float) -> None:
    """Manhole, puddle or patch on the road; manholes and drains may be warmer than people's clothes."""
    canvas.at(item.x, item.z)
    rng, env = item.rng(), canvas.env
    radius, kind = float(rng.uniform(0.3, 0.4)), item.options["type"]
    if kind == "manhole":
        color, kelvin = (70, 68, 66), env.surface(0.7, env.stored_heat + float(rng.exponential(4)))
    elif kind == "puddle":
        radius *= 3
        color, kelvin = (60, 62, 66), 0.85 * env.ambient + 0.15 * env.sky_kelvin
    else:
        radius *= 3
        color, kelvin = (70, 69, 67), env.surface(0.9, env.stored_heat + 0.2)
    paint = canvas.paint(color, kelvin, texture=GROUND, grain=0.1)
    uneven = rng.uniform(0.6, 1.2, 16) if kind != "manhole" else np.ones(16)
    ring = [(k * radius, t) for k, t in zip(uneven, np.linspace(0, 6.0, 16), strict=False)]
    canvas.solid([(item.x + r * math.cos(t), 0, item.z + r * math.sin(t)) for r, t in ring], paint)
