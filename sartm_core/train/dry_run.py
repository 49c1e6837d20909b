"""What a run will take, measured: a few real steps with its own data, batch, crop and precision. Nothing is written.

The steps are done in a process of their own, so that its memory is theirs and the system can end it when there is none
left. The same loop, without validation, is what `sartm_core.benchmark --training` times.
"""

from __future__ import annotations

import math
import statistics
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from time import perf_counter
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from torch.utils.data import DataLoader

from sartm_core.support.memory import peak_resident
from sartm_core.train.config import TrainConfig
from sartm_core.train.module import LitSARTM
from sartm_core.train.setup import prepare, quieten, trainer_settings

FEWEST_STEPS = 2
"""The first makes the optimizer's state, so a second one is the first of full size; and it is slower than the rest."""
VALIDATION_BATCHES = 2
"""Of each validation set; the last of them is timed."""
GB, HOUR = 1e9, 3600


@dataclass(frozen=True)
class DryRun:
    """What was measured in this process, and what follows for the whole run."""

    device: str
    """`cpu`, or the GPU's name."""
    memory: int
    """Most bytes: on a GPU what torch gave out, else of this process (its loader processes have theirs besides)."""
    seconds: list[float]
    """Of each optimizer step, waiting for its frames included."""
    waited: list[float]
    """Of these, waiting for frames."""
    validation: float
    """Seconds of a whole validation, from a batch of each set."""
    steps: int
    """Optimizer steps of the run."""
    validations: int

    @property
    def step(self) -> float:
        """Seconds: the median after the first."""
        return statistics.median(self.seconds[1:])

    @property
    def hours(self) -> float:
        """From the first step to the last validation."""
        return (self.steps * self.step + self.validations * self.validation) / HOUR


class Laps(Callback):
    """Notes how long each optimizer step took, and how much of that it waited for frames; and a validation batch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.waited: list[float] = []
        self.validation: dict[int, float] = {}
        """Seconds of the last batch of each validation set."""

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.began = self.ended = now()
        self.wait = 0.0

    def on_train_batch_start(self, *args: Any) -> None:
        self.wait += now() - self.ended

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        self.ended = now()
        if trainer.global_step > len(self.seconds):  # the last micro-batch of a step
            self.seconds.append(self.ended - self.began)
            self.waited.append(self.wait)
            self.began, self.wait = self.ended, 0.0

    def on_validation_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.ended = now()

    def on_validation_batch_end(
        self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, index: int, dataloader_idx: int = 0
    ) -> None:
        self.validation[dataloader_idx], self.ended = now() - self.ended, now()


def now() -> float:
    """Seconds, when the device has done what it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return perf_counter()


def train_steps(config: TrainConfig, module: LitSARTM, loader: DataLoader[Any], steps: int) -> tuple[L.Trainer, Laps]:
    """Do `steps` optimizer steps as a run does them, and leave nothing behind."""
    laps = Laps()
    averaging = [EMAWeightAveraging(decay=config.optim.ema_decay)] if config.optim.ema_decay else []
    trainer = L.Trainer(
        **trainer_settings(config), max_epochs=-1, max_steps=steps, callbacks=[*averaging, laps],
        limit_val_batches=VALIDATION_BATCHES, logger=False, enable_checkpointing=False, enable_progress_bar=False,
    )  # fmt: skip
    trainer.fit(module, loader)
    return trainer, laps


def measure(config: TrainConfig, steps: int) -> DryRun:
    """In this process. Raises what the run itself would raise."""
    quieten()
    run = prepare(config)
    config, val_loaders = run.config, run.val_loaders
    trainer, laps = train_steps(config, run.module, run.train_loader, steps)
    trainer.validate(run.module, list(val_loaders.values()), verbose=False)
    device = trainer.strategy.root_device
    on_gpu = device.type == "cuda"
    total, validations = length(config, len(run.train_loader) // config.trainer.accumulate)
    return DryRun(
        device=torch.cuda.get_device_name(device) if on_gpu else str(device),
        memory=torch.cuda.max_memory_allocated(device) if on_gpu else peak_resident(),
        seconds=laps.seconds,
        waited=laps.waited,
        validation=sum(laps.validation[i] * len(loader) for i, loader in enumerate(val_loaders.values())),
        steps=total,
        validations=validations,
    )


def length(config: TrainConfig, steps_per_epoch: int) -> tuple[int, int]:
    """Optimizer steps and validations of the whole run."""
    settings = config.trainer
    steps = settings.max_epochs * steps_per_epoch
    if settings.max_steps >= 0:
        steps = min(steps, settings.max_steps)
    return steps, math.ceil(steps / (steps_per_epoch * settings.val_every))  # one at the end, whatever the epoch


def dry_run(config: TrainConfig, steps: int) -> DryRun:
    """In a process of its own.

    Raises:
        ValueError: fewer than two steps; and what the run itself would raise.
        MemoryError: the system ended the process.
    """
    if steps < FEWEST_STEPS:
        raise ValueError(f"--dry-run: got {steps}, expected at least {FEWEST_STEPS} steps; the first is not timed")
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            return pool.submit(measure, config, steps).result()
        except BrokenProcessPool:
            raise MemoryError("the system ended the process, most likely for want of memory") from None


def report(found: DryRun, config: TrainConfig) -> str:
    """A few lines for people."""
    height, width = config.data.crop_size
    whose = "of this process; loader processes come on top" if found.device == "cpu" else "given out by torch"
    timed, wait = len(found.seconds) - 1, statistics.median(found.waited[1:])
    return (
        f"{config.model.backbone}, {config.trainer.batch_size} frames of {height}x{width} a step, "
        f"{config.trainer.precision}, {found.device}\n"
        f"memory   {found.memory / GB:.2f} GB at most ({whose})\n"
        f"a step   {found.step:.3g} s, {wait:.2g} s of it waiting for frames (median of {timed} after the first)\n"
        f"the run  {found.hours:.2g} hours: {found.steps} steps, {found.validations} validations of "
        f"{found.validation:.2g} s\n"
    )
