"""Where replayed frames come from: synthetic scenes or a folder of pairs, read ahead by a background thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sartm_core.data.datasets import open_pairs
from sartm_core.support.classes import frame_condition
from sartm_core.synthetic import drive

SYNTHETIC = "synthetic"
DEFAULT_CONDITIONS = ("day", "dusk", "night")
ENCODING_DTYPES = {"mono8": np.uint8, "16UC1": np.uint16, "32FC1": np.float32}
THERMAL_ENCODINGS = ("auto", *ENCODING_DTYPES)
KELVIN_PER_COUNT = 0.01
"""16-bit output of a thermal camera in its TLinear high-resolution mode."""


@dataclass(frozen=True)
class Pair:
    """One colour and one thermal frame that belong together."""

    name: str
    rgb: np.ndarray
    """(H, W, 3) uint8."""
    thermal: np.ndarray
    """(h, w) uint8, uint16 or float32."""
    label: np.ndarray | None = None
    """(H, W) uint8 class ids where the truth is known, 255 where it is not."""
    condition: str = ""
    """day, dusk, night, ... ; empty when unknown."""


def encode_thermal(thermal: np.ndarray, encoding: str) -> np.ndarray:
    """Thermal image (h, w) in the pixel type of a ROS encoding.

    `auto` keeps the type. To 8 bit each frame is stretched, as a camera with gain control does; 8 -> 16 bit fills the
    range; float (kelvin) -> 16 bit are counts of `KELVIN_PER_COUNT`; to float only the type changes.
    Raises ValueError on an encoding that is none of `THERMAL_ENCODINGS`.
    """
    if encoding not in THERMAL_ENCODINGS:
        raise ValueError(f"thermal_encoding: got {encoding!r}, expected one of {THERMAL_ENCODINGS}")
    dtype = thermal.dtype if encoding == "auto" else np.dtype(ENCODING_DTYPES[encoding])
    if thermal.dtype == dtype:
        return thermal
    if dtype == np.float32:
        return thermal.astype(np.float32)
    if thermal.dtype == np.uint8:
        return thermal.astype(np.uint16) * 257
    if dtype == np.uint16:
        counts = np.nan_to_num(thermal / np.float32(KELVIN_PER_COUNT), nan=0.0, posinf=65535.0, neginf=0.0)
        return np.clip(counts, 0, 65535).round().astype(np.uint16)
    finite = thermal[np.isfinite(thermal)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    stretched = (np.nan_to_num(thermal, nan=low) - low) * (255.0 / max(high - low, 1e-6))
    return np.clip(stretched, 0, 255).round().astype(np.uint8)


def encoding_of(thermal: np.ndarray) -> str:
    """The ROS encoding that carries this array unchanged."""
    return next(name for name, dtype in ENCODING_DTYPES.items() if thermal.dtype == dtype)


def synthetic_pairs(
    count: int, seed: int = 0, conditions: tuple[str, ...] = DEFAULT_CONDITIONS, encoding: str = "auto"
) -> Iterator[Pair]:
    """A drive through `count` generated scenes; `auto` is 16UC1, what most thermal cameras send."""
    encoding = "16UC1" if encoding == "auto" else encoding
    for index, scene in enumerate(drive(count, seed=seed, conditions=conditions)):
        thermal = encode_thermal(scene.kelvin, encoding)
        yield Pair(f"{index:05d}_{scene.condition}", scene.rgb, thermal, scene.label, scene.condition)


def folder_pairs(root: Path, count: int = 0, encoding: str = "auto") -> Iterator[Pair]:
    """Pairs of a folder: `rgb/` + `thermal/` (+ `labels/`), or MFNet's four-channel `images/`. count 0: all of them.

    Raises ValueError naming the folder and what it lacks.
    """
    samples = open_pairs(root)
    for index in range(min(count, len(samples)) if count else len(samples)):
        sample = samples[index]
        thermal = encode_thermal(sample.thermal, encoding)
        yield Pair(sample.name, sample.rgb, thermal, sample.label, frame_condition(sample.name))


class ReadAhead:
    """Iterates over pairs that a background thread has ready, so that publishing never waits for decoding.

    `factory` makes a fresh iterator; with `loop` it is called again at the end. An exception of the source comes out
    of `next`. Use it as a context manager: leaving stops the thread.
    """

    def __init__(self, factory: Callable[[], Iterator[Pair]], depth: int = 16, loop: bool = False) -> None:
        if depth < 1:
            raise ValueError(f"ReadAhead.depth: got {depth}, expected at least 1")
        self._factory = factory
        self._loop = loop
        self.depth = depth
        self._slots: queue.Queue[Pair | BaseException | None] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="read-ahead", daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        last: BaseException | None = None
        try:
            while True:
                empty = True
                for pair in self._factory():
                    empty = False
                    if not self._offer(pair):
                        return
                if not self._loop or empty:
                    break
        except Exception as error:  # handed to the consumer, who knows what to do with it
            last = error
        self._offer(last)

    def _offer(self, item: Pair | BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._slots.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    @property
    def ready(self) -> int:
        """Pairs that wait to be taken."""
        return self._slots.qsize()

    def take(self, timeout: float | None = None) -> Pair | None:
        """The next pair, or None at the end. Raises `queue.Empty` when none is ready within `timeout` seconds."""
        item = self._slots.get(timeout=timeout) if timeout is None or timeout > 0 else self._slots.get_nowait()
        if item is None or isinstance(item, BaseException):
            self._stop.set()
            self._slots.put(None)  # asked again, the answer stays "the end"
            if item is not None:
                raise item
            return None
        return item

    def __iter__(self) -> Iterator[Pair]:
        while (pair := self.take()) is not None:
            yield pair

    def close(self) -> None:
        """Stop the thread; safe to call twice."""
        self._stop.set()
        self._thread.join(timeout=5.0)

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
