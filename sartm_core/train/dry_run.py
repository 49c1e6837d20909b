"""What a run will take and what it begins with, measured: a few real steps with its own data, batch and precision.

The steps are done in a process of their own, so that its memory is theirs, and ended when the machine has next to none
left. The same loop, without validation, is what `sartm_core.benchmark --training` times.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from torch.utils.data import DataLoader
from tqdm import tqdm

from sartm_core.losses.objective import SHARE
from sartm_core.preprocess.statistics import InputStatistics
from sartm_core.support.files import replacing
from sartm_core.support.memory import available, machine_memory, peak_resident
from sartm_core.train.config import FEWEST_STEPS, TrainConfig
from sartm_core.train.frames import Item
from sartm_core.train.module import LitSARTM
from sartm_core.train.pictures import batch_sheet
from sartm_core.train.ranks import CollapseAlarm
from sartm_core.train.setup import prepare, quieten, trainer_settings

VALIDATION_BATCHES = 2
"""Of each validation set; the last of them is timed."""
LEAST_LEFT = 1e9
"""Bytes: with less the machine is full, and the system would soon end some process, which need not be this one."""
LOOK_EVERY = 0.1
"""Seconds between two looks at them."""
GB, HOUR = 1e9, 3600


@dataclass(frozen=True)
class DryRun:
    """What was measured in this process, and what follows for the whole run."""

    device: str
    """`cpu`, or the GPU's name."""
    memory: int
    """Most bytes: on a GPU what torch gave out, else of this process (its loader processes have theirs besides)."""
    of: int
    """Bytes that the GPU has, or the machine; 0 for not known."""
    seconds: list[float]
    """Of each optimizer step, waiting for its frames included."""
    waited: list[float]
    """Of these, waiting for frames."""
    validation: float
    """Seconds of a whole validation, from a batch of each set."""
    steps: int
    """Optimizer steps of the run."""
    validations: int
    inputs: dict[str, list[InputStatistics]]
    """Folder of a data set -> what the network sees of its cameras."""
    losses: list[dict[str, float]]
    """`loss` and its terms, unweighted, of each micro-batch."""
    shares: dict[str, float]
    """Part of each weighted term in the gradient at F~n for the first micro-batch, after the steps."""
    ranks: dict[str, float]
    """Effective ranks on the first validation frames, after the steps."""

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


class Look(Callback):
    """Keeps the first micro-batch and the losses; at the end measures each term's gradient for that batch."""

    def __init__(self, micro_batches: int) -> None:
        self.bar = tqdm(total=micro_batches, desc="dry run", unit="micro-batch", leave=False, disable=None)
        self.batch: Item = {}
        self.losses: list[dict[str, float]] = []
        self.shares: dict[str, float] = {}

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Item, index: int) -> None:
        self.batch = self.batch or batch

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, *args: Any) -> None:
        self.losses.append({name: value for name, value in outputs["values"].items() if not name.startswith(SHARE)})
        self.bar.set_postfix(loss=outputs["values"]["loss"], refresh=False)
        self.bar.update()

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, LitSARTM)
        self.bar.close()
        with torch.enable_grad(), trainer.precision_plugin.train_step_context():
            out = module.model(self.batch["rgb"], self.batch["thermal"], keep=self.batch["keep"])
            self.shares = module.objective.gradient_shares(out, self.batch["label"])


def now() -> float:
    """Seconds, when the device has done what it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return perf_counter()


def train_steps(
    config: TrainConfig, module: LitSARTM, loader: DataLoader[Any], steps: int, also: Sequence[Callback] = ()
) -> tuple[L.Trainer, Laps]:
    """Do `steps` optimizer steps as a run does them, and leave nothing behind."""
    laps = Laps()
    averaging = [EMAWeightAveraging(decay=config.optim.ema_decay)] if config.optim.ema_decay else []
    trainer = L.Trainer(
        **trainer_settings(config), max_epochs=-1, max_steps=steps, callbacks=[*averaging, laps, *also],
        limit_val_batches=VALIDATION_BATCHES, logger=False, enable_checkpointing=False, enable_progress_bar=False,
    )  # fmt: skip
    trainer.fit(module, loader)
    return trainer, laps


def measure(config: TrainConfig, steps: int, picture: Path | None = None) -> DryRun:
    """In this process; `picture`: where to draw the first batch. Raises what the run itself would raise."""
    quieten()
    run = prepare(config)
    config, val_loaders = run.config, run.val_loaders
    look = Look(steps * config.trainer.accumulate)
    trainer, laps = train_steps(config, run.module, run.train_loader, steps, (look, CollapseAlarm()))
    trainer.validate(run.module, list(val_loaders.values()), verbose=False)
    device = trainer.strategy.root_device
    on_gpu = device.type == "cuda"
    if picture:
        draw(look.batch, config, picture)
    total, validations = length(config, len(run.train_loader) // config.trainer.accumulate)
    return DryRun(
        device=torch.cuda.get_device_name(device) if on_gpu else str(device),
        memory=torch.cuda.max_memory_allocated(device) if on_gpu else peak_resident(),
        of=torch.cuda.get_device_properties(device).total_memory if on_gpu else machine_memory(),
        seconds=laps.seconds,
        waited=laps.waited,
        validation=sum(laps.validation[i] * len(loader) for i, loader in enumerate(val_loaders.values())),
        steps=total,
        validations=validations,
        inputs=run.inputs,
        losses=look.losses,
        shares=look.shares,
        ranks=run.module.ranks,
    )


def draw(batch: Item, config: TrainConfig, path: Path) -> None:
    """The batch as a PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        batch_sheet(batch, config.preprocess, config.model.classes, config.model.palette or ()).save(temporary, "PNG")


def length(config: TrainConfig, steps_per_epoch: int) -> tuple[int, int]:
    """Optimizer steps and validations of the whole run."""
    settings = config.trainer
    steps = settings.max_epochs * steps_per_epoch
    if settings.max_steps >= 0:
        steps = min(steps, settings.max_steps)
    return steps, math.ceil(steps / (steps_per_epoch * settings.val_every))  # one at the end, whatever the epoch


def end_with_parent() -> None:
    """In the child: when the parent is killed, do not go on for nobody, with all this memory."""

    def watch() -> None:
        parent = parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def dry_run(config: TrainConfig, steps: int, picture: Path | None = None) -> DryRun:
    """In a process of its own; `picture`: where to draw the first batch.

    Raises:
        ValueError: fewer than two steps; and what the run itself would raise.
        MemoryError: the machine was nearly full, or the system ended the process.
    """
    if steps < FEWEST_STEPS:
        raise ValueError(f"--dry-run: got {steps}, expected at least {FEWEST_STEPS} steps; the first is not timed")
    others = active_children()
    with ProcessPoolExecutor(1, get_context("spawn"), end_with_parent) as pool:
        work = pool.submit(measure, config, steps, picture)
        while not wait([work], LOOK_EVERY).done:
            left = available()
            if 0 < left < LEAST_LEFT:
                for child in set(active_children()) - set(others):
                    child.kill()
                raise MemoryError(
                    f"stopped before the system would: {left / GB:.2g} of {machine_memory() / GB:.3g} GB were left"
                )
        try:
            return work.result()
        except BrokenProcessPool:
            raise MemoryError("the system ended the process, most likely for want of memory") from None
