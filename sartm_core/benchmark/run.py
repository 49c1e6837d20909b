"""The whole benchmark: every model at every size, every way to run it in turn with the baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from tqdm import tqdm

from sartm_core.benchmark import peers, startup
from sartm_core.benchmark.agreement import answers, summarize
from sartm_core.benchmark.baseline import PlainSegmenter
from sartm_core.benchmark.config import BenchmarkConfig, Size, size_name
from sartm_core.benchmark.flops import ModelCounts, count_model, product_flops
from sartm_core.benchmark.lane import Lane, Meter
from sartm_core.benchmark.machine import describe, limited, usable
from sartm_core.benchmark.peers import PeerWay
from sartm_core.benchmark.rates import SQUARE, square
from sartm_core.benchmark.ratios import add_ratios, counted, memory_of, rate_of
from sartm_core.benchmark.results import Case, Found, Memory, Row
from sartm_core.benchmark.runtimes import RUNTIMES
from sartm_core.benchmark.session import Way
from sartm_core.benchmark.subjects import Weights, load_plain, make_frames, weights_from, weights_of
from sartm_core.benchmark.worker import WorkerError
from sartm_core.runtime.engines.base import INT8, dtype_of
from sartm_core.support.device import pick_device
from sartm_core.support.fields import to_dict

FP32 = "fp32"
Tell = Callable[[str], object]
"""Takes a word or two about what is done now."""


def benchmark(config: BenchmarkConfig) -> Found:
    """Measure everything. Progress goes to the terminal's error output; ValueError and OSError name a wrong file."""
    threads = usable(config.threads)
    for path in config.peer:
        peers.check(path, config.sizes[0])  # before an hour of measuring, not after
    found = Found(describe(threads), to_dict(config), Path(config.data).name if config.data else "synthetic scenes")
    with TemporaryDirectory(prefix="sartm-benchmark-") as text:
        folder = Path(text)
        with tqdm(total=steps_of(config), unit="step") as bar:
            for weights in subjects(config, folder):
                for size in config.sizes:
                    frames = frames_file(config, size, folder)

                    def tell(what: str, name: str = f"{weights.backbone} {size_name(size)}") -> None:
                        bar.set_description_str(f"{name}: {what}")
                        bar.update()

                    found.cases.append(measure(config, weights, size, frames, threads, folder, tell))
    return found


def steps_of(config: BenchmarkConfig) -> int:
    """How often `measure` tells what it does, at most: ways that cannot run take none."""
    engines, meters = len(config.ways), len({precision for _, precision in config.ways} | {FP32})
    others = sum(1 for _ in peer_ways(config, config.sizes[0], "", 1, Path())) if config.peer else 0
    ways = 1 + engines + others
    steps = 2 + engines * (2 if config.startup else 1) + ways + meters + config.runs * (ways + meters)
    return steps * len(config.sizes) * (len(config.names) + bool(config.checkpoint))


def subjects(config: BenchmarkConfig, folder: Path) -> Iterator[Weights]:
    """The models, each written to `folder` when its turn comes."""
    if config.checkpoint:
        yield weights_from(config.checkpoint, config.sam2)
    for name in config.names:
        yield weights_of(name, folder)


def frames_file(config: BenchmarkConfig, size: Size, folder: Path) -> str:
    path = folder / f"frames_{size_name(size)}.npz"
    if path.is_file():
        return str(path)
    return make_frames(max(1, config.agreement_frames), size, config.data).save(path)


def measure(
    config: BenchmarkConfig, weights: Weights, size: Size, frames: str, threads: int, folder: Path, tell: Tell
) -> Case:
    """`frames`: a file of `Frames` of this size; `folder` for temporary files. ValueError when the baseline cannot run.

    First every engine is started afresh, which fills its caches; then all run side by side.
    """
    tell("count")
    counts = count_model(load_plain(weights), size)
    case = Case(weights.backbone, weights.source, size_name(size), counted(counts))

    def lane(engine: str, precision: str, plain: bool = False) -> Lane:
        caches = mkdtemp(dir=folder)
        way = Way(weights, size, frames, engine, precision, config.device, threads, caches, plain, config.calibration)
        return Lane(Row(engine, precision), way)

    baseline = lane(PlainSegmenter.engine, FP32, plain=True)
    engines = [lane(engine, precision) for engine, precision in config.ways]
    others = [peer_lane(way) for way in peer_ways(config, size, frames, threads, folder)]
    case.baseline, case.rows, case.peers = baseline.row, *([lane.row for lane in some] for some in (engines, others))
    lanes = [baseline, *engines, *others]
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
            peak = each.ask("peak")
            if each.is_peer:
                each.row.memory = Memory(peak.starting, peak.running, None, None)
                continue
            run = counts.plain if each is baseline else counts.deploy
            dtype = dtype_of(each.row.ran["precision"])
            each.row.memory = memory_of(peak, run, counts.plain, dtype)
        compare(config.agreement_frames, baseline, engines, tell)
    add_ratios(case)
    return case


def peer_ways(config: BenchmarkConfig, size: Size, frames: str, threads: int, folder: Path) -> Iterator[PeerWay]:
    """Every file by every runtime that is installed, in every precision that it offers."""
    device = pick_device(config.device)
    for path in config.peer:
        for runtime in peers.installed():
            for precision in RUNTIMES[runtime].precisions(device):
                yield PeerWay(path, size, frames, runtime, precision, config.device, threads, str(folder))


def peer_lane(way: PeerWay) -> Lane:
    return Lane(Row(f"{way.name} ({way.runtime})", way.precision), way)


def name_of(lane: Lane) -> str:
    return f"{lane.row.engine} {lane.row.precision}"


def rounds(runs: int, case: Case, lanes: list[Lane], counts: ModelCounts, tell: Tell) -> None:
    """Every way once in each round, another one first every time, and the machine's rates: noise hits all alike."""
    alive = [lane for lane in lanes if lane.alive]
    large = square(SQUARE)
    with ExitStack() as stack:
        meters = []
        in_float = [lane.row.ran["precision"] for lane in alive if not lane.is_peer]
        for precision in dict.fromkeys(precision for precision in in_float if precision != INT8):
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


def start_afresh(lane: Lane, threads: int) -> None:
    """What cannot run says why again when its lane opens."""
    assert isinstance(lane.way, Way)
    with suppress(WorkerError), limited(threads):
        lane.row.startup = startup.measure(lane.way)
