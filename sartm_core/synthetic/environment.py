"""Light, air and heat of a scene as plain numbers, so that two environments can be blended into a third.

Radiances are linear, 1.0 = a white sheet in full daylight at the camera's exposure. Temperatures are kelvin.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

Triple = tuple[float, float, float]

COLDEST, HOTTEST = 268.0, 305.0  # ambient range over seasons and conditions
ZERO: Triple = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Environment:
    """Everything about a scene that is not an object."""

    light: Triple
    """Diffuse light on every surface."""
    sun: Triple
    """Extra light on surfaces that face the sun."""
    sky_top: Triple
    sky_low: Triple
    """Sky radiance overhead and at the horizon."""
    clouds: float
    """0 clear .. 1 overcast; scales the cloud texture in both cameras."""
    haze: Triple
    """Colour of the air that far objects fade into."""
    extinction: float
    """Fading of visible light, 1/m."""
    artificial: float
    """0..1: how much lamps, head lights and windows shine against the camera's exposure."""
    glare: float
    """Strength of the sun's (or oncoming lamps') veil over the picture."""
    sun_side: float
    """-1 sun from the left .. 1 from the right."""
    tint: Triple
    """White balance error of the colour camera."""
    noise: float
    """Colour noise at mid grey, in 8-bit levels."""
    wet: float
    """0 dry .. 1 wet ground that mirrors warm bodies and lamps."""
    ambient: float
    """Air temperature."""
    sky_kelvin: float
    """Apparent temperature of the sky overhead."""
    sun_heat: float
    """How much warmer a dark surface in full sun is than the air."""
    stored_heat: float
    """How much warmer roads and walls are than the air without sun."""

    def surface(self, sun: float, spread: float = 0.0) -> float:
        """Temperature of a surface: `sun` 0..1 = share of sun heat it takes up, `spread` kelvin on top."""
        return self.ambient + sun * self.sun_heat + spread

    @property
    def glass(self) -> float:
        """Glass is opaque in the thermal band and mirrors part of the sky."""
        return 0.8 * self.ambient + 0.2 * self.sky_kelvin


def blend(a: Environment, b: Environment, t: float) -> Environment:
    """Environment between `a` (t = 0) and `b` (t = 1). Light is blended by ratio, as eyes and exposures see it."""

    def mix(name: str, x: float, y: float) -> float:
        if name in ("light", "sky_top", "sky_low", "haze"):
            return float((x + 1e-4) ** (1 - t) * (y + 1e-4) ** t)
        return x + (y - x) * t

    values: dict[str, Any] = {}
    for field in fields(Environment):
        x, y = getattr(a, field.name), getattr(b, field.name)
        pairs = isinstance(x, tuple)
        values[field.name] = (
            tuple(mix(field.name, p, q) for p, q in zip(x, y, strict=False)) if pairs else mix(field.name, x, y)
        )
    return Environment(**values)


def _scaled(color: Triple, factor: float) -> Triple:
    return (color[0] * factor, color[1] * factor, color[2] * factor)


def _air(rng: np.random.Generator, season: float, shift: float) -> float:
    """Ambient temperature for a season (0 winter .. 1 summer); `shift` kelvin is the condition's own offset."""
    return float(np.clip(271.0 + 33.0 * season + shift + rng.normal(0, 2), COLDEST, HOTTEST))


def _day(rng: np.random.Generator, season: float) -> dict:
    sunny = rng.random() < 0.55
    clouds = rng.uniform(0, 0.5) if sunny else rng.uniform(0.7, 1)
    level = rng.uniform(0.22, 0.45) if sunny else rng.uniform(0.38, 0.75)
    blue, bright = rng.uniform(0.25, 0.6), rng.uniform(0.8, 2.2)  # cameras exposed for the street blow out the sky
    return {
        "light": _scaled((0.93, 0.98, 1.05), level),
        "sun": _scaled((1.1, 1.0, 0.85), rng.uniform(0.55, 1.1) if sunny else 0.04),
        "sky_top": _scaled((blue, blue + 0.18, 0.85), bright) if sunny else _scaled((0.9, 0.93, 0.96), bright),
        "sky_low": _scaled((0.85, 0.92, 1.0), bright),
        "clouds": clouds,
        "haze": _scaled((0.75, 0.82, 0.9), 0.7),
        "extinction": rng.uniform(0.0005, 0.004),
        "ambient": (ambient := _air(rng, season, 2)),
        "sky_kelvin": ambient - (rng.uniform(20, 45) if sunny else rng.uniform(4, 14)),
        "sun_heat": rng.uniform(4, 14) + 12 * season if sunny else rng.uniform(0, 4),
        "stored_heat": rng.uniform(-1, 2),
    }


