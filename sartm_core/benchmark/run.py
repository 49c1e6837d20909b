"""The whole benchmark: every model at every size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from sartm_core.benchmark import case
from sartm_core.benchmark.config import BenchmarkConfig, Size, size_name
from sartm_core.benchmark.machine import cpus, describe
from sartm_core.benchmark.results import Found
from sartm_core.benchmark.subjects import Weights, make_frames, weights_from, weights_of
from sartm_core.support.fields import to_dict


def benchmark(config: BenchmarkConfig) -> Found:
    """Measure everything. Progress goes to the terminal's error output; ValueError and OSError name a wrong file."""
    threads = min(config.threads, len(cpus())) or len(cpus())
    found = Found(describe(threads), to_dict(config), Path(config.frames).name if config.frames else "synthetic scenes")
    with tempfile.TemporaryDirectory(prefix="sartm-benchmark-") as text:
        folder = Path(text)
        with tqdm(unit="step") as bar:
            for weights in subjects(config, folder):
                for size in config.sizes:
                    frames = frames_file(config, size, folder)

                    def tell(what: str, name: str = f"{weights.backbone} {size_name(size)}") -> None:
                        bar.set_description_str(f"{name}: {what}")
                        bar.update()

                    found.cases.append(case.measure(config, weights, size, frames, threads, folder, tell))
    return found


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
    return make_frames(max(1, config.agreement_frames), size, config.frames).save(path)
