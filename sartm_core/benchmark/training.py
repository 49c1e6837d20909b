"""Training speed: crops a second of a configuration's training loop, in turns with the same loop written plainly.

Read by `sartm benchmark --training FILE.yaml`. Weights are random; loader, steps and optimizer are those of
`sartm train`. Plainly: files are read and scenes drawn anew for every item, each camera goes through the
encoder in a pass of its own, in fp32 and not compiled.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import lightning as L
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from sartm_core.benchmark import machine
from sartm_core.benchmark.report import machine_text
from sartm_core.benchmark.worker import Worker, WorkerError
from sartm_core.data.config import DataConfig
from sartm_core.data.scenes import FixedScenes
from sartm_core.data.sources import sources_of
from sartm_core.model.encoder import ModalityEncoder
from sartm_core.model.sartm import SARTM
from sartm_core.support.classes import MFNET
from sartm_core.support.fields import from_dict, load_yaml
from sartm_core.support.memory import peak_resident
from sartm_core.support.reports import markdown_table
from sartm_core.synthetic import SceneConfig
from sartm_core.train.config import TrainConfig
from sartm_core.train.dry_run import train_steps
from sartm_core.train.frames import Item
from sartm_core.train.loading import EpochBatches, training_loader
from sartm_core.train.module import LitSARTM
from sartm_core.train.setup import check_precision, quieten

NO_ROOT = "not-given"
"""Stands for `data.root` in a configuration that leaves it to the command line."""
MADE_UP_FRAMES = 16
"""Frames written where the configuration's data set is not there: 8-bit PNG files of the model's input size."""
EPOCH_STEPS = 50
"""Of these, so that no epoch ends while steps are timed."""
KELVIN = (250.0, 330.0)
"""What becomes 0 and 255 in the thermal files."""
TURNS = 2
"""How often each loop has its turn."""
LOADED = 6
"""Batches that are timed of the loader alone, for each of its processes."""
TEXT_WIDTH = 512
"""Of the random embeddings that stand for a teacher's."""
PLAIN, CONFIGURED = "written plainly", "as configured"
GB = 1e9


def read_config(path: str | Path) -> TrainConfig:
    """The file of a training, without the weights that it starts from; `data.root` may be missing, too."""
    values = load_yaml(path)
    values |= {"sam2": None, "init": "random"}
    values["data"] = {"root": NO_ROOT, **(values.get("data") or {})}
    return from_dict(TrainConfig, values)


def plainly(config: TrainConfig) -> TrainConfig:
    """The same training without what makes it quick."""
    data = replace(config.data, cache="none", synthetic_pool=0)
    return replace(config, data=data, trainer=replace(config.trainer, precision="32-true", compile="none"))


def one_camera_a_pass(model: SARTM) -> None:
    """Write the encoder's one pass of both cameras as two."""
    model.encoder.with_deepest = partial(one_by_one, model.encoder)  # type: ignore[method-assign]


def one_by_one(encoder: ModalityEncoder, images: Sequence[Tensor | None]) -> tuple[list[Tensor], Tensor]:
    """`ModalityEncoder.with_deepest` with a pass for each modality."""
    alone = [[image if i == m else None for i, image in enumerate(images)] for m in range(len(images))]
    passes = [ModalityEncoder.with_deepest(encoder, one) for one in alone if any(image is not None for image in one)]
    levels, deepest = zip(*passes, strict=True)
    return [torch.cat(level) for level in zip(*levels, strict=True)], torch.cat(deepest)  # (M, B, C, h, w) each


class Loop:
    """A training that can be asked for some steps at a time. Lives in a process of its own, see `worker.py`."""

    def __init__(self, config: TrainConfig, plain: bool, threads: int) -> None:
        quieten()
        torch.set_num_threads(threads)
        L.seed_everything(config.seed, verbose=False)
        self.config = plainly(config) if plain else config
        self.loader = training_loader(self.config)
        model = SARTM(config.model).train()
        if config.trainer.activation_checkpointing:
            model.encoder.recompute_activations()
        if plain:
            one_camera_a_pass(model)
        text = None if config.loss.teacher == "none" else torch.randn(config.model.num_classes, TEXT_WIDTH)
        self.module = LitSARTM(model, self.config, [], text)

    def load(self) -> float:
        """Items a second of the loader alone, with its processes."""
        batches, workers = endless(self.loader), self.config.data.workers
        size = len(next(batches)["name"])
        for _ in range((self.loader.prefetch_factor or 0) * workers):  # made while the processes started
            next(batches)
        timed, started = LOADED * max(1, workers), perf_counter()
        for _ in range(timed):
            next(batches)
        seconds = perf_counter() - started
        batches.close()
        return timed * size / seconds

    def turn(self, steps: int) -> tuple[list[float], list[float]]:
        """Seconds of each of `steps` steps, and of these waiting for frames; after one that is not timed."""
        _, laps = train_steps(self.config, self.module, self.loader, 1 + steps)
        return laps.seconds[1:], laps.waited[1:]

    def peak(self) -> int:
        """Most bytes that the process had; of a GPU, that torch gave out."""
        return torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else peak_resident()


def endless(loader: DataLoader[Item]) -> Generator[Item]:
    """Batches of one epoch after the other."""
    batches = loader.batch_sampler
    assert isinstance(batches, EpochBatches)
    for epoch in itertools.count():
        batches.set_epoch(epoch)
        yield from loader


