"""Pedestrians and bicycles: articulated figures that face the camera plane, and two-wheelers in any heading."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sartm_core.synthetic.canvas import STAINS, Canvas, Color, Pixel
from sartm_core.synthetic.items import LABEL, Item

SKIN_KELVIN = 306.0
HAIR_SHARE, BAG_SHARE = 0.72, 0.12  # how much of the way from air to skin a surface is warmed
SKINS: tuple[Color, ...] = ((233, 190, 160), (205, 155, 120), (150, 105, 75), (95, 65, 50))
CLOTHES: tuple[Color, ...] = (
    (30, 32, 40), (45, 50, 70), (70, 70, 72), (120, 120, 125), (200, 198, 190), (235, 235, 235),
    (110, 35, 35), (40, 75, 60), (150, 125, 90), (60, 90, 140), (190, 150, 60), (85, 60, 45),
)  # fmt: skip
STRIDE_HZ = 0.9
WHEEL = 0.34  # m, radius


class Figure:
    """Paints and proportions of one person, heights in units of body height."""

    def __init__(self, canvas: Canvas, item: Item, x: float, z: float) -> None:
        rng = item.rng()
        canvas.at(x, z, LABEL["person"])
        env = canvas.env
        self.canvas = canvas
        self.height = item.options.get("height", float(rng.normal(1.68, 0.1)))
        self.scale = canvas.camera.scale(z) * self.height  # px
        self.base = canvas.camera.project(x, 0, z)
        self.width = float(rng.uniform(0.9, 1.2))
        self.mirror = -1.0 if math.sin(item.yaw) < 0 else 1.0
        self.side = abs(math.sin(item.yaw))
        self.phase = float(rng.uniform(0, 2 * math.pi))
        warm = SKIN_KELVIN + float(rng.normal(0, 0.7)) - env.ambient

        def cloth(share: float, color: Color, shade: float = 1.0) -> int:
            kelvin = env.ambient + share * warm + 0.25 * env.sun_heat * max(0.0, 1 - abs(share - 0.4))
            return canvas.paint(color, kelvin, shade=shade, sun=0.4, texture=STAINS, grain=0.16, heat_grain=0.9)

        thin = float(rng.uniform(0.4, 0.75)) + (0.12 if env.ambient > 293 else 0)
        top, bottom = (CLOTHES[i] for i in rng.integers(0, len(CLOTHES), 2))
        self.skin = cloth(0.97, SKINS[rng.integers(len(SKINS))])
        self.hair = cloth(HAIR_SHARE, (30, 25, 22) if rng.random() < 0.75 else CLOTHES[rng.integers(len(CLOTHES))])
        self.top, self.top_dark = cloth(thin, top), cloth(thin + 0.08, top, 0.7)
        self.bottom = cloth(thin + float(rng.uniform(-0.1, 0.15)), bottom, 0.95)
        self.bottom_dark = cloth(thin, bottom, 0.65)
        self.shoe = cloth(0.25, CLOTHES[rng.integers(len(CLOTHES))], 0.8)
        self.bag_paint = cloth(BAG_SHARE, CLOTHES[rng.integers(len(CLOTHES))])
        self.bare_arms = env.ambient > 295 and rng.random() < 0.7
        self.bag = str(rng.choice(("none", "none", "back", "hand", "shoulder")))
        self.coat = float(rng.uniform(0.34, 0.47)) if rng.random() < 0.35 else 0.48
        self.back_view = math.cos(item.yaw) > 0
        self.turned_neck = 0.02 * self.side

    def point(self, dx: float, dy: float) -> Pixel:
        """Body units -> pixel; dx forward (or right), dy up from the feet."""
        return self.base[0] + dx * self.mirror * self.scale, self.base[1] - dy * self.scale

    def limb(self, a: tuple[float, float], b: tuple[float, float], wa: float, wb: float, paint: int) -> None:
        s = self.scale
        self.canvas.stroke(self.point(*a), self.point(*b), wa * s, wb * s, paint)

    def leg(self, swing: float, offset: float, upper: int, lower: int) -> None:
        """Hip, knee and foot for a swing -1..1; a leg that swings back bends its knee."""
        hip, bend = (offset, 0.5), max(0.0, -swing) * 0.5
        knee = (offset * 1.1 + 0.11 * swing * self.stride, 0.27 + 0.02 * bend)
        foot = (offset * 1.1 + (0.22 * swing - 0.1 * bend) * self.stride, 0.03 + 0.08 * bend)
        self.limb(hip, knee, 0.095 * self.width, 0.07, upper)
        self.limb(knee, foot, 0.07, 0.048, lower)
        toe = 0.06 * max(self.side, 0.3)
        self.limb((foot[0] - 0.02, foot[1] - 0.012), (foot[0] + toe, foot[1] - 0.02), 0.045, 0.035, self.shoe)

    def arm(self, swing: float, offset: float, sleeve: int) -> None:
        shoulder, elbow = (offset, 0.8), (offset * 1.15 - 0.09 * swing * self.stride, 0.63)
        hand = (elbow[0] - 0.05 * swing * self.stride + 0.04 * self.side, 0.49)
        self.limb(shoulder, elbow, 0.062, 0.052, sleeve)
        self.limb(elbow, hand, 0.05, 0.038, self.skin if self.bare_arms else sleeve)
        u, v = self.point(*hand)
        r = 0.024 * self.scale
        self.canvas.disc(u, v, r, r, self.skin)
        if self.bag == "hand" and offset >= 0:
            self.limb((hand[0], 0.47), (hand[0], 0.34), 0.09, 0.13, self.bag_paint)

    def torso(self) -> None:
        """Trunk as an outline, with a shaded flank and the lower edge of a jacket or coat."""
        w = self.width * (0.075 + 0.045 * (1 - self.side))
        low = self.coat
        outline = [(-w * 0.75, 0.85), (w * 0.75, 0.85), (w * 1.08, 0.8), (w * 0.98, 0.62), (w * 1.05, low),
                   (-w * 1.05, low), (-w * 0.98, 0.62), (-w * 1.08, 0.8)]  # fmt: skip
        self.canvas.polygon([self.point(*p) for p in outline], self.top)
        flank = [(-w * 1.08, 0.8), (-w * 0.35, 0.8), (-w * 0.5, low), (-w * 1.05, low)]
        self.canvas.polygon([self.point(*p) for p in flank], self.top_dark)
        if self.bag == "back" and (self.back_view or self.side > 0.4):
            shift = -w * 1.1 * self.side
            pack = [(shift - w * 0.75, 0.8), (shift + w * 0.75, 0.8), (shift + w * 0.8, 0.57), (shift - w * 0.8, 0.57)]
            self.canvas.polygon([self.point(*p) for p in pack], self.bag_paint)
        elif self.bag == "shoulder":
            self.limb((w * 0.9, 0.6), (w * 0.9, 0.48), 0.12, 0.13, self.bag_paint)

    def head(self) -> None:
        self.limb((self.turned_neck, 0.84), (self.turned_neck, 0.9), 0.055, 0.05, self.skin)
        u, v = self.point(self.turned_neck, 0.93)
        rx, ry = 0.048 * self.scale, 0.064 * self.scale
        self.canvas.disc(u, v - 0.008 * self.scale, rx * 1.08, ry, self.hair)
        if not self.back_view or self.side > 0.6:
            u, v = u + 0.018 * self.side * self.mirror * self.scale, v + 0.012 * self.scale
            self.canvas.disc(u, v, rx * 0.85, ry * 0.72, self.skin)

    stride = 0.0


def draw_person(canvas: Canvas, item: Item, seconds: float) -> None:
    """A pedestrian; `speed` decides between standing and walking, `yaw` the view."""
    x, z = item.at_time(seconds)
    figure = Figure(canvas, item, x, z)
    moving = item.speed != 0
    swing = math.sin(figure.phase + 2 * math.pi * STRIDE_HZ * seconds) if moving else 0.15
    figure.stride = (0.35 + 0.65 * figure.side) if moving else 0.3
    spread = 0.052 * (1 - 0.6 * figure.side) * figure.width
    ground_marks(canvas, figure)
    arm_at = (0.075 + 0.05 * (1 - figure.side)) * figure.width * (1 - 0.75 * figure.side)
    figure.arm(-swing, -arm_at, figure.top_dark)
    figure.leg(-swing, -spread, figure.bottom_dark, figure.bottom_dark)
    figure.leg(swing, spread, figure.bottom, figure.bottom)
    figure.torso()
    figure.arm(swing, arm_at, figure.top)
    figure.head()


def ground_marks(canvas: Canvas, figure: Figure) -> None:
    """Soft shadow, and on wet ground a warm mirror image."""
    s, (u, v) = figure.scale, figure.base
    soft = ((-0.2, -0.02), (0.2, -0.02), (0.16, 0.03), (-0.16, 0.03))
    canvas.shadow([(u + a * s, v + b * s) for a, b in soft], 0.6)
    if max(canvas.env.sun) > 0.2:
        reach = -canvas.env.sun_side * s
        far = u + 0.9 * reach
        cast = [(u - 0.06 * s, v), (u + 0.06 * s, v), (far + 0.08 * s, v - 0.05 * s), (far, v - 0.08 * s)]
        canvas.shadow(cast, 0.55)
    if canvas.env.wet > 0.2:
        image = ((-0.1, 0), (0.1, 0), (0.06, 0.6), (-0.06, 0.6))
        canvas.mirror([(u + a * s, v + b * s) for a, b in image], 2.5 * canvas.env.wet)


def draw_bike(canvas: Canvas, item: Item, seconds: float) -> None:
    """Bicycle at any heading, with a rider when `options["rider"]`."""
    x, z = item.at_time(seconds)
    rng = item.rng()
    canvas.at(x, z, LABEL["bike"])
    env = canvas.env
    near = canvas.camera.scale(z)
    along, across = math.sin(item.yaw), math.cos(item.yaw)
    color = CLOTHES[rng.integers(len(CLOTHES))] if rng.random() < 0.6 else (170, 175, 180)
    frame = canvas.paint(color, env.surface(0.3, -0.5), shade=1.1, sun=0.3)
    tyre = canvas.paint((22, 22, 24), env.surface(0.4, 2.0 if item.speed else 0.2))

    def at(length: float, height: float, lateral: float = 0.0) -> Pixel:
        ahead = z + length * across - lateral * along
        return canvas.camera.project(x + length * along + lateral * across, height, ahead)

    if item.options.get("rider") and along * across < 0:
        rider(canvas, item, x, z, at, seconds)
        canvas.at(x, z, LABEL["bike"])
    for hub in (-0.52, 0.52):
        rim = [at(hub + WHEEL * math.cos(t), WHEEL + WHEEL * math.sin(t)) for t in np.linspace(0, 6.0, 16)]
        wheel(canvas, rim, at(hub, WHEEL), near, tyre)
    pedal, saddle, bar = (-0.08, 0.3), (-0.2, 0.92), (0.38, 0.98)
    pipe = 0.045 * near
    for a, b in (((-0.52, WHEEL), pedal), (pedal, saddle), (pedal, (0.33, 0.8)), ((-0.16, 0.75), (0.33, 0.8)),
                 ((-0.52, WHEEL), (-0.16, 0.75)), (bar, (0.52, WHEEL))):  # fmt: skip
        canvas.stroke(at(*a), at(*b), pipe, pipe, frame)
    canvas.stroke(at(-0.32, 0.94), at(-0.08, 0.94), 0.09 * near, 0.05 * near, tyre)
    canvas.stroke(at(0.38, 0.99, -0.28), at(0.38, 0.99, 0.28), pipe, pipe, frame)
    if rng.random() < 0.5:
        basket = canvas.paint((90, 90, 92), env.surface(0.2), shade=0.8)
        canvas.polygon([at(0.42, 1.0, -0.16), at(0.42, 0.75, -0.13), at(0.62, 0.75, 0.13), at(0.64, 1.0, 0.16)], basket)
    if item.options.get("rider") and along * across >= 0:
        rider(canvas, item, x, z, at, seconds)
    if item.options.get("rider") and env.artificial > 0.2 and across < 0.3:
        canvas.halo(*at(0.5, 0.8), 0.12 * near, (1, 1, 0.9), 0.6 * env.artificial)


def wheel(canvas: Canvas, rim: list[Pixel], hub: Pixel, near: float, tyre: int) -> None:
    """Tyre, and spokes one can see through: each quarter takes up what is behind it."""
    n = len(rim)
    if abs(rim[0][0] - rim[n // 2][0]) > 4:
        for q in range(4):
            arc = [rim[(q * n // 4 + i) % n] for i in range(n // 4 + 1)]
            middle = arc[len(arc) // 2]
            u, v = (hub[0] + middle[0]) / 2, (hub[1] + middle[1]) / 2
            canvas.polygon([hub, *arc], canvas.see_through(u, v, (80, 80, 82), canvas.env.ambient, 0.3))
    canvas.ring(rim, 0.055 * near, tyre)


def rider(canvas: Canvas, item: Item, x: float, z: float, at: Callable[..., Pixel], seconds: float) -> None:
    """The person on a bicycle; `at(length, height)` places body points along the bicycle."""
    figure = Figure(canvas, item, x, z)
    s = figure.scale
    turn = figure.phase + 2 * math.pi * 1.1 * seconds
    hip, shoulder, hand = (-0.2, 1.0), (0.05, 1.48), (0.38, 1.02)
    for side, offset, paint in ((-1, 0.0, figure.bottom_dark), (1, math.pi, figure.bottom)):
        foot = (-0.08 + 0.16 * math.cos(turn + offset), 0.3 + 0.16 * math.sin(turn + offset))
        knee = (0.18, 0.62 + 0.12 * math.sin(turn + offset))
        lateral = 0.1 * side
        canvas.stroke(at(*hip, lateral), at(*knee, lateral), 0.1 * s, 0.075 * s, paint)
        canvas.stroke(at(*knee, lateral), at(*foot, lateral), 0.072 * s, 0.05 * s, paint)
        canvas.stroke(at(*foot, lateral), at(foot[0] + 0.14, foot[1], lateral), 0.045 * s, 0.04 * s, figure.shoe)
    wide = 0.14 + 0.07 * (1 - figure.side)
    canvas.stroke(at(hip[0], hip[1] - 0.05), at(*shoulder), wide * s, (wide + 0.03) * s, figure.top)
    for lateral in (-0.22, 0.22):
        start = at(shoulder[0], shoulder[1] - 0.06, lateral * 0.7)
        canvas.stroke(start, at(*hand, lateral), 0.06 * s, 0.045 * s, figure.top_dark)
    u, v = at(0.12, 1.68)
    canvas.disc(u, v - 0.01 * s, 0.052 * s, 0.066 * s, figure.hair)
    if not figure.back_view or figure.side > 0.6:
        canvas.disc(u + 0.018 * figure.mirror * figure.side * s, v + 0.012 * s, 0.042 * s, 0.048 * s, figure.skin)
