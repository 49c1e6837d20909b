"""Where the time of a mask goes, from the moments the node tells on `~/timing`.

Stages from the first message published to the mask received follow each other without a gap. `overhead` is what the
node adds to the model: from the callback of the pair's newer frame to the mask published, less the forward pass and
less the wait for a model that was busy with an earlier frame.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sartm_ros.benchmarking.measures import Mask, spread
from sartm_ros.benchmarking.playback import Sent
from sartm_ros.inference.timing import Trace, from_json

STAGES = {
    "to the node": "first message published to the middleware having the second one: both frames copied by DDS",
    "take": "that one, and what lies before it, taken by rclpy to the callback",
    "check and pair": "callback to mailbox: message checked, counted, paired",
    "busy model": "in the mailbox while the model works on an earlier frame",
    "wake the model": "in the mailbox until the model's thread has it",
    "convert": "decoding, colour order, byte order, units; what is left of it when decoded ahead",
    "preprocess": "arrays to the model's input: resize, normalise, warp",
    "forward": "the network",
    "postprocess": "scores to class ids at the camera's size",
    "around the model": "the rest of the call: threads, batching",
    "build": "class remap, mask message filled",
    "publish": "the mask handed to DDS",
    "to the reader": "mask published to the reader's callback in another process",
}
"""In order, with their meaning."""
NOT_OVERHEAD = ("to the node", "take", "busy model", "forward", "to the reader")
OVERHEAD, NODE = "overhead", "in the node"
MOMENTS = '"moments"'
"""Not in what is told of outputs that come later."""
PARTS = "make", "publish", "CPU of both"
"""Of an output's time; on a busy machine the last says what it costs."""


def breakdown(sent: Sequence[Sent], masks: Sequence[Mask], timings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Percentiles (ms) of every stage, of `in the node` (all between callback and mask published) and of `overhead`."""
    rows = list(split(sent, masks, timings))
    return {name: spread([row[name] for row in rows]) for name in (*STAGES, NODE, OVERHEAD)} if rows else {}


def outputs(timings: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Of each output, percentiles (ms) of making the message, of handing it to DDS, and the CPU time of both."""
    told: dict[str, list[list[float]]] = {}
    for text in timings:
        for name, spent in json.loads(text)["outputs_ms"].items():
            told.setdefault(name, []).append(spent)
    return {
        name: {part: spread(values) for part, values in zip(PARTS, zip(*spent, strict=True), strict=True)}
        for name, spent in told.items()
    }


def split(sent: Sequence[Sent], masks: Sequence[Mask], timings: Sequence[str]) -> Iterator[dict[str, float]]:
    """The stages of each mask, ms."""
    published, received = {stamp: first for stamp, first, _ in sent}, dict(masks)
    free = 0.0
    for trace, content in (from_json(text) for text in timings if MOMENTS in text):
        stamp = content["stamp_ns"]
        if stamp in published and stamp in received and trace.sent:
            yield stages(trace, content["model_ms"], published[stamp], received[stamp], free)
        free = trace.done


def stages(t: Trace, model: dict[str, float], published: float, received: float, free: float) -> dict[str, float]:
    """One mask's stages, ms. free: when the model's thread was done with the mask before, monotonic s."""
    busy_until = min(max(t.posted, free), t.taken)
    row = {
        "to the node": t.arrived - published,
        "take": t.received - t.arrived,
        "check and pair": t.posted - t.received,
        "busy model": busy_until - t.posted,
        "wake the model": t.taken - busy_until,
        "convert": t.asked - t.taken,
        "build": t.built - t.answered,
        "publish": t.sent - t.built,
        "to the reader": received - t.sent,
    }
    row = {name: seconds * 1e3 for name, seconds in row.items()} | model
    row["around the model"] = t.inference_ms - sum(model.values())
    row[NODE] = (t.sent - t.received) * 1e3
    row[OVERHEAD] = sum(row[name] for name in STAGES if name not in NOT_OVERHEAD)
    return row
