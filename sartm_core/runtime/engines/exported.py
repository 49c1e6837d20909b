"""Files of `sartm export` as engines: the network in the middle of one runs, the rest is done here.

So frames of any size and type, registration and batches work as with a checkpoint; only the size of the network's input
is that of the file. On a CPU without torch, but for the first start of one with bf16, which measures that once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sartm_core.model.config import ModelConfig
from sartm_core.model.info import ModelInfo
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.normalise import rgb_factors
from sartm_core.preprocess.prepare import Pixels
from sartm_core.runtime.engines import ENGINES, onnxruntime, openvino, tensorrt
from sartm_core.runtime.engines.agreement import ENOUGH
from sartm_core.runtime.engines.base import INT8, Engine, Settings
from sartm_core.runtime.engines.choice import EXACT, Choice, Wish, known_agreement, settings_of
from sartm_core.runtime.engines.sessions import Session, Sessions, Size
from sartm_core.runtime.exported import onnx_file, openvino_file
from sartm_core.runtime.exported.description import JOINTS, PRESENT, Description
from sartm_core.support.device import Device

FORMATS: dict[str, Any] = {".onnx": onnx_file, ".xml": openvino_file}
RUN_BY = {".onnx": ("onnxruntime", "openvino", "tensorrt"), ".xml": ("openvino",)}
"""Engines by suffix; `auto` is the first that is installed."""


@dataclass(frozen=True)
class Exported:
    """An exported file, in the place of a `SARTM` where only a `Segmenter` is wanted."""

    path: Path
    about: Description
    sha256: str
    """Of the file; of .xml and .bin one after the other."""

    @property
    def config(self) -> ModelConfig:
        return self.about.model

    @property
    def info(self) -> ModelInfo:
        return self.about.info


def is_exported(path: Path) -> bool:
    """By its suffix."""
    return path.suffix in FORMATS


def open_exported(path: Path) -> Exported:
    """Reads the description. FileNotFoundError and ValueError name the file."""
    kind = FORMATS[path.suffix]
    parts = kind.parts_of(path)
    return Exported(path, kind.describe(path, parts), digest_of(parts))


def digest_of(parts: tuple[bytes, ...]) -> str:
    """SHA-256 of what a file holds; of .xml and .bin one after the other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def device_of(exported: Exported, device: str, engine: str) -> str:
    """What "auto" stands for: "cpu" when no engine of this file would use the GPU that torch sees."""
    by_onnxruntime = exported.path.suffix == ".onnx" and engine in ("auto", "onnxruntime", "tensorrt")
    can_use_gpu = by_onnxruntime and bool(onnxruntime.precisions(Device("cuda")))
    return device if device != "auto" or can_use_gpu else "cpu"


def choose(exported: Exported, wish: Wish, preprocess: PreprocessConfig) -> Choice:
    """As `choice.choose`, for an exported file: its own precision, or on OpenVINO the fastest that agrees with it."""
    engine, why = pick_engine(exported, wish)
    own = exported.about.precision
    offered = ENGINES[engine].precisions(wish.device) if engine == "openvino" and own == EXACT else (own,)
    pixels = Pixels.ALWAYS if takes_pixels(wish.device) else Pixels.NEVER
    if wish.precision not in ("auto", *offered):
        raise ValueError(
            f"precision: {wish.precision!r} asked for, but {exported.path.name} runs in {', '.join(offered)} on "
            f"engine {engine}"
        )
    refused = ""
    for precision in offered:
        if wish.precision not in ("auto", precision):
            continue
        run = make(exported, engine, settings_of(wish, precision))
        reason = ""
        if wish.precision == precision:
            reason = " as asked for"
        elif precision == own:
            reason = refused or " of the file"
        else:
            exact = partial(make, exported, engine, settings_of(wish, EXACT))
            share = known_agreement(run, engine, precision, exact, wish, preprocess, pixels, pixels)
            if share >= ENOUGH:
                reason = f": {share:.2%} of pixels as in fp32"
        if reason:
            text = f"engine {engine} ({why}), {precision}{reason}"
            return Choice(run, engine, precision, text, pixels, batches=False)
        refused += f"; {precision} agrees on {share:.2%} of pixels only, {ENOUGH:.1%} is asked for"
    raise AssertionError("the file's own precision is always offered")


def pick_engine(exported: Exported, wish: Wish) -> tuple[str, str]:
    """(name, why). ValueError when none of this file's engines, or not the one asked for, can run here."""
    name = exported.path.name
    usable = RUN_BY[exported.path.suffix]
    read = (EXACT,) if exported.path.suffix == ".onnx" else (EXACT, INT8)  # by OpenVINO; its fp16 overflows
    if exported.about.precision not in read:
        usable = tuple(engine for engine in usable if engine != "openvino")
    if wish.engine != "auto" and wish.engine not in usable:
        raise ValueError(
            f"engine: {wish.engine!r} asked for, but {name} in {exported.about.precision} is run by "
            f"{' or '.join(usable)}"
        )
    order = usable if wish.engine == "auto" else (wish.engine,)
    obstacles = {engine: ENGINES[engine].obstacle(wish.device) for engine in order}
    for engine, obstacle in obstacles.items():
        if not obstacle:
            return engine, f"for {name}" if wish.engine == "auto" else "as asked for"
    raise ValueError(f"engine: {name} cannot run on {wish.device.type}: {'; '.join(obstacles.values())}")


def make(exported: Exported, engine: str, settings: Settings) -> Engine:
    """Runs the network in the file; the first call compiles it or takes what an earlier start kept."""
    about, path = exported.about, exported.path

    def build(size: Size) -> Session:
        run = network(size)
        return of_pixels(run, about.preprocess) if takes_pixels(settings.device) else run

    def network(size: Size) -> Session:
        parts = FORMATS[path.suffix].parts_of(path)
        if digest_of(parts) != exported.sha256:
            raise ValueError(f"checkpoint: {path} has changed since it was loaded; load it again (node: ~/reload)")
        if size != about.size:
            raise ValueError(f"input_size: got {size}, but the network in {path.name} takes {about.size} only")
        if engine == "onnxruntime":
            return onnxruntime.session_of(onnx_file.network_of(path, parts), settings, (*JOINTS, PRESENT))
        if engine == "tensorrt":
            return tensorrt.session_of(onnx_file.network_of(path, parts), settings, size, (*JOINTS, PRESENT))
        return openvino.session(lambda: network_for_openvino(path, parts), size, settings)

    return Sessions(build, pixels=takes_pixels(settings.device), device=settings.device)


def takes_pixels(device: Device) -> bool:
    """Whether rgb comes as pixels (NumPy normalises them), not as torch's floats."""
    return device.type == "cpu"


def of_pixels(run: Session, config: PreprocessConfig) -> Session:
    """A session that takes rgb (1, H, W, 3) uint8, of one that takes (1, 3, H, W) float32."""
    factors = rgb_factors(config)

    def normalized(rgb: np.ndarray, thermal: np.ndarray, present: np.ndarray) -> np.ndarray:
        image = np.empty((1, 3, *rgb.shape[1:3]), np.float32)
        for channel, (gain, offset) in enumerate(factors):
            np.multiply(rgb[0, ..., channel], gain, out=image[0, channel])
            image[0, channel] += offset
        return run(image, thermal, present)

    return normalized


def network_for_openvino(path: Path, parts: tuple[bytes, ...]) -> Any:
    """An `openvino.Model` of the network in either kind of file."""
    if path.suffix == ".xml":
        return openvino_file.network_of(path, parts)
    return openvino.core().read_model(onnx_file.network_of(path, parts), b"")
