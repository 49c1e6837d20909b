"""Cars, vans, trucks and buses: a side profile extruded to the vehicle's width, seen from any heading."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from sartm_core.synthetic.canvas import STAINS, Canvas, Color, Pixel
from sartm_core.synthetic.items import LABEL, Item

# (share of length from the rear, height m, kind of the panel that follows)
Profile = tuple[tuple[float, float, str], ...]

COLORS: tuple[Color, ...] = (
    (225, 226, 228), (235, 235, 232), (180, 183, 188), (120, 124, 130), (45, 47, 52), (28, 28, 32),
    (140, 25, 25), (35, 55, 110), (60, 80, 70), (200, 190, 165), (200, 150, 30),
)  # fmt: skip
GLASS: Color = (48, 58, 66)


@dataclass(frozen=True)
class Body:
    """Shape of a vehicle type, metres."""

    length: float
    width: float
    profile: Profile
    windows: tuple[tuple[float, float, float, float], ...]
    """Side windows as (from, to) along the length and (low, high) in height."""
    wheel: float
    axles: tuple[float, ...]
    clearance: float = 0.28


BODIES = {
    "sedan": Body(4.6, 1.78, ((0, 0.35, "bumper"), (0, 0.95, "body"), (0.14, 1.0, "glass"), (0.3, 1.42, "body"),
                              (0.58, 1.42, "glass"),
                              (0.75, 0.96, "hood"), (0.97, 0.78, "body"), (1, 0.6, "front"), (1, 0.3, "end")),
                  ((0.24, 0.44, 0.98, 1.34), (0.46, 0.66, 0.98, 1.34)), 0.32, (0.19, 0.8)),
    "hatch": Body(3.9, 1.7, ((0, 0.35, "bumper"), (0, 0.95, "glass"), (0.1, 1.45, "body"), (0.6, 1.5, "glass"),
                             (0.78, 1.0, "hood"), (0.97, 0.8, "body"), (1, 0.6, "front"), (1, 0.3, "end")),
                  ((0.14, 0.38, 1.0, 1.4), (0.4, 0.66, 1.0, 1.42)), 0.31, (0.17, 0.82)),
    "minivan": Body(4.6, 1.8, ((0, 0.35, "bumper"), (0, 1.05, "glass"), (0.05, 1.75, "body"), (0.68, 1.78, "glass"),
                               (0.86, 1.1, "hood"), (0.98, 0.9, "body"), (1, 0.65, "front"), (1, 0.3, "end")),
                    ((0.08, 0.34, 1.1, 1.65), (0.36, 0.56, 1.1, 1.67), (0.58, 0.74, 1.1, 1.62)), 0.33, (0.18, 0.83)),
    "van": Body(4.9, 1.85, ((0, 0.4, "bumper"), (0, 1.1, "glass"), (0.03, 1.95, "body"), (0.8, 1.97, "glass"),
                            (0.95, 1.1, "body"), (1, 0.85, "front"), (1, 0.35, "end")),
                ((0.06, 0.36, 1.2, 1.78), (0.38, 0.62, 1.2, 1.78), (0.65, 0.86, 1.2, 1.7)), 0.35, (0.18, 0.84), 0.32),
    "truck": Body(6.2, 2.1, ((0, 0.7, "body"), (0, 3.0, "body"), (0.74, 3.0, "body"),
                              (0.75, 2.15, "body"), (0.94, 2.1, "glass"),
                             (0.98, 1.3, "body"), (1, 0.9, "front"), (1, 0.45, "end")),
                  ((0.82, 0.95, 1.35, 1.95),), 0.42, (0.2, 0.86), 0.55),
    "bus": Body(9.5, 2.4, ((0, 0.5, "body"), (0, 1.3, "glass"), (0, 2.6, "body"), (0.01, 2.95, "body"),
                            (0.99, 2.95, "body"), (1, 2.7, "glass"),
                           (1, 1.1, "front"), (1, 0.4, "end")),
                tuple((0.04 + 0.155 * i, 0.18 + 0.155 * i, 1.35, 2.4) for i in range(6)), 0.48, (0.2, 0.78), 0.45),
}  # fmt: skip
PARKED = ("sedan", "sedan", "hatch", "hatch", "minivan", "minivan", "van")
TYPES = (*PARKED, "truck", "truck", "bus")


class Vehicle:
    """Paints and geometry of one vehicle while it is drawn."""

    def __init__(self, canvas: Canvas, item: Item, seconds: float) -> None:
        rng = item.rng()
        self.canvas, self.item = canvas, item
        self.x, self.z = item.at_time(seconds)
        self.body = BODIES[item.options["type"]]
        self.sin, self.cos = math.sin(item.yaw), math.cos(item.yaw)
        canvas.at(self.x, self.z, LABEL["car"])
        env = canvas.env
        self.running = bool(item.options.get("running"))
        self.color = COLORS[rng.integers(len(COLORS))] if item.options["type"] != "truck" else (225, 226, 228)
        dark = 1 - sum(self.color) / 765
        self.base = env.surface(0.5 + 0.5 * dark, float(rng.normal(-0.8, 1)) + (1.5 if self.running else 0))
        self.engine = float(rng.uniform(6, 18)) if self.running else float(rng.exponential(1.0))
        self.tail_on = (self.running and env.artificial > 0.15) or rng.random() < 0.05
        self.braking = rng.random() < 0.35
        pane = env.glass + (1.5 if self.running else 0)
        self.glass = canvas.paint(GLASS, pane, shade=1.0, texture=STAINS, grain=0.35)
        self.black = canvas.paint((25, 26, 28), self.base + 0.3 * self.engine, shade=0.8)
        rubber = float(rng.uniform(6, 16)) if self.running else 0.3
        self.tyre = canvas.paint((20, 20, 21), env.surface(0.3, rubber), shade=0.8)
        self.rim = canvas.paint((150, 152, 156), env.surface(0.2, 5.0 if self.running else 0.0), shade=0.9)

    def at(self, share: float, height: float, lateral: float) -> tuple[float, float, float]:
        """Vehicle coordinates -> world: share of length from the rear, height and lateral offset in metres."""
        along = (share - 0.5) * self.body.length
        return self.x + along * self.sin + lateral * self.cos, height, self.z + along * self.cos - lateral * self.sin

    def pixel(self, share: float, height: float, lateral: float) -> Pixel:
        return self.canvas.camera.project(*self.at(share, height, lateral))

    def half_width(self, height: float) -> float:
        """Cabins lean in above the belt line of low vehicles."""
        roof = self.body.profile[2][1]
        lean = 0.16 * max(0.0, height - 0.95) if roof < 1.8 else 0.03 * max(0.0, height - 1.0)
        return self.body.width / 2 - lean

    def panel_paint(self, kind: str, slope: float) -> int:
        """`slope` 0 vertical .. 1 level: level panels see the sky, so they are bright by day and cold by night."""
        env, cool = self.canvas.env, 0.06 * (self.canvas.env.ambient - self.canvas.env.sky_kelvin)
        if kind == "glass":
            return self.canvas.paint(GLASS, env.glass - 2 * cool * slope, shade=1 + slope, texture=STAINS, grain=0.35)
        heat = {"hood": self.engine * 0.8, "front": self.engine, "bumper": 0.4 * self.engine}.get(kind, 0.0)
        return self.canvas.paint(self.color, self.base + heat - cool * slope, shade=0.75 + 0.4 * slope,
                                 sun=0.3 + 0.6 * slope,
                                 texture=STAINS, grain=0.08, heat_grain=0.4)  # fmt: skip

    def strip(self) -> None:
        """Front, rear, roof and glass: quads between left and right profile that face the camera, far first."""
        quads = []
        for (s0, h0, kind), (s1, h1, _) in pairwise(self.body.profile):
            w0, w1 = self.half_width(h0), self.half_width(h1)
            corners = [self.at(s0, h0, -w0), self.at(s1, h1, -w1), self.at(s1, h1, w1), self.at(s0, h0, w0)]
            pixels = [self.canvas.camera.project(*c) for c in corners]
            if area(pixels) > 0:
                run, rise = abs(s1 - s0) * self.body.length, abs(h1 - h0)
                quads.append((-sum(c[2] for c in corners), pixels, kind, run / max(run + rise, 1e-6)))
        for _, pixels, kind, slope in sorted(quads, key=lambda q: q[0]):
            self.canvas.polygon(pixels, self.panel_paint(kind, slope))

    def side(self, sign: int) -> None:
        """The flank at the left (-1) or right (1) with windows, doors and wheels, if it faces the camera."""
        outline = [self.pixel(s, h, sign * self.half_width(h)) for s, h, _ in self.body.profile]
        facing = self.cos * (self.canvas.camera.x - self.x) - self.sin * (self.canvas.camera.z - self.z)
        if facing * sign < self.body.width / 2:
            return
        env = self.canvas.env
        lit = max(0.0, sign * self.cos * env.sun_side)
        kelvin = self.base - 0.3 + 0.3 * lit * env.sun_heat
        paint = self.canvas.paint(self.color, kelvin, shade=0.7, sun=0.7 * lit, texture=STAINS, grain=0.08)
        self.canvas.polygon(outline, paint)
        low = self.body.clearance
        corners = ((0.02, low), (0.98, low), (0.98, low + 0.2), (0.02, low + 0.2))
        skirt = [self.pixel(s, h, sign * self.body.width / 2) for s, h in corners]
        self.canvas.polygon(skirt, self.canvas.paint(self.color, self.base + 0.3 * self.engine, shade=0.45))
        for s0, s1, h0, h1 in self.body.windows:
            lean = 0.04 if s1 < 0.8 else -0.06
            shape = ((s0, h0), (s1, h0), (s1 + min(lean, 0), h1), (s0 + max(lean, 0) * 0.5, h1))
            self.canvas.polygon([self.pixel(s, h, sign * (self.half_width(h) + 0.01)) for s, h in shape], self.glass)
        for axle in self.body.axles:
            self.wheel(axle, sign)

    def wheel(self, axle: float, sign: int) -> None:
        near, radius = self.canvas.camera.scale(self.z), self.body.wheel
        lateral = sign * (self.body.width / 2 + 0.01)
        for r, paint in ((1.2, self.black), (1.0, self.tyre), (0.6, self.rim)):
            if r < 1 and near * radius < 5:
                continue
            turns = [(r * radius * math.cos(t * 0.524), r * radius * math.sin(t * 0.524)) for t in range(12)]
            circle = [self.pixel(axle + a / self.body.length, radius + b, lateral) for a, b in turns]
            self.canvas.polygon(circle, paint)

    def end(self, share: float) -> None:
        """Lights, plate, grille and exhaust of the front (share 1) or the rear (share 0), if it faces the camera."""
        facing = self.sin * (self.canvas.camera.x - self.x) + self.cos * (self.canvas.camera.z - self.z)
        front = share == 1
        if (facing if front else -facing) < self.body.length / 2:
            return
        w, tall = self.body.width / 2, self.body.width * 0.5
        base = 0.62 if self.body.clearance < 0.5 else 0.9

        def patch(lateral: float, height: float, half: float, rise: float, paint: int) -> None:
            left, right, top = lateral - half, lateral + half, height + rise
            corners = ((left, height), (right, height), (right, top), (left, top))
            self.canvas.polygon([self.pixel(share, h, lat) for lat, h in corners], paint)

        paint = self.canvas.paint
        patch(0, self.body.clearance, w * 0.95, 0.14, self.black)
        if front:
            patch(0, base - 0.12, w * 0.5, 0.16, paint((35, 36, 38), self.base + 1.3 * self.engine, shade=0.8))
        patch(0, base - 0.22 if front else base + 0.02, 0.18, 0.11, paint((225, 225, 215), self.base))
        glow = self.canvas.env.artificial * (1.0 if front else 0.5) if self.tail_on else 0.0
        color = (255, 250, 230) if front else (200, 25, 20)
        lamp = paint(color, self.base + (4 if self.tail_on else 0), glow=glow) if glow else paint(color, self.base)
        for sign in (-1, 1):
            patch(sign * w * 0.78, base + 0.03, 0.15, 0.15 if front else 0.24, lamp)
            if glow:
                u, v = self.pixel(share, base + 0.1, sign * w * 0.78)
                self.shine(u, v, front, tall)
        if not front and self.running:
            patch(-w * 0.6, 0.25, 0.08, 0.08, paint((30, 30, 30), self.base + 25))

    def shine(self, u: float, v: float, front: bool, tall: float) -> None:
        env, near = self.canvas.env, self.canvas.camera.scale(self.z)
        toward = abs(self.cos)
        if front:
            radius, strength = (0.25 + 0.25 * env.glare) * near * tall + 2, 1.3 * env.artificial * toward
            self.canvas.halo(u, v, radius, (1.0, 0.97, 0.85), strength * (1 + 2.5 * env.glare))
        else:
            strength = (0.7 if self.braking else 0.3) * env.artificial * toward
            self.canvas.halo(u, v, 0.2 * near * tall + 1, (1.0, 0.08, 0.05), strength)


def area(pixels: list[Pixel]) -> float:
    """Twice the signed area; positive for quads whose outside faces the camera."""
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(pixels, [*pixels[1:], pixels[0]], strict=False))


def draw_car(canvas: Canvas, item: Item, seconds: float) -> None:
    """Any vehicle of `BODIES`; `options`: type, running."""
    car = Vehicle(canvas, item, seconds)
    w, n = car.body.width / 2 + 0.1, 0.04
    corners = ((-n, -w), (1 + n, -w), (1 + n, w), (-n, w))
    canvas.shadow([car.pixel(s, 0, lat) for s, lat in corners], 0.25)
    if max(canvas.env.sun) > 0.2:
        reach = -canvas.env.sun_side * 1.6
        canvas.shadow([canvas.camera.project(p[0] + (reach if i > 1 else 0), 0, p[2])
                       for i, p in enumerate(car.at(s, 0, lat) for s, lat in corners)], 0.4)  # fmt: skip
    if canvas.camera.z > car.z + car.body.length:
        return
    underside = canvas.paint((15, 15, 16), car.base + 0.5 * car.engine, shade=0.3)
    low = car.body.clearance
    inner, top = w - 0.15, low + 0.15
    belly = ((0.03, top, -inner), (0.97, top, -inner), (0.97, 0.1, -inner), (0.97, 0.1, inner), (0.97, top, inner))
    canvas.polygon([car.pixel(*p) for p in (*belly, (0.03, top, inner))], underside)
    for sign in (-1, 1):
        hidden_wheels(car, sign)
    car.strip()
    for sign in (-1, 1):
        car.side(sign)
    for share in (0, 1):
        car.end(share)


def hidden_wheels(car: Vehicle, sign: int) -> None:
    """Tyres seen under the bumpers from the front or the rear."""
    w, r = car.body.width / 2, car.body.wheel
    for axle in car.body.axles:
        corners = ((w - 0.2, 0), (w, 0), (w, 2 * r), (w - 0.2, 2 * r))
        car.canvas.polygon([car.pixel(axle, h, sign * lat) for lat, h in corners], car.tyre)
