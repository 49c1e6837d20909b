"""A tiny checkpoint exported in every format, once for all tests: what `main` left and said."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import cache
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from types import ModuleType

import numpy as np
import pytest

from sartm_core.export.__main__ import main
from sartm_core.export.config import FORMATS
from sartm_core.model.confidence import Confidence
from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from test.core.conftest import make_frames, make_model, train_lora

SIZE = (64, 96)
CAMERA, THERMAL_CAMERA = (72, 100), (60, 80)
OPTIONS = ["--camera", "72x100", "--thermal_camera", "60x80", "--thermal", "uint16"]


@dataclass(frozen=True)
class File:
    """What one run of the command left."""

    path: Path
    kind: ModuleType
    text: str
    chatter: list[logging.LogRecord]

    @property
    def parts(self) -> list[Path]:
        return [self.path, *([self.path.with_suffix(".bin")] if self.path.suffix == ".xml" else [])]


def write_files(factory: pytest.TempPathFactory) -> tuple[Path, dict[str, File]]:
    """A checkpoint, and its exported files by format, of the formats whose packages are here."""
    return write_files_to(factory.getbasetemp() / "exports")


@cache
def write_files_to(folder: Path) -> tuple[Path, dict[str, File]]:
    """As `write_files`."""
    model = train_lora(make_model())
    norm = ThermalNorm("percentile", 40.0, 98.5)
    model.info = replace(
        model.info,
        preprocess=PreprocessConfig(SIZE, thermal=norm),
        protocol={"epochs": 3},
        metrics={"miou": 0.5},
        confidence=Confidence((0.8, 2.0, 3.0), ((), (0.0, 0.5, -1.0, 0.3), (0.0, -0.5, 1.0, 0.2))),
    )
    checkpoint = model.save(folder / "weights" / "tiny.safetensors")
    written = {}
    for name, kind in FORMATS.items():
        try:
            kind.check_installed()
        except ValueError:
            continue
        path = folder / "out" / f"tiny{kind.SUFFIX}"
        with redirect_stdout(io.StringIO()) as text, listening() as chatter:
            main([*OPTIONS, "--format", name, "--checkpoint", str(checkpoint), "--output", str(path)])
        written[name] = File(path, kind, text.getvalue(), chatter)
    left = (folder / "out").iterdir() if written else ()
    assert sorted(path.name for path in left) == sorted(p.name for f in written.values() for p in f.parts)
    return checkpoint, written


@contextmanager
def listening() -> Iterator[list[logging.LogRecord]]:
    """All that is logged at INFO, as a node logs."""
    root, queue = logging.getLogger(), SimpleQueue()
    handler, level = QueueHandler(queue), root.level
    records: list[logging.LogRecord] = []
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield records
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        while not queue.empty():
            records.append(queue.get())


def of_format(name: str, files: dict[str, File]) -> File:
    if name not in files:
        pytest.skip(f"what writes {name} is not installed")
    return files[name]


def frames(thermal_camera: tuple[int, int] = THERMAL_CAMERA) -> tuple[np.ndarray, np.ndarray]:
    rgb, _ = make_frames(*CAMERA)
    return rgb, np.random.default_rng(5).integers(7000, 9000, thermal_camera, np.uint16)
