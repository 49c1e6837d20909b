"""Several adapters beside each other: what each one more costs in memory, and what switching costs in time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch
from tqdm import tqdm

from sartm_core.benchmark.config import BenchmarkConfig
from sartm_core.benchmark.machine import CACHES, describe, environment, limited, usable
from sartm_core.benchmark.subjects import RANDOM_STD, Frames, file_name, make_frames, random_model
from sartm_core.benchmark.worker import Worker, WorkerError
from sartm_core.model.checkpoint import comes_from_sam2
from sartm_core.runtime.batching import FramePair
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.fields import to_dict
from sartm_core.support.memory import resident
from sartm_core.support.reports import markdown_table

FEWEST = 2
"""Fewer are not beside each other."""
MB = 1e6


@dataclass(frozen=True)
class Side:
    """One engine with all adapters."""

    backbone: str
    engine: str
    precision: str
    one_mb: float
    """What a process with one adapter has beyond what it had after its imports, after a frame."""
    all_mb: float
    """The same with all of them."""
    set_us: float
    """`set_adapter` alone, microseconds."""
    stay_ms: float
    """A frame with the adapter of the frame before."""
    switch_ms: float
    """A frame with another one, `set_adapter` included."""
    identical: bool
    """Whether the logits of each are, bit for bit, those of a process that has it alone."""


class Session:
    """In a process of its own: the adapters, loaded, each of them used once."""

    def __init__(
        self, files: list[str], size: tuple[int, int], way: tuple[str, str, str], threads: int, frames: str
    ) -> None:
        torch.set_num_threads(threads)
        engine, precision, device = way
        given = Frames.load(frames)
        self.pair = FramePair(given.rgb[0], given.thermal[0], confidence=False)
        if engine == "openvino":
            import openvino  # noqa: F401 - before memory is looked at, like torch
        before = resident()
        self.segmenter = Segmenter.load(
            files[0], device, precision, engine, input_size=size, threads=threads, adapters=files[1:]
        )
        self.names = list(self.segmenter.adapters)
        for name in self.names:
            self.segmenter.batch([replace(self.pair, adapter=name)])
        self.segmenter.free_memory()
        self.bytes = resident() - before

    def memory(self) -> int:
        """Bytes."""
        return self.bytes

    def digests(self) -> list[str]:
        """Of the scores of each adapter."""
        found = []
        for name in self.names:
            network = self.segmenter.adapters[name]
            scores = network.scores(network.inputs(self.pair)).float().cpu().numpy()
            found.append(hashlib.sha256(scores.tobytes()).hexdigest())
        return found

    def round(self, name: str) -> tuple[float, float, float]:
        """Seconds: of `set_adapter`, of it and a frame, and of one more frame."""
        started = perf_counter()
        self.segmenter.set_adapter(name)
        switched = perf_counter()
        self.segmenter.batch([self.pair])
        first = perf_counter()
        self.segmenter.batch([self.pair])
        return switched - started, first - started, perf_counter() - first


def measure(config: BenchmarkConfig, count: int) -> dict[str, Any]:
    """`count` adapters of random weights on one base, for each backbone and engine of `config`; for JSON.

    Raises:
        ValueError: fewer than two adapters, or weights from a file.
    """
    if count < FEWEST:
        raise ValueError(f"--adapters: got {count}, expected at least {FEWEST}")
    if config.checkpoint:
        raise ValueError("--adapters: makes its own weights, give --backbones instead of --checkpoint")
    threads = usable(config.threads)
    sides, obstacles = [], []
    with TemporaryDirectory(prefix="sartm-adapters-") as text, environment(dict.fromkeys(CACHES, f"{text}/caches")):
        folder = Path(text)
        frames = make_frames(1, config.sizes[0], config.data).save(folder / "frames.npz")
        for backbone in config.names:
            files = make_files(backbone, count, folder)
            for engine, precision in config.ways:
                name = f"{backbone} {engine} {precision}"
                with limited(threads), tqdm(desc=name, total=count + 2, unit="process") as bar:
                    try:
                        sides.append(side(backbone, files, (engine, precision, config.device), config, frames, bar))
                    except WorkerError as error:
                        obstacles.append(f"{name}: {error}")
    return {
        "machine": describe(threads), "config": to_dict(config), "adapters": count,
        "sides": [asdict(one) for one in sides], "obstacles": obstacles,
    }  # fmt: skip


def make_files(backbone: str, count: int, folder: Path) -> list[str]:
    """Files with one SAM2 part, and different weights in all that an adapter file holds."""
    files = []
    for seed in range(count):
        model = random_model(backbone)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for name, parameter in model.named_parameters():
                if not comes_from_sam2(name):
                    parameter.add_(torch.randn_like(parameter), alpha=RANDOM_STD)
        files.append(str(model.save(folder / f"{file_name(backbone)}_{seed}.safetensors", kind="full")))
    return files


def side(
    backbone: str, files: list[str], way: tuple[str, str, str], config: BenchmarkConfig, frames: str, bar: Any
) -> Side:
    """One engine; WorkerError says why it cannot run."""
    threads = usable(config.threads)

    @contextmanager
    def session(files: list[str]) -> Iterator[Worker]:
        worker = Worker(Session, files, config.sizes[0], way, threads, frames)
        try:
            yield worker
        finally:
            worker.close()
            bar.update()

    alone = []
    for file in files:
        with session([file]) as worker:  # compiles, and keeps what it compiled
            alone += worker.ask("digests")
    with session(files[:1]) as worker:
        one = worker.ask("memory")
    with session(files) as worker:
        every, digests = worker.ask("memory"), worker.ask("digests")
        names = [Path(file).stem for file in files]
        rounds = [worker.ask("round", names[i % len(names)]) for i in range(config.warmup + config.runs)]
    set_s, switched, stayed = (median(column) for column in zip(*rounds[config.warmup :], strict=True))
    return Side(
        backbone, way[0], way[1], one / MB, every / MB, set_s * 1e6, stayed * 1e3, switched * 1e3, digests == alone
    )


def report(found: dict[str, Any]) -> str:
    """The table in Markdown."""
    count = found["adapters"]
    title = f"Adapters side by side: {count} of one base, {found['config']['resolutions'][0]}"
    rows = [(
        "model", "engine", "MB, one", f"MB, {count}", "each more", "set_adapter us", "frame ms", "switched ms",
        "as alone",
    )]  # fmt: skip
    for row in found["sides"]:
        one = Side(**row)
        more = (one.all_mb - one.one_mb) / (count - 1)
        rows.append((
            one.backbone, f"{one.engine} {one.precision}", f"{one.one_mb:.0f}", f"{one.all_mb:.0f}", f"{more:.0f}",
            f"{one.set_us:.1f}", f"{one.stay_ms:.1f}", f"{one.switch_ms:.1f}",
            "bit for bit" if one.identical else "NO",
        ))  # fmt: skip
    return "\n\n".join([title, markdown_table(rows), *found["obstacles"]]) + "\n"
