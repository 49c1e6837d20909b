"""One model at one size: every way to run it in turn with the baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from tempfile import mkdtemp

from sartm_core.benchmark import startup
from sartm_core.benchmark.agreement import answers, summarize
from sartm_core.benchmark.baseline import PlainSegmenter
from sartm_core.benchmark.config import BenchmarkConfig, Size, size_name
from sartm_core.benchmark.flops import ModelCounts, count_model, product_flops
from sartm_core.benchmark.lane import Lane, Meter
from sartm_core.benchmark.machine import limited
from sartm_core.benchmark.rates import SQUARE, square
from sartm_core.benchmark.ratios import add_ratios, counted, memory_of, rate_of
from sartm_core.benchmark.results import Case, Row
from sartm_core.benchmark.session import Way
from sartm_core.benchmark.subjects import Weights, load_plain
from sartm_core.benchmark.worker import WorkerError
from sartm_core.runtime.engines import PRECISIONS

FP32 = "fp32"
Tell = Callable[[str], object]
"""Takes a word or two about what is done now."""


def measure(
    config: BenchmarkConfig, weights: Weights, size: Size, frames: str, threads: int, folder: Path, tell: Tell
) -> Case:
    """`frames`: a file of `Frames` of this size; `folder` for temporary files. ValueError when the baseline cannot run.

    First every engine is started afresh, which fills its caches; then all run side by side.
    """
    tell("count")
    counts = count_model(lambda: load_plain(weights), size, config.padded_size)
    case = Case(weights.backbone, weights.source, size_name(size), counted(counts))

    def lane(engine: str, precision: str, plain: bool = False, padded: Size | None = None) -> Lane:
        caches = mkdtemp(dir=folder)
        way = Way(weights, size, frames, engine, precision, config.device, threads, caches, plain, padded)
        return Lane(Row(engine, precision), way)

    baseline = lane(PlainSegmenter.engine, FP32, plain=True)
    padded = lane(PlainSegmenter.engine, FP32, plain=True, padded=config.padded_size) if config.padded else None
    engines = [lane(engine, precision) for engine, precision in config.ways]
    case.baseline, case.padded, case.rows = baseline.row, padded.row if padded else None, [lane.row for lane in engines]
    lanes = [baseline, *([padded] if padded else []), *engines]
    if config.startup:
        for each in engines:
            tell(f"start {name_of(each)}")
            start_afresh(each, threads)
    with ExitStack() as stack, limited(threads):
        for each in lanes:
            stack.enter_context(closing(each))
            tell(f"load {name_of(each)}")
            each.open(config.warmup)
        if not baseline.alive:
            raise ValueError(f"the plain model at {case.size} cannot run: {baseline.row.why_not}")
        rounds(config.runs, case, lanes, counts, tell)
        for each in filter(lambda each: each.alive, lanes):
            run = {id(baseline): counts.plain, id(padded): counts.padded}.get(id(each)) or counts.deploy
            dtype = PRECISIONS[each.row.ran["precision"]]
            each.row.memory = memory_of(each.ask("peak"), run, counts.plain, dtype)
        compare(config.agreement_frames, baseline, engines, tell)
        for each in engines:
            watch_growth(config.frames_for_growth, each, tell)
    add_ratios(case)
    return case


def name_of(lane: Lane) -> str:
    return f"{lane.row.engine} {lane.row.precision}"


def rounds(runs: int, case: Case, lanes: list[Lane], counts: ModelCounts, tell: Tell) -> None:
    """Every way once in each round, another one first every time, and the machine's rates: noise hits all alike."""
    alive = [lane for lane in lanes if lane.alive]
    large = square(SQUARE)
    with ExitStack() as stack:
        meters = []
        for precision in dict.fromkeys(lane.row.ran["precision"] for lane in alive):
            tell(f"products {precision}")
            meter = Meter(precision, [large, *counts.plain.products], alive[0])
            meters.append(stack.enter_context(closing(meter)))
        for i in range(runs):
            first = i % len(alive)
            for lane in (*alive[first:], *alive[:first]):
                tell(f"round {i + 1} of {runs}: {name_of(lane)}")
                lane.turn(i)
            for meter in meters:
                tell(f"round {i + 1} of {runs}: products {meter.precision}")
                meter.turn()
    for lane in alive:
        lane.summarize()
    flops = product_flops(large)
    case.rates = {meter.precision: rate_of(meter.laps, counts.plain, flops) for meter in meters if meter.laps}


def compare(frames: int, baseline: Lane, engines: Iterable[Lane], tell: Tell) -> None:
    """Every engine with the baseline, on the first frames."""
    tell("answers of the baseline")
    plain = list(answers(baseline, frames))
    for lane in engines:
        if lane.alive:
            tell(f"answers of {name_of(lane)}")
            lane.row.agreement = summarize(plain, answers(lane, frames))


def watch_growth(frames: int, lane: Lane, tell: Tell) -> None:
    """Of the process, from the first tenth of the frames to the last."""
    if frames and lane.alive:
        tell(f"growth of {name_of(lane)}")
        samples = lane.ask("grow", frames)
        if samples and lane.row.memory:
            lane.row.memory.growth = samples[-1] - samples[0]


def start_afresh(lane: Lane, threads: int) -> None:
    """What cannot run says why again when its lane opens."""
    with suppress(WorkerError), limited(threads):
        lane.row.startup = startup.measure(lane.way)
