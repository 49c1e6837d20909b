"""Which engine and which precision run a model, with the reason: what is asked for, or the fastest that agrees."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch

from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.prepare import Pixels
from sartm_core.runtime import engines
from sartm_core.runtime.engines import cache
from sartm_core.runtime.engines.agreement import ENOUGH, agreement, plain
from sartm_core.runtime.engines.base import PRECISIONS, Engine, Settings, Source
from sartm_core.runtime.engines.hardware import cpu_flags
from sartm_core.support.fields import one_of, to_dict
from sartm_core.support.reports import versions

log = logging.getLogger(__name__)

EXACT = "fp32"


@dataclass(frozen=True)
class Wish:
    """What the caller asks for; "auto" leaves it to us."""

    device: torch.device
    engine: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    weights: str = ""
    """SHA-256 of the file of the weights, empty for weights of no file."""

    def __post_init__(self) -> None:
        one_of("Segmenter", "engine", self.engine, ("auto", *engines.ENGINES))
        one_of("Segmenter", "precision", self.precision, ("auto", *PRECISIONS))
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads: got {self.threads}, expected at least 1, or None for the library's own choice")


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
    offered = kind.precisions(wish.device)

    def chosen(run: Engine, precision: str, reason: str) -> Choice:
        return Choice(run, name, precision, f"engine {name} ({why}), {precision}{reason}", kind.pixels, kind.batches)

    if wish.precision != "auto":
        if wish.precision not in offered:
            raise ValueError(
                f"precision: {wish.precision!r} asked for, but engine {name} offers {', '.join(offered)} on "
                f"{wish.device.type}"
            )
        return chosen(kind.make(source, settings_of(wish, wish.precision)), wish.precision, " as asked for")
    refused = ""
    for precision in offered:
        run = kind.make(source, settings_of(wish, precision))
        if precision == EXACT:
            return chosen(run, precision, refused or " (fastest here)")
        share = known_agreement(
            run, name, precision, lambda: plain(source(), wish.device), wish, preprocess, kind.pixels
        )
        if share >= ENOUGH:
            return chosen(run, precision, f": {share:.2%} of pixels as in fp32")
        refused += f"; {precision} agrees on {share:.2%} of pixels only, {ENOUGH:.1%} is asked for"
    raise ValueError(f"precision: engine {name} offers no fp32 on {wish.device.type}{refused}; name a precision")


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
    pixels: Pixels,
) -> float:  # fmt: skip
    """As `agreement`; measured once for weights of a file, then remembered. `exact` is made only where needed."""
    path = cache.path_of(
        "agreement", ".json", weights=wish.weights, engine=name, precision=precision, preprocess=to_dict(preprocess),
        device=device_name(wish.device), cpu=sorted(cpu_flags()),
        versions=versions({"torch", engines.ENGINES[name].package}),
    )  # fmt: skip
    if wish.weights and (kept := cache.read_json(path)) and isinstance(kept.get("agreement"), float):
        return float(kept["agreement"])
    started = perf_counter()
    share = agreement(run, exact(), preprocess, wish.device, pixels)
    log.info("%s agrees with fp32 on %.2f %% of pixels (%.1f s)", precision, share * 100, perf_counter() - started)
    if wish.weights:
        cache.keep_json(path, {"agreement": share, "engine": name, "precision": precision, "weights": wish.weights})
    return share


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
