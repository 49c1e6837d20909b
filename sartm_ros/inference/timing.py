"""When each step from a camera message to its mask happened; told on `~/timing` while somebody listens there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(slots=True)
class Trace:
    """The moments of one job, seconds of the machine's monotonic clock; 0.0: not yet."""

    arrived: float = 0.0
    """The middleware had the pair's newer frame; of one that does not tell, as the next."""
    received: float = 0.0
    """The callback of that frame began."""
    posted: float = 0.0
    """The pair was put into the model's mailbox: checked, counted, paired."""
    taken: float = 0.0
    """The model's thread took it."""
    converting: float = 0.0
    """Its frames began to be converted, by the model's thread or, while that was busy, by the one beside it."""
    converted: float = 0.0
    """They were."""
    asked: float = 0.0
    """The model was called."""
    answered: float = 0.0
    """It gave its result."""
    built: float = 0.0
    """The mask message was filled; 0.0 when nobody listens to it."""
    sent: float = 0.0
    """It was published."""
    done: float = 0.0
    """All outputs were."""

    @property
    def turn_ms(self) -> float:
        """What it took of the model's thread."""
        return (self.answered - self.taken) * 1e3

    @property
    def inference_ms(self) -> float:
        """Time in the model."""
        return (self.answered - self.asked) * 1e3


Spans = dict[str, tuple[float, float, float, float]]
"""Of each output that was sent, by name: when it was begun, made and sent, monotonic s; CPU time of the thread, s."""


def to_json(trace: Trace, stamp_ns: int, waited_s: float, model_ms: dict[str, float], spans: Spans) -> str:
    """The text for `~/timing`.

    stamp_ns: of the mask. waited_s: how long the pair's older frame waited for the newer one. model_ms: the model's own
    stages (`sartm_core.runtime.result.SegmentationResult.timing`). spans: of the outputs.
    """
    content = {"stamp_ns": stamp_ns, "waited_s": waited_s, "moments": asdict(trace), "model_ms": model_ms}
    return json.dumps(content | {"outputs_ms": outputs_ms(spans)})


def beside_to_json(stamp_ns: int, spans: Spans) -> str:
    """A text of its own for the outputs that come later."""
    return json.dumps({"stamp_ns": stamp_ns, "outputs_ms": outputs_ms(spans)})


def outputs_ms(spans: Spans) -> dict[str, list[float]]:
    """What making and sending each output took, and both together of CPU time, by name."""
    return {
        name: [1e3 * s for s in (made - begun, sent - made, cpu)] for name, (begun, made, sent, cpu) in spans.items()
    }


def from_json(text: str) -> tuple[Trace, dict[str, Any]]:
    """What `to_json` wrote: the moments, and all of it."""
    content = json.loads(text)
    return Trace(**content["moments"]), content
