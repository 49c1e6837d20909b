"""Which engine and which precision run a model, with the reason: what is asked for, or the fastest that agrees."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.prepare import Pixels
from sartm_core.runtime import engines
from sartm_core.runtime.engines import cache
from sartm_core.runtime.engines.agreement import ENOUGH, agreement, plain
from sartm_core.runtime.engines.base import INT8, PRECISIONS, Engine, Settings, Source
from sartm_core.runtime.engines.hardware import cpu_flags
from sartm_core.runtime.quantisation.calibration import Calibration
from sartm_core.runtime.quantisation.kept import abouts
from sartm_core.runtime.quantisation.quantise import NEEDED, has_nncf
from sartm_core.support.device import Device
from sartm_core.support.fields import one_of, to_dict
from sartm_core.support.late import torch
from sartm_core.support.reports import versions

log = logging.getLogger(__name__)

EXACT = "fp32"


@dataclass(frozen=True)
class Wish:
    """What the caller asks for; "auto" leaves it to us."""

    device: Device
    engine: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    weights: str = ""
    """SHA-256 of the file of the weights, empty for weights of no file."""
    calibration: str | None = None
    """Folder of frames to quantise by; only for precision int8, which takes synthetic scenes without."""

    def __post_init__(self) -> None:
        one_of("Segmenter", "engine", self.engine, ("auto", *engines.ENGINES))
        one_of("Segmenter", "precision", self.precision, ("auto", *PRECISIONS))
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads: got {self.threads}, expected at least 1, or None for the library's own choice")
        if self.calibration is not None and self.precision != INT8:
            raise ValueError(f"calibration: given with precision {self.precision}, but it is for int8 only")


@dataclass(frozen=True)
class Choice:
    """What runs."""

    run: Engine
    engine: str
    precision: str
    reason: str
    pixels: Pixels
    """When it takes rgb frames as uint8."""
    batches: bool
    """Whether several pairs at a time are faster than one after the other."""


def choose(source: Source, wish: Wish, preprocess: PreprocessConfig) -> Choice:
    """Make the engine that runs the model.

    Raises:
        ValueError: when what is asked for cannot run here, with what to do.
    """
    name, why = pick_engine(wish)
    kind = engines.ENGINES[name]
    prove(source, wish, kind, preprocess)
    offered = kind.precisions(wish.device)

    def chosen(run: Engine, precision: str, reason: str) -> Choice:
        return Choice(run, name, precision, f"engine {name} ({why}), {precision}{reason}", kind.pixels, kind.batches)

    if wish.precision != "auto":
        if wish.precision == INT8 and kind.quantises and offered:
            return chosen(kind.make(source, int8_settings(wish)), INT8, " as asked for")
        if wish.precision not in offered:
            every = (*offered, INT8) if kind.quantises and offered else offered
            raise ValueError(
                f"precision: {wish.precision!r} asked for, but engine {name} offers {', '.join(every)} on "
                f"{wish.device.type}"
            )
        return chosen(kind.make(source, settings_of(wish, wish.precision)), wish.precision, " as asked for")
    refused = ""
    for precision in offered:
        settings = settings_of(wish, precision)
        run = kind.make(source, settings)
        reason = refused or " (fastest here)"
        if precision != EXACT:
            if kind.keeps_on(wish.device) and wish.weights:
                path = agreement_file(name, precision, wish, preprocess)
                source.have_ready(path.is_file, **wanted(wish, preprocess))
            share = known_agreement(
                run, name, precision, lambda: plain(source(), wish.device), wish, preprocess, kind.pixels
            )
            if share < ENOUGH:
                refused += f"; {precision} agrees on {share:.2%} of pixels only, {ENOUGH:.1%} is asked for"
                continue
            reason = f": {share:.2%} of pixels as in fp32"
        if kind.quantises and (better := faster_int8(wish.weights, precision)):
            del run
            return chosen(kind.make(source, replace(settings, precision=INT8, otherwise=precision)), INT8, better)
        return chosen(run, precision, reason)
    raise ValueError(f"precision: engine {name} offers no fp32 on {wish.device.type}{refused}; name a precision")


def prove(source: Source, wish: Wish, kind: engines.Kind, preprocess: PreprocessConfig) -> None:
    """Make a network of weights that nobody tried yet. ValueError when they are none."""
    if source.proven:
        return
    if kind.keeps_on(wish.device):
        source.have_ready(lambda: source.proven, **wanted(wish, preprocess))
    if not source.proven:
        source()


def wanted(wish: Wish, preprocess: PreprocessConfig) -> dict[str, Any]:
    """For a process of its own, which then keeps all that `choose` and the first frame ask for."""
    return {
        "engine": wish.engine, "precision": wish.precision, "threads": wish.threads, "calibration": wish.calibration,
        "size": preprocess.input_size, "thermal": preprocess.thermal,
    }  # fmt: skip


def int8_settings(wish: Wish) -> Settings:
    """To quantise where nothing is kept. ValueError when something is missing for that."""
    if not has_nncf() and not abouts(wish.weights):
        raise ValueError(f"precision: 'int8' asked for, but {NEEDED}")
    return replace(settings_of(wish, INT8), calibration=Calibration(wish.calibration))


def faster_int8(weights: str, precision: str) -> str:
    """Why to take int8 in place of `precision`, by what was measured when it was made; "" where there is no reason."""
    good = {
        size: about
        for size, about in abouts(weights).items()
        if about.report.verdict.is_good and about.report.faster.get(precision, 0) > 1
    }
    return "".join(f"; {h}x{w}, by {about.frames}: {about.report}" for (h, w), about in good.items())


def pick_engine(wish: Wish) -> tuple[str, str]:
    """(name, why). ValueError when the engine asked for cannot run here."""
    if wish.engine != "auto":
        kind = engines.ENGINES[wish.engine]
        if obstacle := kind.obstacle(wish.device):
            usable = [name for name, kind in engines.ENGINES.items() if not kind.obstacle(wish.device)]
            raise ValueError(f"engine: {wish.engine!r} asked for, but {obstacle}; here: {', '.join(usable)}")
        return wish.engine, "as asked for"
    order = engines.AUTO.get(wish.device.type, ("torch",))
    obstacles = {name: engines.ENGINES[name].obstacle(wish.device) for name in order}
    name = next(name for name in order if not obstacles[name])
    faster = [f"{obstacle} for the faster {other}" for other, obstacle in obstacles.items() if obstacle]
    return name, "; ".join(faster) or f"fastest on {wish.device.type}"


def settings_of(wish: Wish, precision: str) -> Settings:
    return Settings(wish.device, precision, wish.threads, wish.weights)


def known_agreement(
    run: Engine, name: str, precision: str, exact: Callable[[], Engine], wish: Wish, preprocess: PreprocessConfig,
    pixels: Pixels, exact_pixels: Pixels = Pixels.NEVER,
) -> float:  # fmt: skip
    """As `agreement`; measured once for weights of a file, then remembered. `exact` is made only where needed."""
    path = agreement_file(name, precision, wish, preprocess)
    if wish.weights and (kept := cache.read_json(path)) and isinstance(kept.get("agreement"), float):
        return float(kept["agreement"])
    started = perf_counter()
    share = agreement(run, exact(), preprocess, wish.device, pixels, exact_pixels)
    log.info("%s agrees with fp32 on %.2f %% of pixels (%.1f s)", precision, share * 100, perf_counter() - started)
    if wish.weights:
        cache.keep_json(path, {"agreement": share, "engine": name, "precision": precision, "weights": wish.weights})
    return share


def agreement_file(name: str, precision: str, wish: Wish, preprocess: PreprocessConfig) -> Path:
    """Where that is remembered."""
    return cache.path_of(
        "agreement", ".json", weights=wish.weights, engine=name, precision=precision, preprocess=to_dict(preprocess),
        device=device_name(wish.device), cpu=sorted(cpu_flags()),
        versions=versions({"torch", engines.ENGINES[name].package}),
    )  # fmt: skip


def device_name(device: Device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
