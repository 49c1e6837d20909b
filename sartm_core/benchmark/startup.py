"""Seconds from starting Python to the first mask, without and with the caches that the first start leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from time import perf_counter

from sartm_core.benchmark.machine import CACHES
from sartm_core.benchmark.results import Startup
from sartm_core.benchmark.session import Way
from sartm_core.benchmark.subjects import Frames, Weights
from sartm_core.benchmark.worker import WorkerError, ending
from sartm_core.runtime.batching import FramePair

CHILD = """\
from time import perf_counter as now
started = now()
import sys, sartm_core.runtime.segmenter
imported = now()
from sartm_core.benchmark import startup
startup.first_mask(sys.argv[1], imported - started)
"""
"""What a fresh Python does: as a robot's own script, imports first."""


def measure(way: Way) -> Startup:
    """Two fresh processes, one after the other. `way.caches` is empty before the first.

    Raises:
        WorkerError: why one did not get to a mask.
    """
    starts = [start(way) for _ in range(2)]
    stages = {stage: [stages[stage] for _, stages in starts] for stage in starts[0][1]}
    return Startup(starts[0][0], starts[1][0], stages)


def start(way: Way) -> tuple[float, dict[str, float]]:
    """Seconds to the first mask, by the clock of this process; and its stages, by the clock of that one."""
    environment = os.environ | dict.fromkeys(CACHES, way.caches)
    command = [sys.executable, "-c", CHILD, json.dumps(asdict(way))]
    with tempfile.TemporaryFile("w+") as complaints:
        started = perf_counter()
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=complaints, text=True
        ) as process:
            assert process.stdout is not None  # it is a pipe
            try:
                line = next((line for line in process.stdout if line.startswith("{")), "")
                seconds = perf_counter() - started
            except BaseException:
                process.kill()
                raise
        if line:
            return seconds, json.loads(line)
        complaints.seek(0)
        last = complaints.read().strip().rpartition("\n")[2]
    raise WorkerError(last or ending(process.returncode))


def first_mask(text: str, imports: float) -> None:
    """In the fresh process: load, segment a frame, say so."""
    values = json.loads(text)
    way = Way(**{**values, "size": tuple(values["size"]), "weights": Weights(**values["weights"])})
    frames = Frames.load(way.frames)
    started = perf_counter()
    segmenter = way.load()
    loaded = perf_counter()
    segmenter.batch([FramePair(frames.rgb[0], frames.thermal[0], confidence=False)])
    stages = {"imports": imports, "load": loaded - started, "mask": perf_counter() - loaded}
    sys.stdout.write(json.dumps(stages) + "\n")
    sys.stdout.flush()
