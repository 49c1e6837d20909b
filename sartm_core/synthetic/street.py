"""Street objects with a class of their own: kerbs, bumps, cones, parking stops and guardrails."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from sartm_core.synthetic.canvas import NEAR, STAINS, Canvas, Color
from sartm_core.synthetic.items import LABEL, Item

CONCRETE: Color = (150, 148, 142)
CUTS = 12  # pieces of a long strip, finer near the camera


def _cuts(canvas: Canvas, z0: float, z1: float) -> np.ndarray:
    start = max(z0, canvas.camera.z + NEAR)
    if start >= z1:
        return np.empty(0)
    return start + (z1 - start) * np.linspace(0, 1, CUTS) ** 2


def draw_kerb(canvas: Canvas, item: Item, seconds: float) -> None:
    """Raised edge of the road along z, class curve: a face towards the road and a lighter top."""
    cuts = _cuts(canvas, item.z, item.z + item.options["length"])
    if not len(cuts):
        return
    rng = item.rng()
    out, env = math.copysign(1, item.x), canvas.env
    high, wide = float(rng.uniform(0.1, 0.2)), float(rng.uniform(0.12, 0.22))
    tone = float(rng.uniform(0.75, 1.15))
    color = tuple(c * tone for c in CONCRETE)
    for a, b in pairwise(cuts):
        canvas.at(item.x, (a + b) / 2, LABEL["curve"])
        face = canvas.paint(color, env.surface(0.35, env.stored_heat), shade=0.6, texture=STAINS, grain=0.15)
        top = canvas.paint(color, env.surface(0.7, env.stored_heat), shade=1.0, sun=0.7, texture=STAINS, grain=0.12)
        x, y = item.x, high
        canvas.flank(x, a, b, 0, y, face)
        canvas.solid(((x, y, a), (x, y, b), (x + out * wide, y, b), (x + out * wide, y, a)), top)


def draw_bump(canvas: Canvas, item: Item, seconds: float) -> None:
    """Speed bump across the road: a low hump, plain or with yellow stripes."""
    canvas.at(item.x, item.z, LABEL["bump"])
    rng, env = item.rng(), canvas.env
    half, deep, high = item.options["half"], float(rng.uniform(0.35, 0.7)), float(rng.uniform(0.05, 0.1))
    striped = rng.random() < 0.65
    dark = canvas.paint((55, 54, 53), env.surface(0.9, env.stored_heat + 0.8), sun=0.6, grain=0.12, texture=STAINS)
    other, kelvin = (195, 160, 50) if striped else (85, 84, 82), env.surface(0.75, env.stored_heat + 0.3)
    light = canvas.paint(other, kelvin, sun=0.7, grain=0.1, texture=STAINS)
    stripes = max(2, round(2 * half / 0.5))
    for i in range(stripes):
        x0, x1 = (item.x - half + 2 * half * k / stripes for k in (i, i + 1))
        paint = light if striped and i % 2 else dark
        z = item.z
        canvas.solid(((x0, 0, z), (x1, 0, z), (x1, high, z + deep / 2), (x0, high, z + deep / 2)), paint)
        canvas.solid(((x0, high, z + deep / 2), (x1, high, z + deep / 2), (x1, 0, z + deep), (x0, 0, z + deep)), paint)


def draw_cone(canvas: Canvas, item: Item, seconds: float) -> None:
    """Traffic cone with a foot and reflecting bands."""
    canvas.at(item.x, item.z, LABEL["color_cone"])
    rng, env = item.rng(), canvas.env
    high = float(rng.choice((0.5, 0.7, 0.75)))
    wide = 0.26 * high
    color: Color = (215, 75, 35) if rng.random() < 0.8 else (40, 110, 70)
    heat = env.surface(0.5, float(rng.normal(-0.5, 0.6)))
    body, shaded = canvas.paint(color, heat, sun=0.5), canvas.paint(color, heat - 0.3, shade=0.65)
    band = canvas.paint((235, 235, 230), heat - 0.6, shade=1.2 + env.artificial, sun=0.5)
    base = canvas.paint((40, 40, 42) if rng.random() < 0.5 else color, heat, shade=0.7)
    s = canvas.camera.scale(item.z)
    u, v = canvas.camera.project(item.x, 0, item.z)
    foot = wide * 1.25
    shadow = ((-1, -0.06), (1.3, -0.06), (1.2, 0.05), (-1, 0.05))
    canvas.shadow([(u + foot * a * s, v + b * s) for a, b in shadow], 0.5)
    canvas.polygon([(u + foot * s * a, v - b * s) for a, b in ((-1, 0), (1, 0), (0.85, 0.09), (-0.85, 0.09))], base)

    def width(share: float) -> float:
        return wide * (1 - 0.85 * share)

    for low, top, paint in ((0.06, 1.0, body), (0.35, 0.5, band), (0.65, 0.78, band)):
        a, b, y0, y1 = width(low) * s, width(top) * s, v - low * high * s, v - top * high * s
        canvas.polygon([(u - a, y0), (u + a, y0), (u + b, y1), (u - b, y1)], paint)
        if paint == body:
            canvas.polygon([(u + 0.3 * a, y0), (u + a, y0), (u + b, y1), (u + 0.3 * b, y1)], shaded)


def draw_stop(canvas: Canvas, item: Item, seconds: float) -> None:
    """Class car_stop: a parking block on the ground, or the low barrier that closes a lane."""
    canvas.at(item.x, item.z, LABEL["car_stop"])
    rng, env = item.rng(), canvas.env
    along = item.yaw  # heading of the long side against x
    c, s = math.cos(along), math.sin(along)
    half = item.options.get("half", 0.3)
    tone = float(rng.uniform(0.85, 1.3))
    color = tuple(tone * k for k in CONCRETE)

    def at(a: float, y: float, b: float) -> tuple[float, float, float]:
        return item.x + a * c - b * s, y, item.z + a * s + b * c

    heat = env.surface(0.6, env.stored_heat - 0.3)
    face = canvas.paint(color, heat - 0.4, shade=0.7, texture=STAINS, grain=0.15)
    top = canvas.paint(color, heat, sun=0.7, texture=STAINS, grain=0.12)
    if item.options.get("barrier"):
        white = canvas.paint((225, 225, 220), env.surface(0.3, -0.8), shade=0.85, sun=0.4, grain=0.08)
        for low, high in ((0.75, 0.85), (0.35, 0.43)):
            canvas.solid((at(-half, low, 0), at(half, low, 0), at(half, high, 0), at(-half, high, 0)), white)
        for a in np.linspace(-half, half, max(2, round(half * 4))):
            canvas.solid((at(a - 0.03, 0, 0), at(a + 0.03, 0, 0), at(a + 0.03, 0.85, 0), at(a - 0.03, 0.85, 0)), white)
        return
    high, deep = 0.13, 0.16
    shadow = ((-half, -0.1), (half, -0.1), (half, deep), (-half, deep))
    canvas.shadow([canvas.camera.project(*at(a, 0, b)) for a, b in shadow], 0.5)
    for a in (-half, half):
        canvas.solid((at(a, 0, 0), at(a, 0, deep), at(a * 0.95, high, deep), at(a * 0.95, high, 0)), face)
    left, right = -half * 0.95, half * 0.95
    canvas.solid((at(-half, 0, 0), at(half, 0, 0), at(right, high, 0), at(left, high, 0)), face)
    canvas.solid((at(left, high, 0), at(right, high, 0), at(right, high, deep), at(left, high, deep)), top)
    if rng.random() < 0.4:
        mark, left, right = canvas.paint((205, 170, 50), heat, sun=0.6), -half * 0.3, half * 0.3
        canvas.solid((at(left, 0.03, 0), at(right, 0.03, 0), at(right, high, 0), at(left, high, 0)), mark)


def draw_guardrail(canvas: Canvas, item: Item, seconds: float) -> None:
    """Rail on posts along the road: a steel beam or white pipes."""
    cuts = _cuts(canvas, item.z, item.z + item.options["length"])
    if not len(cuts):
        return
    rng, env, x = item.rng(), canvas.env, item.x
    steel = rng.random() < 0.6
    color: Color = (165, 168, 172) if steel else (228, 228, 224)
    bands = ((0.45, 0.6, 0.75), (0.6, 0.78, 1.0)) if steel else ((0.3, 0.36, 0.9), (0.52, 0.58, 0.9), (0.74, 0.82, 1.0))
    end = item.z + item.options["length"]
    for z in np.arange(item.z, end, 2.0)[::-1]:
        if z > canvas.camera.z + NEAR:
            canvas.at(x, float(z), LABEL["guardrail"])
            post = canvas.paint(color, env.surface(0.3, -0.6), shade=0.7)
            canvas.front(x - 0.05, x + 0.05, 0, 0.75, z, post)
    for a, b in pairwise(cuts):
        canvas.at(x, (a + b) / 2, LABEL["guardrail"])
        for low, high, shade in bands:
            beam = canvas.paint(color, env.surface(0.45 * shade, -1.0), shade=shade, sun=0.4, texture=STAINS, grain=0.1)
            canvas.flank(x, a, b, low, high, beam)
