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
import contextlib
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, TQDMProgressBar
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from sartm_core.data.seen import joined, seen_in_run
from sartm_core.data.sources import validation_sources
from sartm_core.fit_confidence.fit import fit_file
from sartm_core.support.cli import INTERRUPTED, add_config_options, build_config, new_parser, parse, words
from sartm_core.support.fields import to_dict
from sartm_core.support.files import write_json, write_text
from sartm_core.train.checkpoints import LastCheckpoint, SlimCheckpointIO, Stopped
from sartm_core.train.config import TrainConfig
from sartm_core.train.dry_report import as_dict, report
from sartm_core.train.dry_run import FEWEST_STEPS, dry_run
from sartm_core.train.errors import TrainingError
from sartm_core.train.loading import EpochBatches
from sartm_core.train.loggers import close, loggers_of
from sartm_core.train.module import LitSARTM
from sartm_core.train.ranks import CollapseAlarm
from sartm_core.train.records import BestWeights, History, shareable
from sartm_core.train.setup import check_output, data_classes, prepare, quieten, rank_and_world, trainer_settings

PROGRESS_EVERY = 5
"""Steps between two updates of the progress bar."""
OUT_OF_MEMORY = (
    "memory is full. --trainer.activation_checkpointing true may be added to this run; --trainer.accumulate 2 (up "
    "to batch_size), a smaller --trainer.batch_size or --data.crop_size, or --trainer.precision bf16-mixed need a new "
    "--output. --dry-run tells what fits"
)
CPU_IS_FULL = "can't allocate memory"
"""Of torch's message."""
DRY_RUN, FIRST_BATCH = "dry_run.json", "first_batch.png"
"""What `--dry-run` leaves in `--output`."""
SPLITS_TO_SELECT_ON = ("val", "test")
SHORT = {"data": "data.root", "logger": "trainer.logger"}
"""Short options -> the fields they are."""


def fit(config: TrainConfig, output: Path) -> dict[str, Any]:
    """Train (or resume) a run; returns the content of its `metrics.json`.

    Raises ValueError or FileNotFoundError for a configuration or data that cannot work, TrainingError when training
    cannot go on (full disk, loss not finite), Stopped after Ctrl-C.
    """
    output.mkdir(parents=True, exist_ok=True)
    config = data_classes(config)
    check_output(config, output)
    last = output / "checkpoints" / "last.ckpt"
    run = prepare(config, last)
    module, train_loader, val_loaders, resume = run.module, run.train_loader, list(run.val_loaders.values()), run.resume
    own = seen_in_run(train_loader.dataset, [loader.dataset for loader in val_loaders])
    module.model.info = replace(module.model.info, seen=joined(own, module.model.info.seen))
    if resume is not None:
        batches = train_loader.batch_sampler
        assert isinstance(batches, EpochBatches)
        batches.resume(resume.epoch, resume.start)
    rank, world = rank_and_world()
    if rank == 0:
        write_text(output / "config.yaml", yaml.safe_dump(to_dict(config), sort_keys=False))
    best, checkpoints = BestWeights(output, config, run.learnt), LastCheckpoint(last, config.trainer.checkpoint_every)
    trainer = build_trainer(config, output, module, best, checkpoints)
    # Processes would not stop at the same step, so with several of them Ctrl-C works as usual.
    with checkpoints.stopping_on_ctrl_c() if world == 1 else contextlib.nullcontext():
        trainer.fit(module, train_loader, val_loaders, ckpt_path=resume and str(resume.path), weights_only=True)
        if module.validated_step < trainer.global_step:  # the end lies between two validations
            trainer.validate(module, val_loaders, verbose=False)
    close(trainer.loggers)
    return finish(config, output, best) if trainer.is_global_zero else {}


def finish(config: TrainConfig, output: Path, best: BestWeights) -> dict[str, Any]:
    """Fit the confidence of the best weights; returns what `metrics.json` then says, {} when nothing was validated."""
    metrics = best.finish()
    if not config.trainer.fit_confidence or not metrics or "confidence" in metrics:
        return metrics
    weights, device = output / "weights.safetensors", "cpu" if config.trainer.accelerator == "cpu" else "auto"
    confidence = fit_file(weights, validation_sources(config.data), weights, device, config.sam2)
    return best.finish({"confidence": to_dict(confidence)})


def build_trainer(
    config: TrainConfig, output: Path, module: LitSARTM, best: BestWeights, checkpoints: LastCheckpoint
) -> L.Trainer:
    """Lightning's loop with our callbacks."""
    # BestWeights stands before the averaging callback: it sees the averaged weights before they are swapped back.
    callbacks: list[Callback] = [CollapseAlarm(), best, History(output), TQDMProgressBar(refresh_rate=PROGRESS_EVERY)]
    if config.optim.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=config.optim.ema_decay))
    callbacks.append(checkpoints)
    return L.Trainer(
        **trainer_settings(config),
        max_epochs=config.trainer.max_epochs,
        max_steps=config.trainer.max_steps,
        check_val_every_n_epoch=config.trainer.val_every,
        log_every_n_steps=10,
        callbacks=callbacks,
        plugins=[SlimCheckpointIO(module)],
        logger=loggers_of(config.trainer.logger, output, shareable(config)),
        enable_checkpointing=True,
        default_root_dir=output,
    )


def rehearse(config: TrainConfig, steps: int, output: Path | None, record: Path | None) -> None:
    """`--dry-run`: measure, say so, and write numbers and the first batch into `output`, numbers also as `record`."""
    if output:
        check_output(data_classes(config), output)
    is_first = rank_and_world()[0] == 0
    picture = output / FIRST_BATCH if output and is_first else None
    found = dry_run(config, steps, picture)
    if not is_first:
        return
    print(report(found, config), end="")
    for path in filter(None, (output and output / DRY_RUN, record)):
        write_json(path, as_dict(found, config))
    if picture:
        print(f"picture  {picture}: the first batch; numbers: {DRY_RUN}")


def out_of_memory(error: Exception) -> bool:
    """Whether a GPU or the machine is full; on a CPU torch raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or CPU_IS_FULL in str(error)


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
        f"ranks; leaves {DRY_RUN} and {FIRST_BATCH} in --output, which may be left out",
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
    quieten()
    metrics: dict[str, Any] = {}
    try:
        config = build_config(TrainConfig, args)
        if args.dry_run is None:
            metrics = fit(config, args.output)
        else:
            rehearse(config, args.dry_run, args.output, args.json)
    except (ValueError, FileNotFoundError, TrainingError, MisconfigurationException) as error:
        parser.exit(2, f"train: {last_line(error)}\n")
    except Stopped as error:
        parser.exit(INTERRUPTED, f"train: {error}\n")
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        parser.exit(2, f"train: {last_line(error)}\ntrain: {OUT_OF_MEMORY}\n")
    except KeyboardInterrupt:
        parser.exit(INTERRUPTED, "train: stopped; the same command goes on from the last checkpoint\n")
    except OSError as error:
        parser.exit(2, f"train: --output {args.output}: {error}. Nothing before it is lost; the same command goes on\n")
    if metrics:
        print(json.dumps(metrics, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
