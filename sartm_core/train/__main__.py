"""Train SARTM.

    sartm train --config config/train/synthetic.yaml --output runs/synthetic
    sartm train --config config/train/mfnet_paper.yaml --data DIR --output runs/mfnet
    sartm train --config ... --dry-run                              # will it fit, and how long will it take?
    torchrun --nproc-per-node 4 -m sartm_core.train --config ...          # several GPUs, the same result

Run the same command again to resume, also after a crash: the run goes on from its last checkpoint as if it had never
stopped. `--output` receives `weights.safetensors` (best validation mIoU so far, see --trainer.keep), `metrics.json`,
`config.yaml` (the resolved configuration), `history.jsonl` (losses and scores by epoch), `prototypes/`, `checkpoints/`
(to resume) and TensorBoard logs; --logger wandb sends the same to Weights & Biases.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sartm_core.model.config import ModelConfig
from sartm_core.support import machine
from sartm_core.support.cli import INTERRUPTED, add_config_options, build_config, new_parser, parse, words
from sartm_core.support.fields import differences, load_yaml, to_dict
from sartm_core.train.config import FEWEST_STEPS, MAY_CHANGE, TrainConfig
from sartm_core.train.errors import Stopped, TrainingError

OUT_OF_MEMORY = (
    "memory is full. --trainer.activation_checkpointing true may be added to this run; --trainer.accumulate 2 (up "
    "to batch_size), a smaller --trainer.batch_size or --data.crop_size, or --trainer.precision bf16-mixed need a new "
    "--output. --dry-run tells what fits"
)
CPU_IS_FULL = "can't allocate memory"
"""Of torch's message."""
LENGTH = {"trainer.max_epochs", "trainer.max_steps", "trainer.fit_confidence"}
"""Fields that give a finished run something to do."""
CLASSES = {"model.classes", "model.palette"}
"""Fields that the data fill in."""
SPLITS_TO_SELECT_ON = ("val", "test")
SHORT = {"data": "data.root", "logger": "trainer.logger"}
"""Short options -> the fields they are."""


def finished(config: TrainConfig, output: Path) -> str:
    """What to say of a run that has nothing left to do, before anything is loaded; "" for others."""
    try:
        metrics = json.loads((output / "metrics.json").read_text())
        before = load_yaml(output / "config.yaml")
    except (OSError, ValueError):
        return ""
    same = MAY_CHANGE - LENGTH | (CLASSES if config.model.classes == ModelConfig().classes else set())
    odd = {name for name, _, _ in differences(before, to_dict(config))} - same
    if odd or not metrics.get("finished") or os.environ.get("RANK", "0") != "0":
        return ""
    return (
        f"{output}: already finished; best mIoU {metrics['miou']:.1%} at epoch {metrics['epoch']} "
        f"({output / 'weights.safetensors'}). A larger --trainer.max_epochs goes on, a new --output starts again"
    )


def out_of_memory(error: Exception) -> bool:
    """Whether a GPU or the machine is full; on a CPU torch raises a plain RuntimeError."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or CPU_IS_FULL in str(error)


def code_of(error: Exception) -> int:
    """Exit code of the command: 1 where the machine stopped it, 2 for wrong usage and data."""
    return machine.EXIT if machine.advice(error) else 2


def last_line(error: Exception) -> str:
    """An error's message; of one that comes with a loader process' traceback, its last line."""
    lines = str(error).strip().splitlines()
    return lines[-1].partition(": ")[2] if "Traceback" in str(error) else "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser("train", __doc__)
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the run; the same one resumes it")
    parser.add_argument(
        "--dry-run", dest="dry_run", nargs="?", type=int, const=FEWEST_STEPS, metavar="N",
        help=f"only measure N steps [{FEWEST_STEPS}]: memory, seconds a step, hours to the end, gradient by loss term, "
        "ranks; leaves dry_run.json and first_batch.png in --output, which may be left out",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="the numbers of --dry-run, for programs")
    parser.add_argument(
        "--select-on", choices=SPLITS_TO_SELECT_ON, dest="select_on",
        help="split that picks the best epoch, short for --data.val_split; test only to compare with papers that do so",
    )  # fmt: skip
    add_config_options(parser, TrainConfig)
    for name, field in SHORT.items():
        known = words(TrainConfig, field)
        parser.add_argument(f"--{name}", dest=field, default=argparse.SUPPRESS, help=f"as --{field}", **known)
    args = parse(parser, argv)
    if args.output is None and args.dry_run is None:
        parser.error("the following arguments are required: --output")
    if args.select_on:
        setattr(args, "data.val_split", args.select_on)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        config = build_config(TrainConfig, args)
        done = finished(config, args.output) if args.dry_run is None else ""
        if done:
            print(done)
            return 0
        from sartm_core.train import fit as training  # Lightning takes seconds

        if args.dry_run is None:
            training.fit(config, args.output)
        else:
            training.rehearse(config, args.dry_run, args.output, args.json)
    except (ValueError, FileNotFoundError) as error:
        parser.exit(code_of(error), f"train: {last_line(error)}\n")
    except TrainingError as error:
        parser.exit(code_of(error), f"\ntrain: {last_line(error)}\n")  # behind a progress bar, as the next ones
    except Stopped as error:
        parser.exit(INTERRUPTED, f"\ntrain: {error}\n")
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        parser.exit(machine.EXIT, f"\ntrain: {last_line(error)}\ntrain: {OUT_OF_MEMORY}\n")
    except KeyboardInterrupt:
        parser.exit(INTERRUPTED, "\ntrain: stopped; the same command goes on from the last checkpoint\n")
    except OSError as error:
        text = f"--output {args.output}: {error}. Nothing before it is lost; the same command goes on"
        parser.exit(code_of(error), f"\ntrain: {text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
