"""From a network in float to one in int8 that says the same, and how much faster it is."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import Any

from sartm_core.runtime.quantisation.frames import Frames, Input
from sartm_core.runtime.quantisation.restored import layers_of, restored, stems_of
from sartm_core.runtime.quantisation.search import Layers, search
from sartm_core.runtime.quantisation.verdict import Judge, Run, Verdict

log = logging.getLogger(__name__)

QUANTISER = "nncf"
"""Python package."""
NEEDED = (
    f"{QUANTISER} is not installed, which makes such a network: pip install {QUANTISER} (only there, not to run it)"
)
ROUNDS = 11
"""In which all take turns; the median of the ratios counts."""


@dataclass(frozen=True)
class Report:
    """What came of it."""

    verdict: Verdict
    float_layers: Layers
    """Those that stay in float, as int8 breaks them."""
    faster: dict[str, float]
    """Times of the forward pass over that in int8, by the precision that was compared."""

    @property
    def is_good(self) -> bool:
        """Agrees, and is faster than all of `faster`."""
        return self.verdict.is_good and all(ratio > 1 for ratio in self.faster.values())

    def __str__(self) -> str:
        ratios = ", ".join(f"{ratio:.2f}x as fast as {name}" for name, ratio in self.faster.items())
        left = f", {', '.join(self.float_layers)} in float" if self.float_layers else ""
        return f"{self.verdict}; {ratios}{left}"


def quantise(
    network: Any, frames: Frames, classes: Sequence[str], compiled: Callable[[Any], Run], others: Mapping[str, Run]
) -> tuple[Any, Report]:
    """An `openvino.Model` -> the same in int8, with the report.

    compiled: makes a network run. others: the network in float, by precision; the first is what it has to agree with.
    """
    started = perf_counter()
    judge = Judge(next(iter(others.values())), frames.judged, classes)
    coarse = quantised(network, frames.measured)
    found = search(layers_of(network), lambda some: judge(compiled(restored(coarse, network, some))))
    result = restored(coarse, network, found.layers)
    faster = ratios(compiled(result), others, frames.judged[0])
    report = Report(found.verdict, found.layers, faster)
    log.info("int8: %s (%.0f s)", report, perf_counter() - started)
    return result, report


def quantised(network: Any, frames: Sequence[Input]) -> Any:
    """All of it in int8 but what reads the pixels, by NNCF.

    Ranges are those of all frames together, not of the mean frame as NNCF would take them: scenes then do for streets.
    """
    nncf = the_nncf()
    ranges = nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX
    options = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.DISABLE, activations_range_estimator_params=ranges
    )
    stems = nncf.IgnoredScope(names=[one.get_friendly_name() for one in stems_of(network)])
    with contextlib.redirect_stdout(io.StringIO()):  # its bars
        return nncf.quantize(
            network.clone(), nncf.Dataset(frames, list), preset=nncf.QuantizationPreset.PERFORMANCE,
            subset_size=len(frames), ignored_scope=stems, advanced_parameters=options,
        )  # fmt: skip


def has_nncf() -> bool:
    return find_spec(QUANTISER) is not None


def the_nncf() -> Any:
    """The package, which would tell its makers about its use and talk on stdout."""
    with environment("NNCF_CI", "1"):
        import nncf
        import nncf.quantization.range_estimator

    nncf.set_log_level(logging.WARNING)
    return nncf


@contextlib.contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """With the variable set to this."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def ratios(run: Run, others: Mapping[str, Run], frame: Input) -> dict[str, float]:
    """How many times longer each of the others takes."""
    laps = [(seconds(run, frame), *(seconds(other, frame) for other in others.values())) for _ in range(ROUNDS)]
    return {name: median(lap[1 + i] / lap[0] for lap in laps) for i, name in enumerate(others)}


def seconds(run: Run, frame: Input) -> float:
    """Of the second of two: the first has the caches of another network."""
    run(*frame)
    started = perf_counter()
    run(*frame)
    return perf_counter() - started