def run(config: TrainConfig, steps: int, threads: int | None) -> dict[str, Any]:
    """Time both loops in turns, `steps` steps in each; for JSON.

    Raises:
        ValueError: no steps, data that cannot be loaded, or a loop that cannot run, most likely for want of memory.
    """
    if steps < 1:
        raise ValueError(f"--steps: got {steps}, expected at least 1")
    check_precision(config)
    threads = threads or config.trainer.threads or torch.get_num_threads()
    with ExitStack() as stack, tqdm(unit="turn") as bar:
        config, frames = with_frames(config, stack)
        loops: dict[str, Worker] = {}
        found: dict[str, dict[str, Any]] = {}
        try:
            for name in (PLAIN, CONFIGURED):
                loops[name] = stack.enter_context(closing(Worker(Loop, config, name == PLAIN, threads)))
                found[name] = {"name": name, "seconds": [], "waited": [], "loader": loops[name].ask("load")}
            for turn in range(TURNS):
                for name in list(loops)[:: -1 if turn % 2 else 1]:  # nobody is always the first
                    bar.set_description(name)
                    seconds, waited = loops[name].ask("turn", steps)
                    found[name]["seconds"] += seconds
                    found[name]["waited"] += waited
                    bar.update()
            for name, loop in loops.items():
                rate = config.trainer.batch_size / statistics.median(found[name]["seconds"])
                found[name] |= {"precision": "32-true", "crops_per_second": rate, "peak_bytes": loop.ask("peak")}
        except WorkerError as error:
            raise ValueError(f"{error}. If it was memory: a smaller trainer.batch_size") from None
    found[CONFIGURED]["precision"] = config.trainer.precision
    return {
        "machine": machine.describe(threads), "setting": setting(config), "frames": frames,
        "steps": TURNS * steps, "loops": list(found.values()),
    }  # fmt: skip


def setting(config: TrainConfig) -> dict[str, Any]:
    """What the numbers are of."""
    height, width = config.data.crop_size
    return {
        "backbone": config.model.backbone,
        "crop": f"{height}x{width}",
        "batch": config.trainer.batch_size,
        "workers": config.data.workers,
        "train_encoder": config.model.train_encoder,
    }


def with_frames(config: TrainConfig, stack: ExitStack) -> tuple[TrainConfig, str]:
    """`config` with data that is there, and what it is; made-up frames are removed when `stack` is closed."""
    sources = sources_of(config.data)
    given = bool(sources) and config.data.root not in (None, NO_ROOT)
    if given and not Path(str(config.data.root)).is_dir():
        raise ValueError(f"data.root: no folder {config.data.root}; leave it out for made-up frames")
    if given or not sources:
        return config, f"data set {' '.join(source.title for source in sources) or 'synthetic'!r}"
    height, width = config.preprocess.input_size or config.data.crop_size
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sartm-training-")))
    return write_frames(folder, config), f"{MADE_UP_FRAMES} made-up frames of {height}x{width} (no data.root)"


def write_frames(folder: Path, config: TrainConfig) -> TrainConfig:
    """`config` with a data set of its own in `folder`: synthetic scenes as the files that a real one consists of."""
    height, width = config.preprocess.input_size or config.data.crop_size
    scenes = FixedScenes(MADE_UP_FRAMES, SceneConfig(height, width))
    for kind in ("rgb", "thermal", "labels"):
        (folder / kind).mkdir()
    for i, scene in enumerate(scenes):
        assert scene.label is not None
        thermal = np.interp(scene.thermal, KELVIN, (0, 255)).astype(np.uint8)
        for kind, image in (("rgb", scene.rgb), ("thermal", thermal), ("labels", scene.label)):
            Image.fromarray(image).save(folder / kind / f"{i:05}.png")
    (folder / "train.txt").write_text("".join(f"{i:05}\n" for i in range(MADE_UP_FRAMES)))
    repeat = -(-EPOCH_STEPS * config.trainer.batch_size // MADE_UP_FRAMES)
    one: dict[str, Any] = {"dataset": "folder", "root": str(folder), "label_set": "mfnet", "repeat": repeat}
    data: DataConfig = replace(config.data, **one, sources=(), epoch_frames=None, synthetic_train=0)
    classes = replace(config.model, classes=MFNET.names, palette=None)
    return replace(config, data=data, model=classes, loss=replace(config.loss, class_weights=None))


def report(result: dict[str, Any]) -> str:
    """The result of `run` in Markdown."""
    what, loops = result["setting"], result["loops"]
    rows = [("loop", "precision", "**crops/s**", "**x plain**", "step s", "of it waiting", "loader alone, crops/s",
             "peak GB")]  # fmt: skip
    for loop in loops:
        rate = loop["crops_per_second"]
        rows.append((
            loop["name"], loop["precision"], f"{rate:.3g}", f"{rate / loops[0]['crops_per_second']:.2f}",
            f"{statistics.median(loop['seconds']):.3f}",
            f"{statistics.median(loop['waited']):.3f}", f"{loop['loader']:.3g}", f"{loop['peak_bytes'] / GB:.2f}",
        ))  # fmt: skip
    encoder = "trained" if what["train_encoder"] else "frozen, with adapters"
    return "\n\n".join((
        f"## Training {what['backbone']} at {what['crop']}, batch {what['batch']} (encoder {encoder})",
        machine_text(result["machine"]),
        f"{result['frames']}, {what['workers']} loader processes. Medians of {result['steps']} steps, the loops taking "
        "turns, waiting for frames included. Written plainly: files read and scenes drawn for every item, a pass for "
        "each camera, fp32. Weights are random.",
        markdown_table(rows),
    )) + "\n"  # fmt: skip
