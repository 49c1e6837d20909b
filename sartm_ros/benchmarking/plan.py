"""What a benchmark run is to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sartm_core.support.fields import at_least, one_of
from sartm_ros.outputs.table import TABLE
from sartm_ros.replay.sources import ENCODING_DTYPES

MODEL, NONE = "model", "none"
PINS = ("no", "split", "beside", "one")
OUTPUTS = tuple(output.name for output in TABLE)
MASK, ALL = OUTPUTS[0], "all"
TRANSPORTS = ("raw", "compressed")
RGB_ENCODINGS = ("rgb8", "bgr8")
PARAMETERS = ("checkpoint", "device", "engine", "precision", "input_size", "threads")
"""Fields of the plan that are parameters of the node."""
LOAD_TIMEOUT_S = 600.0
"""A first start may compile the model."""


@dataclass(frozen=True)
class Plan:
    """Frames, node and runs of `sartm benchmark-node`."""

    checkpoint: str = "default"
    """Weights or exported model, as the node's parameter."""
    device: str = "auto"
    """As the node's parameter."""
    engine: str = "auto"
    """As the node's parameter."""
    precision: str = "auto"
    """As the node's parameter."""
    input_size: str = "checkpoint"
    """Size the model works at, as the node's parameter."""
    threads: int = 0
    """CPU threads of the model, as the node's parameter."""
    parameters: tuple[str, ...] = ()
    """Other parameters of the node, each as NAME:=VALUE."""
    forward: str = MODEL
    """`model`, or `none`: in its place something that returns a mask at once, for the node alone."""
    data: str | None = None
    """Folder of pairs to play; none: synthetic scenes."""
    frames: int = 32
    """Pairs kept in memory and played in a loop."""
    image_size: str = "480x640"
    """Frames are resized to this HEIGHTxWIDTH."""
    rgb_encoding: str = "rgb8"
    """`rgb8` or `bgr8`."""
    thermal_encoding: str = "16UC1"
    """`mono8`, `16UC1` or `32FC1`."""
    transport: str = "raw"
    """`raw`, or `compressed`: JPEG and, for thermal, PNG (mono8 and 16UC1)."""
    listen: tuple[str, ...] = (MASK,)
    """Outputs that are listened to; `semantic_mask` is among them; `all`: every one."""
    rates: tuple[float, ...] = (10.0, 30.0, 60.0)
    """Fixed rates, Hz."""
    peak: bool = True
    """Look for the highest rate without too many missed frames."""
    lowest: float = 0.2
    """Lowest rate tried, Hz."""
    highest: float = 240.0
    """Highest rate tried, Hz."""
    loss: float = 0.05
    """Share of missed frames that is too many."""
    seconds: float = 5.0
    """Length of each run."""
    runs: int = 5
    """Runs at each rate; medians of them are reported."""
    pin: str = "no"
    """`split`: the model, and the node's worker that calls it, on all CPUs but the first, all else on that one;
    `beside`: that worker with all else (OpenVINO computes in threads of its own); `one`: the node on the first CPU."""

    def __post_init__(self) -> None:
        one_of("Plan", "forward", self.forward, (MODEL, NONE))
        one_of("Plan", "rgb_encoding", self.rgb_encoding, RGB_ENCODINGS)
        one_of("Plan", "thermal_encoding", self.thermal_encoding, tuple(ENCODING_DTYPES))
        one_of("Plan", "transport", self.transport, TRANSPORTS)
        one_of("Plan", "pin", self.pin, PINS)
        for output in self.listen:
            one_of("Plan", "listen", output, (ALL, *OUTPUTS))
        if MASK not in self.topics:
            raise ValueError(f"Plan.listen: got {self.listen}, expected {MASK} among them: it is what is timed")
        if self.transport == "compressed" and self.thermal_encoding == "32FC1":
            raise ValueError(
                "Plan.thermal_encoding: 32FC1 has no PNG; expected mono8 or 16UC1 with transport compressed"
            )
        for name in ("frames", "runs"):
            at_least("Plan", name, getattr(self, name), 1)
        for name in ("lowest", "seconds"):
            at_least("Plan", name, getattr(self, name), 0.1)
        for rate in self.rates:
            at_least("Plan", "rates", rate, 0.1)
        if not self.lowest < self.highest:
            raise ValueError(f"Plan.highest: got {self.highest:g}, expected more than lowest ({self.lowest:g})")
        if not 0 < self.loss < 1:
            raise ValueError(f"Plan.loss: got {self.loss:g}, expected a share between 0 and 1")
        for text in self.parameters:
            if ":=" not in text:
                raise ValueError(f"Plan.parameters: got {text!r}, expected NAME:=VALUE")
        self.size  # noqa: B018 - checks it

    @property
    def topics(self) -> tuple[str, ...]:
        """The outputs that are listened to."""
        return OUTPUTS if ALL in self.listen else self.listen

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        found = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", self.image_size)
        if not found:
            raise ValueError(f"Plan.image_size: got {self.image_size!r}, expected HEIGHTxWIDTH as 480x640")
        return int(found[1]), int(found[2])

    @property
    def node_parameters(self) -> dict[str, Any]:
        """Parameters of the node by name."""
        values: dict[str, Any] = {name: getattr(self, name) for name in PARAMETERS}
        values |= {f"{stream}_transport": self.transport for stream in ("rgb", "thermal")}
        values |= {"load_timeout": LOAD_TIMEOUT_S}
        return values | dict(text.split(":=", 1) for text in self.parameters)
