"""How long real training steps take on this machine's CPU, and the memory of the process that does them."""

from __future__ import annotations

import resource
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import torch

from sartm_core.train.config import TrainConfig
from sartm_core.train.footprint import Size, build, forward, make_batch


@dataclass(frozen=True)
class StepTime:
    """Medians over the steps, in seconds, and bytes."""

    forward: float
    """Forward pass and losses."""
    backward: float
    optimizer: float
    """Clipping the gradients and AdamW."""
    processor: float
    """Processor time of the whole step, that of all threads added: what other work on the machine hardly changes."""
    resident: int
    """Most memory that the process ever had, libraries included."""

    def of_batch(self, factor: float) -> float:
        """A step of a batch `factor` times as large, computed: passes grow with it, the optimizer's work does not."""
        return (self.forward + self.backward) * factor + self.optimizer


def time_steps(config: TrainConfig, size: Size, batch: int, steps: int) -> StepTime:
    """Train `steps` steps on random frames in float32, after one to warm up. Meant for a process of its own."""
    torch.set_num_threads(config.trainer.threads or torch.get_num_threads())
    model, objective = build(config)
    if config.trainer.activation_checkpointing:
        model.encoder.recompute_activations()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.optim.lr, weight_decay=config.optim.weight_decay)
    frames = make_batch(config, size, batch)
    laps, processor = [], []
    for _ in range(1 + steps):
        started, times = process_time(), [perf_counter()]
        optimizer.zero_grad()
        loss = objective(forward(model, frames, "32-true"), frames["label"])["loss"]
        times.append(perf_counter())
        loss.backward()
        times.append(perf_counter())
        if config.optim.clip_norm:
            torch.nn.utils.clip_grad_norm_(trained, config.optim.clip_norm)
        optimizer.step()
        times.append(perf_counter())
        laps.append([after - before for before, after in zip(times, times[1:], strict=False)])
        processor.append(process_time() - started)
    passed, back, updated = (statistics.median(lap) for lap in zip(*laps[1:], strict=True))
    return StepTime(passed, back, updated, statistics.median(processor[1:]), peak_resident())


def peak_resident() -> int:
    """Bytes. By Linux's own count where there is one: that of `getrusage` starts from the parent process' peak."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def available_bytes() -> int | None:
    """Memory that a process could still get; None where the system does not tell."""
    meminfo = Path("/proc/meminfo")
    lines = meminfo.read_text().splitlines() if meminfo.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
