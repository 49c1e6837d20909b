r"""Will this training fit my GPU, what takes the memory, and how long is a step?

    python -m sartm_core.footprint --config config/train/mfnet.yaml
    python -m sartm_core.footprint --config config/train/mfnet.yaml --sizes t s b+ l --resolutions 480x640 \
        --batches 1 8 --output footprint

Needs neither a GPU nor Meta's file nor data. Bytes and operations are counted op by op on tensors without memory, with
the types a GPU would give them; what a GPU then needs is computed from the counts. Steps of the smallest batch are also
timed on this machine's CPU, each kind in a process of its own (`--steps 0` leaves that out). Options of the training
change what is looked at, say --model.lora_rank 64. --output DIR receives footprint.md and footprint.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import torch
from tqdm import tqdm

from sartm_core.model.config import ModelConfig, full_name
from sartm_core.preprocess.config import STRIDE
from sartm_core.support.cli import INTERRUPTED, add_config_options, build_config, field_docs, parse
from sartm_core.support.fields import at_least
from sartm_core.support.files import write_text
from sartm_core.train.config import TrainConfig
from sartm_core.train.footprint import Size, StepCounter
from sartm_core.train.footprint_tables import GIB, Footprint, Step, Work, as_dict, name_of, report
from sartm_core.train.steptime import available_bytes, time_steps

PRECISIONS = ("32-true", "bf16-mixed")
"""Those that are counted; `16-mixed` takes what `bf16-mixed` takes."""
PROCESS_BYTES = GIB
"""Of a training on the CPU: Python and its libraries."""
HEAP = 1.5
"""Times what is counted: what a process has, because the C library keeps freed memory for later."""
NOT_READ = {"data.root": ".", "sam2": "null", "init": "random"}
"""Options that name files and folders of a training; here weights are random and frames made up."""


@dataclass(frozen=True)
class FootprintConfig:
    """Which trainings to look at."""

    sizes: tuple[str, ...] = ()
    """`lite0`, `nano`, `t`, `s`, `b+`, `l`, or names of backbones; none: that of the configuration."""
    resolutions: tuple[str, ...] = ()
    """Training crops as HEIGHTxWIDTH, multiples of 32; none: that of the configuration."""
    batches: tuple[int, ...] = ()
    """Frames that one GPU has in memory at once; none: 1 and the configuration's batch_size / accumulate."""
    steps: int = 3
    """Steps of the smallest batch that are timed on the CPU, after one to warm up; 0: none."""
    gpu_tflops: float = 50.0
    """What a GPU is taken to sustain when its step time is computed; about a third of its data sheet's dense bf16."""

    def __post_init__(self) -> None:
        for size in self.sizes:
            full_name("FootprintConfig", "sizes", size)
        for resolution in self.resolutions:
            parse_resolution(resolution)
        for batch in self.batches:
            at_least("FootprintConfig", "batches", batch, 1)
        at_least("FootprintConfig", "steps", self.steps, 0)
        if self.gpu_tflops <= 0:
            raise ValueError(f"FootprintConfig.gpu_tflops: got {self.gpu_tflops}, expected more than 0")


def parse_resolution(text: str) -> Size:
    """`480x640` -> (480, 640)."""
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()) or any(not n or n % STRIDE for n in (int(height), int(width))):
        raise ValueError(
            f"FootprintConfig.resolutions: got {text!r}, expected HEIGHTxWIDTH in multiples of {STRIDE} (480x640)"
        )
    return int(height), int(width)


