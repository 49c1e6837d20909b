"""Networks of others, exported as ONNX, timed beside ours: `--peer FILE.onnx`.

Only the network is timed, on the frames of the other rows; what its masks are worth is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from sartm_core.benchmark.config import Size
from sartm_core.benchmark.runtimes import RUNTIMES, Port
from sartm_core.benchmark.session import MS, QUICK, Peak, Turn
from sartm_core.benchmark.subjects import Frames, fit
from sartm_core.support.device import pick_device
from sartm_core.support.memory import peak_resident, reset_peak, resident

TYPES = ("float32", "float16", "uint8")
BOTH = {4: "rgbt", 6: "rgbttt"}
"""Channels of an input for both cameras -> what is in them."""
ONE = {3: "rgb", 1: "t"}
"""The same of an input for one camera."""
EXPECTED = (
    "one image of 4 or 6 channels (rgb and thermal), or two images, one of them of 3 channels and the other of 1 or 3; "
    f"(1, C, H, W) or (1, H, W, C) of {', '.join(TYPES)}; H and W fixed or open"
)


@dataclass(frozen=True)
class Feed:
    """What one input gets."""

    port: Port
    content: str
    """A letter for each channel: `r`, `g`, `b`, `t`."""
    last: bool
    """Channels come last (NHWC)."""
    size: Size
    """(H, W)."""

    def array(self, rgb: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        """(H0, W0, 3) and (H0, W0) uint8 -> (1, C, H, W) or (1, H, W, C): 0..255 as uint8, else 0..1."""
        planes = dict(zip("rgbt", (*np.moveaxis(fit(rgb, self.size), 2, 0), fit(thermal, self.size)), strict=True))
        stacked = np.stack([planes[letter] for letter in self.content], 2 if self.last else 0)[None]
        if self.port.dtype == "uint8":
            return np.ascontiguousarray(stacked)
        return (stacked / 255).astype(self.port.dtype)


def feeds_of(ports: Sequence[Port], size: Size, name: str) -> list[Feed]:
    """What the inputs of a network get; `size` where they leave it open. ValueError tells what was found."""
    feeds = [feed_of(port, BOTH if len(ports) == 1 else ONE, size) for port in ports]
    known = [feed for feed in feeds if feed is not None]
    contents = [feed.content for feed in known]
    if len(known) != len(ports) or len(ports) not in (1, 2) or contents == ["t", "t"]:
        found = "; ".join(map(str, ports)) or "none"
        raise ValueError(f"peer: {name}: its inputs are {found}. Expected {EXPECTED}")
    if contents == ["rgb", "rgb"]:  # thermal as three equal channels
        known[1] = Feed(known[1].port, "ttt", known[1].last, known[1].size)
    return known


def feed_of(port: Port, channels: dict[int, str], size: Size) -> Feed | None:
    """None for what is no such image."""
    if len(port.shape) != 4 or port.shape[0] not in (1, None) or port.dtype not in TYPES:
        return None
    for last, count in ((False, port.shape[1]), (True, port.shape[3])):
        if count in channels:
            sides = port.shape[1:3] if last else port.shape[2:]
            height, width = (own or side for own, side in zip(sides, size, strict=True))
            return Feed(port, channels[count], last, (height, width))
    return None


@dataclass(frozen=True)
class PeerWay:
    """Which network to run, and how."""

    path: str
    size: Size
    """Of the frames; the network's own where it is fixed."""
    frames: str
    """File of `Frames`."""
    runtime: str
    """A key of `RUNTIMES`."""
    precision: str
    """One of those that the runtime offers."""
    device: str
    threads: int
    caches: str

    @property
    def name(self) -> str:
        return Path(self.path).name


def installed() -> list[str]:
    """Runtimes of ONNX files that are here. ValueError when there is none."""
    found = [name for name in RUNTIMES if find_spec(name)]
    if not found:
        raise ValueError(f"peer: none of {', '.join(RUNTIMES)} is installed, which run ONNX files: pip install one")
    return found


def check(path: str, size: Size) -> None:
    """Raise ValueError or FileNotFoundError for a file that cannot be timed."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"peer: {path}: no such file")
    reader = RUNTIMES[installed()[0]]
    feeds_of(reader.ports(path), size, Path(path).name)


class PeerSession:
    """A network of others with the face of `Session`. Lives in a process of its own."""

    def __init__(self, way: PeerWay) -> None:
        torch.set_num_threads(way.threads)
        self.way, self.frames = way, Frames.load(way.frames)
        runtime = RUNTIMES[way.runtime]
        device = pick_device(way.device)
        if way.precision not in runtime.precisions(device):
            raise ValueError(f"{way.runtime} does not run {way.name} in {way.precision} on {device.type} here")
        reset_peak()  # imports make garbage
        self.base = resident()
        started = perf_counter()
        feeds = feeds_of(runtime.ports(way.path), way.size, way.name)
        self.inputs = [self.arrays(feeds, i) for i in range(len(self.frames))]
        shapes = [array.shape for array in self.inputs[0]]
        self.network = runtime(way.path, shapes, device, way.precision, way.threads)
        self.sizes = ", ".join("x".join(map(str, feed.size)) for feed in feeds)
        self.seconds = perf_counter() - started
        self.starting, self.told_apart = 0, False

    def arrays(self, feeds: Sequence[Feed], i: int) -> list[np.ndarray]:
        return [feed.array(self.frames.rgb[i], self.frames.thermal[i]) for feed in feeds]

    def facts(self) -> dict[str, str]:
        """What runs."""
        way = self.way
        choice = f"{way.name}, inputs of {self.sizes}"
        return {"engine": way.runtime, "precision": way.precision, "choice": choice, "device": self.network.device}

    def warm_up(self, frames: int) -> float:
        """As of `Session`."""
        started = perf_counter()
        for i in range(1 + frames):
            self.forward(i)
        self.starting = peak_resident() - self.base
        self.told_apart = reset_peak()
        return self.seconds + perf_counter() - started

    def turn(self, i: int) -> Turn:
        """As of `Session`, the network alone."""
        forward = self.forward(i)
        return Turn(self.forward(i) if forward < QUICK else forward, {}, {})

    def forward(self, i: int) -> float:
        started = perf_counter()
        self.network(self.inputs[i % len(self.inputs)])
        return (perf_counter() - started) * MS

    def peak(self) -> Peak:
        """Of the process's own memory."""
        return Peak(self.starting, peak_resident() - self.base if self.told_apart else None)
