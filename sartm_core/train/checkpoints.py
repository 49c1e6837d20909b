"""Checkpoints to resume from: written atomically, without what is frozen, at exact places in the data.

The best weights for use are another file (`weights.safetensors`, `sartm_core.model.checkpoint`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from sartm_core.support.files import replacing
from sartm_core.train.errors import Stopped
from sartm_core.train.module import LitSARTM, TrainingError, epoch_is_whole

MODEL_STATES = ("state_dict", "current_model_state")
"""Entries of a Lightning checkpoint that hold weights; the second while weights are averaged."""
BASE = "base_sha256"
"""Entry with the SHA-256 of the SAM2 file below the weights, "" for none."""


@dataclass(frozen=True)
class ResumePoint:
    """Where a run goes on: `start` micro-batches of `epoch` are done. `text` (C, D): the teacher's embeddings."""

    path: Path
    epoch: int
    start: int
    text: Tensor | None


def resume_point(path: Path) -> ResumePoint | None:
    """Read `last.ckpt`; None where there is none. ValueError when it is broken."""
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        loop = state["loops"]["fit_loop"]
        ended = loop["epoch_progress"]["current"]
        batches = loop["epoch_loop.batch_progress"]["current"]
    except Exception as error:  # torch raises many types for a file that is no checkpoint
        raise ValueError(f"--output: {path} is not a checkpoint of this trainer; remove it to start anew") from error
    mid_epoch = ended["processed"] < ended["started"]
    text = state["state_dict"].get("objective.text")
    return ResumePoint(path, ended["processed"], batches["processed"] if mid_epoch else 0, text)


class SlimCheckpointIO(TorchCheckpointIO):
    """Leaves frozen weights that come back from Meta's file out of checkpoints, and replaces files in one step.

    The checkpoint holds that file's SHA-256; other frozen weights (of an `init` that may change) are kept.
    """

    def __init__(self, module: LitSARTM) -> None:
        super().__init__()
        self.base = module.model.info.base_sha256
        self.frozen = {n: p for n, p in module.named_parameters() if self.base and not p.requires_grad}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        for key in MODEL_STATES:
            if key in checkpoint:
                checkpoint[key] = {n: v for n, v in checkpoint[key].items() if n not in self.frozen}
        write_atomically({**checkpoint, BASE: self.base}, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        if checkpoint[BASE] != self.base:
            raise ValueError(
                f"--sam2: not the file that {path} began with (SHA-256 {checkpoint[BASE][:12] or 'none'}..., now "
                f"{self.base[:12] or 'none'}...); give that one or choose a new --output"
            )
        for key in MODEL_STATES:
            if key in checkpoint:
                checkpoint[key] |= {n: p.detach() for n, p in self.frozen.items()}
        return checkpoint


def write_atomically(content: dict[str, Any], path: Path) -> None:
    """`torch.save` to `path` so that a crash leaves the old file. TrainingError when the disk is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as temporary, open(temporary, "wb") as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError where its archive cannot grow
        before = "The checkpoint before it is whole" if path.is_file() else "There was none before it"
        raise TrainingError(
            f"{path} cannot be written ({first_line(error)}). {before}: free some space and run the same command again"
        ) from error


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


class LastCheckpoint(Checkpoint):
    """Writes `last.ckpt` after every epoch, where asked after every so many optimizer steps, and when stopped."""

    def __init__(self, path: Path, every_steps: int) -> None:
        self.path, self.every, self.saved_step = path, every_steps, -1
        self.stop_asked = False
        self.ask: Callable[[int, Any], None] | None = None

    @contextlib.contextmanager
    def stopping_on_ctrl_c(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM ends the step (or the validation), saves and raises `Stopped`; a second one works
        as usual."""

        def ask(number: int, frame: Any) -> None:
            if os.getpid() != owner:  # a loader process; it ends with its parent
                return
            self.stop_asked = True
            restore()
            print("\ntrain: stopping behind this step; Ctrl-C again stops at once", file=sys.stderr)

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        owner = os.getpid()
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        self.ask = ask
        try:
            yield
        finally:
            self.ask = None
            restore()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """By now SIGTERM is Lightning's: it would end a validation at once, with nothing saved and exit code 0."""
        if self.ask is not None and not self.stop_asked:
            signal.signal(signal.SIGTERM, self.ask)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step, last = trainer.global_step, batch_idx + 1 == trainer.num_training_batches
        # Within accumulation a step is only half done; at the end of an epoch validation comes first.
        whole = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        due = self.stop_asked or step == trainer.max_steps or (self.every and step % self.every == 0)
        if due and whole and not last and step != self.saved_step:
            self.save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if epoch_is_whole(trainer):  # else the checkpoint of its last step says where to go on
            self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self.saved_step = trainer.global_step
        if self.stop_asked:
            raise Stopped(f"stopped at step {self.saved_step}; the same command goes on from there")