def look(config: FootprintConfig, train: TrainConfig) -> Footprint:
    """Count, then measure. The progress bar goes to the terminal's error output."""
    names = [full_name("FootprintConfig", "sizes", size) for size in config.sizes]
    backbones = list(dict.fromkeys(names)) or [train.model.backbone]
    crops = list(dict.fromkeys(map(parse_resolution, config.resolutions))) or [train.data.crop_size]
    batches = sorted(set(config.batches)) or sorted({1, train.trainer.batch_size // train.trainer.accumulate})
    threads = train.trainer.threads or torch.get_num_threads()
    found = Footprint({}, [], [], config.steps, threads, config.gpu_tflops)
    kinds = len(backbones) * len(crops)
    with tqdm(total=kinds * (2 * (1 + len(PRECISIONS) * len(batches)) + bool(config.steps))) as bar:
        for backbone in backbones:
            bar.set_description(f"count {backbone}")
            count(found, replace(train, model=of_backbone(train.model, backbone)), crops, batches, bar)
        for i, work in enumerate(found.works):
            if config.steps and work.recompute == train.trainer.activation_checkpointing:
                bar.set_description(f"time {work.backbone} {name_of(work.size)}")
                found.works[i] = measure(found, work, train)
                bar.update()
    return found


def of_backbone(model: ModelConfig, backbone: str) -> ModelConfig:
    """The same configuration with another one, of random weights; its own width, if it is not the same."""
    width = model.width if backbone == model.backbone else None
    return replace(model, backbone=backbone, pretrained=None, width=width)


def count(found: Footprint, train: TrainConfig, crops: Sequence[Size], batches: Sequence[int], bar: tqdm) -> None:
    """Add what one backbone takes to `found`."""
    counter, backbone = StepCounter(train), train.model.backbone
    model = found.models[backbone] = counter.model_bytes
    for recompute in (False, True):
        if recompute:
            counter.recompute_activations()
        for size in crops:
            found.works.append(Work(backbone, size, min(batches), recompute, counter.flops(size)))
            bar.update()
            for batch in batches:
                for precision in PRECISIONS:
                    step = counter.bytes(size, batch, precision)
                    # On a GPU AdamW works on all tensors at once, with one temporary copy of what trains.
                    moment = max(step.peak, 2 * model.gradients)
                    peak = model.weights + model.optimizer + model.averaged + moment
                    found.steps.append(Step(backbone, size, batch, precision, recompute, step.saved, peak))
                    bar.update()


def measure(found: Footprint, work: Work, train: TrainConfig) -> Work:
    """Time real steps in a process of its own, so that its peak memory is that of this kind of step alone."""
    step = found.find(work.backbone, work.size, work.batch, "32-true", work.recompute)
    assert step is not None  # it was counted before
    needed, available = HEAP * step.peak + PROCESS_BYTES, available_bytes()
    if available is not None and needed > available:
        return replace(work, why_not=f"not run: needs {needed / GIB:.1f} GiB, {available / GIB:.1f} are free")
    config = replace(train, model=replace(train.model, backbone=work.backbone))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
        try:
            time = child.submit(time_steps, config, work.size, work.batch, found.timed_steps).result()
        except BrokenProcessPool:
            return replace(work, why_not="killed, most likely for want of memory")
    return replace(work, time=time)


def add_options(parser: argparse.ArgumentParser) -> None:
    """One option per field of `FootprintConfig`, without dots, beside those of the training."""
    defaults = FootprintConfig()
    for name, text in field_docs(FootprintConfig).items():
        default = getattr(defaults, name)
        many = isinstance(default, tuple)
        help_text = text if many else f"{text} [default: {default}]"
        parser.add_argument(
            f"--{name}", nargs="+" if many else None, metavar="VALUE", default=argparse.SUPPRESS, help=help_text
        )


def configs(args: argparse.Namespace) -> tuple[FootprintConfig, TrainConfig]:
    """What the options describe. ValueError names the key."""
    fields = field_docs(FootprintConfig)
    own = {name: value for name, value in vars(args).items() if name in fields}
    others = {name: value for name, value in vars(args).items() if name not in fields}
    config = build_config(FootprintConfig, argparse.Namespace(config=None, **own))
    return config, build_config(TrainConfig, argparse.Namespace(**{**others, **NOT_READ}))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m sartm_core.footprint", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for footprint.md and footprint.json")
    add_config_options(parser, TrainConfig)
    args = parse(parser, argv)
    try:
        config, train = configs(args)
        found = look(config, train)
        text = report(found, train)
        if args.output:
            args.output.mkdir(parents=True, exist_ok=True)
            write_text(args.output / "footprint.md", text)
            write_text(args.output / "footprint.json", json.dumps(as_dict(found), indent=2) + "\n")
    except (ValueError, OSError) as error:
        parser.exit(2, f"footprint: {error}\n")
    except KeyboardInterrupt:
        parser.exit(INTERRUPTED, "footprint: interrupted; nothing was written\n")
    print(text, end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
