"""What a training takes, as tables: what was counted, what follows for a GPU, what was measured here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from sartm_core.train.config import TrainConfig
from sartm_core.train.footprint import ModelBytes, Size
from sartm_core.train.steptime import StepTime

GIB, MB, TERA = 2**30, 1e6, 1e12
CUDA_BYTES = 0.75 * GIB
"""Allowance for the driver's context and the workspaces of cuBLAS and cuDNN: usually 0.5 to 1 GiB. Not counted here."""
FRAGMENTATION = 0.10
"""Allowance for memory that PyTorch's allocator holds but cannot use, as a part of the counted bytes."""

Row = tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """The memory of one way to train."""

    backbone: str
    size: Size
    batch: int
    precision: str
    recompute: bool
    """`trainer.activation_checkpointing`."""
    saved: int
    """Bytes that autograd keeps for the backward pass."""
    peak: int
    """Most bytes alive at once: weights (and their average), optimizer, inputs, saved, temporary ones, gradients."""

    @property
    def gpu(self) -> int:
        """Bytes that a GPU needs, computed: `peak` and the two allowances."""
        return round(self.peak * (1 + FRAGMENTATION) + CUDA_BYTES)


@dataclass(frozen=True)
class Work:
    """Operations of a step of one frame, and what a step of `batch` frames took here, None when not measured."""

    backbone: str
    size: Size
    batch: int
    recompute: bool
    flops: int
    time: StepTime | None = None
    why_not: str = ""


@dataclass
class Footprint:
    """Everything that was found. Times are medians of `timed_steps` with `threads` CPU threads."""

    models: dict[str, ModelBytes]
    steps: list[Step]
    works: list[Work]
    timed_steps: int
    threads: int
    gpu_tflops: float
    """What a GPU is taken to sustain."""

    def find(self, backbone: str, size: Size, batch: int, precision: str, recompute: bool) -> Step | None:
        wanted = (backbone, size, batch, precision, recompute)
        return next((s for s in self.steps if (s.backbone, s.size, s.batch, s.precision, s.recompute) == wanted), None)


def report(found: Footprint, train: TrainConfig) -> str:
    """Markdown: the answer for the configuration as it is, where that was counted, then the tables."""
    memory = (
        "Counted op by op on tensors without memory; no GPU was used. **GPU**: computed, all that is alive at the "
        f"worst moment of a step, {FRAGMENTATION:.0%} for fragmentation and {CUDA_BYTES / GIB:g} GiB for CUDA itself. "
        "kept: what autograd keeps from the forward for the backward pass, a part of it. recomputing: "
        "`--trainer.activation_checkpointing true`. batch: frames on one GPU at once. GiB = 2^30 bytes, MB = 10^6."
    )
    times = (
        f"CPU times are medians of {found.timed_steps} steps in fp32 with {found.threads} threads; those with ~ are "
        "computed from the smallest batch. processor: time of all threads added, which other work on the machine "
        "hardly changes. TFLOP: 10^12 operations, counted. GPU times are computed from them for a GPU that "
        f"sustains {found.gpu_tflops:g} TFLOP/s; none was measured."
    )
    parts = (*answer(found, train), memory, table(model_rows(found)), table(memory_rows(found)), times)
    return "\n\n".join((*parts, table(time_rows(found)))) + "\n"


def answer(found: Footprint, train: TrainConfig) -> list[str]:
    """A sentence about the run that the configuration describes, if it is among what was counted."""
    settings = train.trainer
    batch = settings.batch_size // settings.accumulate
    precision = settings.precision if settings.precision == "32-true" else "bf16-mixed"  # 16-mixed takes as much
    step = found.find(train.model.backbone, train.data.crop_size, batch, precision, settings.activation_checkpointing)
    if step is None:
        return []
    way = ", recomputing activations" if step.recompute else ""
    return [
        f"{step.backbone} at {name_of(step.size)}, batch {batch}, {settings.precision}{way}: about "
        f"{step.gpu / GIB:.1f} GiB on a GPU (computed)."
    ]


def name_of(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def model_rows(found: Footprint) -> list[Row]:
    head = (
        "backbone",
        "parameters M",
        "trained M",
        "weights MB",
        "gradients MB",
        "AdamW MB",
        "average MB",
        "adapter MB",
    )
    rows: list[Row] = [head]
    for name, model in found.models.items():
        counts = (f"{count / 1e6:.2f}" for count in (model.parameters, model.trained))
        sizes = (model.weights, model.gradients, model.optimizer, model.averaged, model.adapter)
        rows.append((name, *counts, *("-" if size is None else f"{size / MB:.1f}" for size in sizes)))
    return rows


def memory_rows(found: Footprint) -> list[Row]:
    """A line per backbone, crop, batch and precision, without and with recomputing side by side."""
    rows: list[Row] = [
        ("backbone", "crop", "batch", "precision", "kept GiB", "**GPU GiB**", "recomputing: kept GiB", "**GPU GiB**")
    ]
    for step in found.steps:
        other = found.find(step.backbone, step.size, step.batch, step.precision, True)
        if not step.recompute and other:
            sizes = (step.saved, step.gpu, other.saved, other.gpu)
            head = (step.backbone, name_of(step.size), str(step.batch), step.precision)
            rows.append((*head, *(f"{size / GIB:.2f}" for size in sizes)))
    return rows


def time_rows(found: Footprint) -> list[Row]:
    """A line per backbone, crop, batch and way to train."""
    head = ("backbone", "crop", "batch", "recomputing", "TFLOP", "forward s", "backward s", "optimizer s", "CPU step s")
    rows: list[Row] = [(*head, "processor s", "CPU peak GiB", "**GPU step s**")]
    for work in found.works:
        for batch in sorted({step.batch for step in found.steps}):
            tflop = batch * work.flops / TERA
            line = (work.backbone, name_of(work.size), str(batch), "yes" if work.recompute else "no", f"{tflop:.2f}")
            rows.append((*line, *cpu_cells(work, batch), f"~{tflop / found.gpu_tflops:.2f}"))
    return rows


def cpu_cells(work: Work, batch: int) -> Row:
    """Forward, backward, optimizer, step, processor time, peak; `-` where nothing was measured, ~ where computed."""
    time = work.time
    if time is None:
        return "-", "-", "-", work.why_not or "-", "-", "-"
    if batch != work.batch:
        return "-", "-", "-", f"~{time.of_batch(batch / work.batch):.1f}", "-", "-"
    seconds = (time.forward, time.backward, time.optimizer, time.of_batch(1), time.processor)
    return (*(f"{value:.2f}" for value in seconds), f"{time.resident / GIB:.2f}")


def table(rows: Sequence[Row]) -> str:
    """Rows, the first being the head, as a Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def as_dict(found: Footprint) -> dict[str, Any]:
    """For programs: bytes, seconds, operations."""
    steps = [{**asdict(step), "gpu": step.gpu} for step in found.steps]
    allowances = {"cuda_bytes": CUDA_BYTES, "fragmentation": FRAGMENTATION}
    return {"torch": torch.__version__, "allowances": allowances, **asdict(found), "steps": steps}
