"""One layer of surface ids that both cameras are developed from.

An object paints a surface once: colour, temperature, label, texture and depth go into one table row, its pixels get the
row's number. So rgb, kelvin and label always agree, and a polygon is drawn once, not three times.
World axes in metres: x right, y up from the ground, z forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from sartm_core.synthetic.environment import Environment

Color = Sequence[float]  # red, green, blue as sRGB, 0..255
Pixel = tuple[float, float]

PLAIN, FOLIAGE, STAINS, CLOUDS, GROUND = range(5)  # textures
NEAR = 0.7  # m, nothing is drawn closer to the camera
GAMMA = 2.2
SOFT = 4  # shadows live on a grid this much coarser, which softens their edges
FAR = 300.0  # m, depth of the sky


@dataclass(frozen=True)
class Camera:
    """Pinhole camera looking along +z; sizes in pixels, places in metres."""

    height: int
    width: int
    focal: float
    horizon: float
    center: float
    x: float = 0.0
    y: float = 1.5
    z: float = 0.0
    curve: float = 0.0
    """The world bends sideways by curve * distance^2, 1/m."""

    def project(self, x: float, y: float, z: float) -> Pixel:
        """World point -> pixel; points nearer than NEAR are pulled to it."""
        d = z - self.z
        if d < NEAR:
            d = NEAR
        k = self.focal / d
        return (self.center + (x - self.x + self.curve * d * d) * k, self.horizon + (self.y - y) * k)

    def scale(self, z: float) -> float:
        """Pixels per metre at z."""
        return self.focal / max(z - self.z, NEAR)

    def ground_depth(self) -> np.ndarray:
        """Distance of the ground seen in every row, (H, 1) float32; FAR at and above the horizon."""
        below = np.arange(self.height, dtype=np.float32) + 0.5 - self.horizon
        depth = np.where(below > 0, self.focal * self.y / np.maximum(below, 1e-3), FAR)
        return np.minimum(depth, FAR)[:, None].astype(np.float32)


class Lamp(NamedTuple):
    """A light that falls on ground and objects around (x, z): Gaussian pool of `reach` metres."""

    x: float
    z: float
    reach: float
    power: float
    color: tuple[float, float, float]


class Halo(NamedTuple):
    """Bloom in the picture around a light source: pixel, radius in pixels, linear colour, metres from the camera."""

    u: float
    v: float
    radius: float
    color: tuple[float, float, float]
    depth: float


class Canvas:
    """Surface ids (H, W) and the table they point into; `at` sets where and what the next paints belong to."""

    def __init__(self, camera: Camera, env: Environment, lamps: Sequence[Lamp] = ()) -> None:
        self.camera, self.env, self.lamps = camera, env, lamps
        self.ids = Image.new("I", (camera.width, camera.height), 0)
        self._draw = ImageDraw.Draw(self.ids)
        coarse = (-(-camera.width // SOFT), -(-camera.height // SOFT))
        self.shade = Image.new("L", coarse, 255)  # 255 = full light on the ground
        self.warmth = Image.new("L", coarse, 0)  # mirrored bodies on wet ground, 1/16 K
        self._shade_draw, self._warmth_draw = ImageDraw.Draw(self.shade), ImageDraw.Draw(self.warmth)
        self.halos: list[Halo] = []
        self.rows: list[tuple[float, ...]] = []  # r, g, b, kelvin, depth, label, texture, grain, heat_grain
        self.depth, self.label = FAR, 0
        self.light: tuple[float, float, float] = env.light

    def at(self, x: float, z: float, label: int = 0) -> None:
        """What is painted next stands at (x, z) and has this label; it is lit as that place is."""
        self.depth, self.label = max(z - self.camera.z, NEAR), label
        r, g, b = self.env.light
        for lamp in self.lamps:
            square = ((x - lamp.x) ** 2 + (z - lamp.z) ** 2) / (lamp.reach * lamp.reach)
            if square < 16:
                gain = lamp.power * 2.718281828 ** (-0.5 * square)
                r, g, b = r + gain * lamp.color[0], g + gain * lamp.color[1], b + gain * lamp.color[2]
        self.light = (r, g, b)

    def paint(self, color: Color, kelvin: float, *, shade: float = 1.0, sun: float = 0.0, glow: float = 0.0,
              texture: int = PLAIN, grain: float = 0.05, heat_grain: float = 0.25) -> int:  # fmt: skip
        """New surface. `sun` 0..1 = how much it faces the sun; glow > 0 = shines by itself with that linear strength.

        `grain` (relative) and `heat_grain` (kelvin) scale the texture in the two cameras. Returns the surface's id.
        """
        lit: tuple[float, ...]
        if glow:
            lit = (glow, glow, glow)
        elif texture == GROUND:  # keeps its bare albedo: light on the ground is computed per pixel
            lit = (shade, shade, shade)
        else:
            lit = tuple(shade * (a + sun * b) for a, b in zip(self.light, self.env.sun, strict=True))
        linear = tuple((c / 255) ** GAMMA * k for c, k in zip(color, lit, strict=True))
        self.rows.append((*linear, kelvin, self.depth, self.label, texture, grain, heat_grain))
        return len(self.rows) - 1

    def polygon(self, points: Sequence[Pixel], surface: int) -> None:
        self._draw.polygon(points, fill=surface)

    def solid(self, corners: Sequence[tuple[float, float, float]], surface: int) -> None:
        """Polygon with world corners (x, y, z) in metres."""
        project = self.camera.project
        self._draw.polygon([project(*c) for c in corners], fill=surface)

    def front(self, x0: float, x1: float, low: float, high: float, z: float, surface: int) -> None:
        """Upright rectangle that faces the camera."""
        self.solid(((x0, low, z), (x1, low, z), (x1, high, z), (x0, high, z)), surface)

    def flank(self, x: float, z0: float, z1: float, low: float, high: float, surface: int) -> None:
        """Upright rectangle along the street."""
        self.solid(((x, low, z0), (x, low, z1), (x, high, z1), (x, high, z0)), surface)

    def ground(self, x0: float, x1: float, z0: float, z1: float, surface: int, step: float = 4.0) -> None:
        """Rectangle on the ground; cut along z so that it follows the road's curve."""
        start = max(z0, self.camera.z + NEAR)
        if start >= z1:
            return
        if self.camera.curve:
            pieces = max(1, int((z1 - start) / step))
            cuts = [start + (z1 - start) * (i / pieces) ** 2 for i in range(pieces + 1)]
        else:
            cuts = [start, z1]
        project = self.camera.project
        outline = [project(x0, 0, z) for z in cuts] + [project(x1, 0, z) for z in reversed(cuts)]
        self._draw.polygon(outline, fill=surface)

    def disc(self, u: float, v: float, rx: float, ry: float, surface: int) -> None:
        self._draw.ellipse((u - rx, v - ry, u + rx, v + ry), fill=surface)

    def stroke(self, a: Pixel, b: Pixel, width_a: float, width_b: float, surface: int) -> None:
        """Straight limb from a to b, tapering between two widths in pixels; thin ones become a line of one pixel."""
        dx, dy = b[0] - a[0], b[1] - a[1]
        length = (dx * dx + dy * dy) ** 0.5
        if max(width_a, width_b) < 1.5 or length < 1e-6:
            self._draw.line((a, b), fill=surface, width=1)
            return
        nx, ny = -dy / length / 2, dx / length / 2
        self._draw.polygon(
            (
                (a[0] + nx * width_a, a[1] + ny * width_a), (b[0] + nx * width_b, b[1] + ny * width_b),
                (b[0] - nx * width_b, b[1] - ny * width_b), (a[0] - nx * width_a, a[1] - ny * width_a),
            ),
            fill=surface,
        )  # fmt: skip

    def ring(self, points: Sequence[Pixel], width: float, surface: int) -> None:
        """Closed outline of `width` pixels."""
        self._draw.line([*points, points[0]], fill=surface, width=max(1, round(width)))

    def see_through(self, u: float, v: float, color: Color, kelvin: float, amount: float) -> int:
        """Surface that lets through what was painted at (u, v) before, like spokes; amount 0..1 = own share."""
        u, v = min(max(int(u), 0), self.camera.width - 1), min(max(int(v), 0), self.camera.height - 1)
        behind = self.rows[int(np.asarray(self.ids.getpixel((u, v))))]
        own = self.paint(color, kelvin)
        row = self.rows[own]
        lit = (1.0, 1.0, 1.0)
        if behind[6] == GROUND:  # ground rows hold bare albedo
            lit = self.light
        mixed = [amount * row[i] + (1 - amount) * behind[i] * lit[i] for i in range(3)]
        self.rows[own] = (*mixed, amount * kelvin + (1 - amount) * behind[3], *row[4:])
        return own

    def shadow(self, points: Sequence[Pixel], light: float) -> None:
        """Darken the ground inside to `light` 0..1."""
        self._shade_draw.polygon([(u / SOFT, v / SOFT) for u, v in points], fill=int(255 * light))

    def mirror(self, points: Sequence[Pixel], kelvin: float) -> None:
        """Warm reflection on the ground, `kelvin` above it."""
        self._warmth_draw.polygon([(u / SOFT, v / SOFT) for u, v in points], fill=int(np.clip(16 * kelvin, 0, 255)))

    def halo(self, u: float, v: float, radius: float, color: tuple[float, float, float], strength: float) -> None:
        """Bloom of a source at the current depth; things drawn nearer hide it, see `appearance.bloom`."""
        shining = (color[0] * strength, color[1] * strength, color[2] * strength)
        self.halos.append(Halo(u, v, radius, shining, self.depth))