def _dusk(rng: np.random.Generator, season: float) -> dict:
    level = rng.uniform(0.05, 0.2)
    return {
        "light": _scaled((1.15, 0.85, 0.72), level),
        "sun": _scaled((1.4, 0.8, 0.4), level * rng.uniform(0, 0.6)),
        "sky_top": _scaled((0.75, 0.65, 1.0), level * 2),
        "sky_low": _scaled((1.8, 1.0, 0.55), level * 4),
        "clouds": rng.uniform(0.1, 0.8),
        "haze": _scaled((1.2, 0.8, 0.65), level * 2),
        "extinction": rng.uniform(0.001, 0.006),
        "artificial": rng.uniform(0.25, 0.6),
        "noise": rng.uniform(2.5, 4.5),
        "ambient": (ambient := _air(rng, season, -1)),
        "sky_kelvin": ambient - rng.uniform(8, 35),
        "sun_heat": rng.uniform(0, 4),
        "stored_heat": rng.uniform(0, 2) + 4 * season,
    }


def _night(rng: np.random.Generator, season: float) -> dict:
    level = 10 ** rng.uniform(-2.9, -1.9)
    green = rng.uniform(1.0, 1.35)
    return {
        "light": _scaled((0.85, green, 0.85), level),
        "sky_top": _scaled((0.3, 0.35, 0.4), level),
        "sky_low": _scaled((1.0, 0.9, 0.7), level),
        "clouds": rng.uniform(0, 0.6),
        "haze": _scaled((0.6, 0.6, 0.5), level),
        "extinction": rng.uniform(0.001, 0.006),
        "artificial": rng.uniform(0.7, 1),
        "noise": rng.uniform(4.5, 9),
        "wet": max(0.0, rng.uniform(-1, 1)),
        "ambient": (ambient := _air(rng, season, -5)),
        "sky_kelvin": ambient - rng.uniform(8, 40),
        "stored_heat": rng.uniform(-0.5, 2) + 3 * season,
    }


def _glare(rng: np.random.Generator, season: float) -> dict:
    if rng.random() < 0.35:  # oncoming lamps at night
        return {**_night(rng, season), "artificial": 1.0, "glare": rng.uniform(0.8, 1.4), "wet": rng.uniform(0, 1)}
    level = rng.uniform(0.12, 0.3)  # low sun in the picture
    return {
        **_day(rng, season),
        "light": _scaled((1.1, 1.0, 0.9), level),
        "sun": _scaled((1.3, 1.0, 0.7), level * 0.7),
        "sky_top": (0.5, 0.6, 0.8),
        "sky_low": (1.6, 1.4, 1.1),
        "haze": (0.9, 0.8, 0.65),
        "glare": rng.uniform(0.8, 1.5),
        "wet": max(0.0, rng.uniform(-0.7, 1)),
    }


def _fog(rng: np.random.Generator, season: float) -> dict:
    level = rng.uniform(0.35, 0.7)
    return {
        "light": _scaled((0.97, 1.0, 1.02), level),
        "sky_top": _scaled((0.97, 1.0, 1.02), level),
        "sky_low": _scaled((0.97, 1.0, 1.02), level),
        "haze": _scaled((0.97, 1.0, 1.02), level * rng.uniform(0.8, 1.0)),
        "extinction": 10 ** rng.uniform(-1.7, -1.0),
        "artificial": rng.uniform(0.15, 0.35),
        "noise": rng.uniform(2, 3.5),
        "wet": max(0.0, rng.uniform(-0.5, 0.6)),
        "ambient": (ambient := _air(rng, 0.6 * season, 2)),
        "sky_kelvin": ambient - rng.uniform(1, 4),
        "sun_heat": rng.uniform(0, 1),
        "stored_heat": rng.uniform(-1, 1),
    }


ENVIRONMENTS = {"day": _day, "dusk": _dusk, "night": _night, "glare": _glare, "fog": _fog}


def make_environment(condition: str, rng: np.random.Generator, season: float) -> Environment:
    """Random environment of a condition; `season` 0 winter .. 1 summer."""
    values: dict[str, Any] = {
        "sun": ZERO, "clouds": 1.0, "artificial": 0.0, "glare": 0.0, "wet": 0.0, "sun_heat": 0.0,
        "noise": float(rng.uniform(1, 2.5)), "sun_side": float(rng.choice((-1.0, 1.0))),
        "tint": tuple(float(t) for t in rng.normal(1, 0.04, 3)),
    }  # fmt: skip
    values.update(ENVIRONMENTS[condition](rng, season))
    return Environment(**values)
