"""Training speed: images per second of the trainer's step against the same model written plainly, and of the loader.

Read by `sartm benchmark --training FILE.yaml`. Weights and frames of the steps are random; the loader is
the real one.
"""

from __future__ import annotations

import copy
import math
import statistics
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from sartm_core.benchmark import loader, machine
from sartm_core.benchmark.plain_training import below_first_adapter, plain_copy
from sartm_core.benchmark.report import MISSING, machine_text
from sartm_core.benchmark.training_steps import Runner
from sartm_core.model.sartm import SARTM
from sartm_core.support.fields import from_dict, load_yaml
from sartm_core.train.config import TrainConfig
from sartm_core.train.footprint import StepCounter, build, make_batch
from sartm_core.train.footprint_tables import Row, table
from sartm_core.train.steptime import available_bytes, peak_resident

MIN_STEPS = 5
"""Timed steps that a median needs."""
GPU_TFLOPS = 50.0
"""What a GPU is taken to sustain where its step is computed; about a third of a data sheet's dense bf16."""
FULL = "32-true"
PLAIN, OURS, COMPILED = "written plainly", "ours", "ours, compiled"
HEAP = 1.5
"""Times what is counted: what a process has, because the C library keeps freed memory for later."""
MOST_WAYS = 4
"""Models in memory at once."""
LORA_STD = 0.02
GB = 1e9
TERMS = (
    "A step is forward pass, losses, backward pass, clipping and AdamW; its time is the median of {steps}, all ways "
    "taking turns. Written plainly: each modality in a pass of its own, every adapter as linear layers of its own, "
    "what lies below the first adapter in autograd's graph, fp32. kept: bytes (10^9) that autograd keeps for the "
    "backward pass; peak: most bytes alive within a step, beside weights and optimizer. Weights and frames are random, "
    "equal for all."
)


def read_config(path: str | Path, batch: int | None = None) -> TrainConfig:
    """The file of a training, without the weights that it starts from; `data.root` may be missing, too.

    `batch`: another number of frames for a step, as base+ in fp32 wants a large machine at the batch of its file.
    """
    values = load_yaml(path)
    values |= {"sam2": None, "init": "random"}
    values["data"] = {"root": loader.NO_ROOT, **(values.get("data") or {})}
    if batch is not None:
        values["trainer"] = {**(values.get("trainer") or {}), "batch_size": batch, "accumulate": 1}
    return from_dict(TrainConfig, values)


def run(config: TrainConfig, steps: int, threads: int | None) -> dict[str, Any]:
    """Time `steps` steps of each way to train, in turns, then the loader. Seconds, bytes, items per second.

    Raises:
        ValueError: fewer than 5 steps, a batch that memory cannot hold, or data that cannot be loaded.
    """
    if steps < MIN_STEPS:
        raise ValueError(f"steps: got {steps}, expected at least {MIN_STEPS}; the result is their median")
    counter = StepCounter(config)
    check_memory(config, counter)
    threads = threads or config.trainer.threads or torch.get_num_threads()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        loaded = loader.measure(config)
        runners = time_all(config, steps)
    finally:
        torch.set_num_threads(before)
    return {
        "machine": machine.describe(threads),
        "setting": setting(config),
        "steps": steps,
        "ways": [as_dict(runner, frames_at_once(config)) for runner in runners],
        "loader": loaded,
        "gpu": {"tflops": GPU_TFLOPS, "images_per_second": GPU_TFLOPS * 1e12 / counter.flops(crop(config))},
        "resident_bytes": peak_resident(),
    }


def check_memory(config: TrainConfig, counter: StepCounter) -> None:
    """Raise ValueError where float32 steps of this batch would not fit a CPU's memory; a GPU says so itself."""
    available = None if on_gpu(config) else available_bytes()
    peak = counter.bytes(crop(config), frames_at_once(config), FULL).peak
    model = counter.model_bytes
    needed = HEAP * peak + MOST_WAYS * (model.weights + model.gradients + model.optimizer)
    if available is not None and needed > available:
        raise ValueError(
            f"trainer.batch_size: {frames_at_once(config)} frames at once of {setting(config)['crop']} need about "
            f"{needed / GB:.1f} GB, {available / GB:.1f} GB are free; give a smaller batch"
        )


def on_gpu(config: TrainConfig) -> bool:
    return config.trainer.accelerator != "cpu" and torch.cuda.is_available()


def setting(config: TrainConfig) -> dict[str, Any]:
    """What the numbers are of."""
    height, width = crop(config)
    return {
        "backbone": config.model.backbone,
        "crop": f"{height}x{width}",
        "batch": frames_at_once(config),
        "rank": config.model.lora_rank,
        "train_encoder": config.model.train_encoder,
        "activation_checkpointing": config.trainer.activation_checkpointing,
    }


def crop(config: TrainConfig) -> tuple[int, int]:
    return config.data.crop_size


def frames_at_once(config: TrainConfig) -> int:
    """Frames of a micro-batch."""
    return config.trainer.batch_size // config.trainer.accumulate


