"""Training steps of one way to write the model, one at a time, so that several can take turns."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from time import perf_counter

import torch
from torch import Tensor, nn

from sartm_core.losses.objective import Objective
from sartm_core.model.sartm import SARTM
from sartm_core.train.compiling import compiled
from sartm_core.train.config import TrainConfig
from sartm_core.train.footprint import AUTOCAST, LiveBytes, SavedBytes, key, tensors_of

Batch = dict[str, Tensor]


@dataclass
class Runner:
    """A model with objective and optimizer that trains on one batch again and again."""

    name: str
    model: SARTM
    objective: Objective
    config: TrainConfig
    precision: str
    """Lightning's name; AUTOCAST has the type."""
    trained: list[nn.Parameter]
    """What the optimizer moves; the plain model has gradients for more."""
    compiler: str = "none"
    seconds: list[float] = field(default_factory=list)
    """Of every timed step."""
    loss: float = math.nan
    """Of the step to warm up."""
    kept: int | None = None
    """Bytes that autograd keeps for the backward pass; None when compiled, like the next."""
    peak: int | None = None
    """Most bytes alive within a step."""

    def __post_init__(self) -> None:
        optim = self.config.optim
        self.optimizer = torch.optim.AdamW(self.trained, lr=optim.lr, weight_decay=optim.weight_decay)
        self.forward = compiled(self.model, self.compiler) or self.model

    def warm_up(self, batch: Batch) -> None:
        """A step that is not timed but looked at: its loss, what autograd keeps, the most that is alive at once."""
        if self.compiler != "none":  # counting op by op would stop the compiler
            self.loss = self.step(batch)
            return
        owned = {key(tensor) for tensor in tensors_of(self.model, self.objective)}
        saved, live = SavedBytes(owned), LiveBytes(owned)
        with live, torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda tensor: tensor):
            self.loss = self.step(batch)
        self.kept, self.peak = saved.total, live.peak

    def time(self, batch: Batch) -> None:
        """A timed step."""
        synchronize(batch)
        started = perf_counter()
        self.step(batch)
        synchronize(batch)
        self.seconds.append(perf_counter() - started)

    def step(self, batch: Batch) -> float:
        """Forward pass, losses, backward pass, clipping and AdamW, as Lightning does them; returns the loss."""
        dtype = AUTOCAST[self.precision]
        self.optimizer.zero_grad()
        with torch.autocast(batch["rgb"].device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            out = self.forward(batch["rgb"], batch["thermal"], keep=batch["keep"])
            loss = self.objective(out, batch["label"])["loss"]
        loss.backward()
        if self.config.optim.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.trained, self.config.optim.clip_norm)
        self.optimizer.step()
        return float(loss.detach())

    def median(self) -> float:
        return statistics.median(self.seconds)


def synchronize(batch: Batch) -> None:
    """Wait for a GPU; a CPU is never behind."""
    if batch["rgb"].is_cuda:
        torch.cuda.synchronize()