def time_all(config: TrainConfig, steps: int) -> list[Runner]:
    """The ways to train, each having done `steps` timed steps, in rounds of one step each."""
    device = torch.device("cuda" if on_gpu(config) else "cpu")
    batch = {name: t.to(device) for name, t in make_batch(config, crop(config), frames_at_once(config)).items()}
    runners = ways(config, device)
    with tqdm(total=len(runners) * (1 + steps), unit="step") as bar:
        for runner in runners:
            bar.set_description(f"warm up, {runner.name}")
            runner.warm_up(batch)
            bar.update()
        for turn in range(steps):
            for runner in runners if turn % 2 else reversed(runners):  # nobody is always the first
                bar.set_description(runner.name)
                runner.time(batch)
                bar.update()
    return runners


def ways(config: TrainConfig, device: torch.device) -> list[Runner]:
    """Plain float32 first; ours in float32, in the configuration's precision, and compiled if it says so."""
    torch.manual_seed(config.seed)
    model, objective = build(config)
    for name, parameter in model.named_parameters():
        if name.endswith(".lora_b"):  # fresh ones are zero and would give no gradient to the A beside them
            torch.nn.init.normal_(parameter, std=LORA_STD)
    plain, settings = plain_copy(model), config.trainer
    kinds = [(PLAIN, plain, FULL, "none"), (OURS, copy.deepcopy(model), FULL, "none")]
    if settings.precision != FULL:
        kinds.append((OURS, copy.deepcopy(model), settings.precision, "none"))
    if settings.compile != "none":
        kinds.append((COMPILED, copy.deepcopy(model), settings.precision, settings.compile))
    runners = []
    for name, network, precision, compiler in kinds:
        if settings.activation_checkpointing:
            network.encoder.recompute_activations()
        parts = network.to(device), copy.deepcopy(objective).to(device)
        runners.append(Runner(name, *parts, config, precision, trained_by_optimizer(network), compiler))
    return runners


def trained_by_optimizer(model: SARTM) -> list[torch.nn.Parameter]:
    """What trains by the configuration; the plain model has gradients for some frozen parameters besides."""
    frozen = set() if model.config.train_encoder else {id(p) for p in below_first_adapter(model.encoder)}
    return [p for p in model.parameters() if p.requires_grad and id(p) not in frozen]


def as_dict(runner: Runner, batch: int) -> dict[str, Any]:
    """For programs."""
    return {
        "name": runner.name,
        "precision": runner.precision,
        "compile": runner.compiler,
        "seconds": runner.seconds,
        "images_per_second": batch / runner.median(),
        "kept_bytes": runner.kept,
        "peak_bytes": runner.peak,
        "first_loss": runner.loss,
    }


def report(result: dict[str, Any]) -> str:
    """The result of `run` in Markdown."""
    what, ways_, plain = result["setting"], result["ways"], result["ways"][0]
    encoder = "trained" if what["train_encoder"] else f"frozen, adapters of rank {what['rank']}"
    rows: list[Row] = [
        ("way to train", "precision", "step s", "images/s", "x plain", "kept GB", "peak GB", "first loss")
    ]
    for way in ways_:
        speed = way["images_per_second"]
        rows.append((
            way["name"], way["precision"], f"{statistics.median(way['seconds']):.3f}", f"{speed:.3g}",
            f"{speed / plain['images_per_second']:.2f}", gigabytes(way["kept_bytes"]), gigabytes(way["peak_bytes"]),
            f"{way['first_loss']:.5f}",
        ))  # fmt: skip
    title = f"## Training {what['backbone']} at {what['crop']}, batch {what['batch']} (encoder {encoder})"
    recomputing = " Activations are recomputed." if what["activation_checkpointing"] else ""
    return "\n\n".join((
        title, machine_text(result["machine"]), TERMS.format(steps=result["steps"]) + recomputing, table(rows),
        loader_text(result),
        f"Most memory that the process had, all ways together: {gigabytes(result['resident_bytes'])} GB.",
    )) + "\n"  # fmt: skip


def loader_text(result: dict[str, Any]) -> str:
    """Whether the loader keeps up, here and with a GPU."""
    loaded, gpu, ours = result["loader"], result["gpu"], result["ways"][-1]
    rate, single = loaded["items_per_second"], loaded["items_per_second_of_one_process"]
    needed = math.ceil(gpu["images_per_second"] / single)
    return (
        f"Loader, {loaded['frames']}: {rate:.1f} items/s with {loaded['workers']} processes on this machine's CPUs, "
        f"{rate / ours['images_per_second']:.1f} times what the last step above takes; one process alone makes "
        f"{single:.1f} items/s. **Computed**: a GPU that sustains {gpu['tflops']:g} TFLOP/s takes "
        f"{gpu['images_per_second']:.0f} images/s at most (small models do not keep it busy); for that the loader "
        f"needs {needed} such processes (`data.workers`) on as many cores."
    )


def gigabytes(count: int | None) -> str:
    return MISSING if count is None else f"{count / GB:.2f}"
