"""Train SARTM.

    sartm train --config config/train/synthetic.yaml --output runs/synthetic
    sartm train --config config/train/mfnet.yaml --data DIR --output runs/mfnet
    torchrun --nproc-per-node 4 -m sartm_core.train --config ...          # several GPUs, the same result

Run the same command again to resume, also after a crash: the run goes on from its last checkpoint as if it had never
stopped. `--output` receives `weights.safetensors` (best validation mIoU so far), `metrics.json`, `config.yaml` (the
resolved configuration), `history.jsonl` (losses and scores by epoch), `prototypes/`, `checkpoints/` (to resume) and
TensorBoard logs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor

from sartm_core.data.seen import joined, seen_in_run
from sartm_core.data.sources import validation_sources
from sartm_core.fit_confidence.fit import fit_file
from sartm_core.losses.teachers.text import text_embeddings
from sartm_core.support.cli import INTERRUPTED, add_config_options, build_config, new_parser, parse
from sartm_core.support.distributed import sync_batchnorm
from sartm_core.support.fields import to_dict
from sartm_core.support.files import write_text
from sartm_core.train.checkpoints import LastCheckpoint, ResumePoint, SlimCheckpointIO, Stopped, resume_point
from sartm_core.train.config import TrainConfig
from sartm_core.train.loading import EpochBatches, training_loader, validation_loaders
from sartm_core.train.module import LitSARTM, TrainingError
from sartm_core.train.ranks import CollapseAlarm
from sartm_core.train.records import BestWeights, History
from sartm_core.train.setup import check_output, data_classes
from sartm_core.train.start import build_model

log = logging.getLogger(__name__)

PROGRESS_EVERY = 5
"""Steps between two updates of the progress bar."""
OUT_OF_MEMORY = (
    "the GPU is full. --trainer.activation_checkpointing true may be added to this run; --trainer.accumulate 2 or "
    "--trainer.precision bf16-mixed need a new --output. python -m sartm_core.footprint tells what fits"
)
SPLITS_TO_SELECT_ON = ("val", "test")


def fit(config: TrainConfig, output: Path) -> dict[str, Any]:
    """Train (or resume) a run; returns the content of its `metrics.json`.

    Raises ValueError or FileNotFoundError for a configuration or data that cannot work, TrainingError when training
    cannot go on (full disk, loss not finite), Stopped after Ctrl-C.
    """
    output.mkdir(parents=True, exist_ok=True)
    config = data_classes(config)
    check_output(config, output)
    check_precision(config)
    rank, world = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1)))
    check_compile(config, world)
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    L.seed_everything(config.seed, workers=True, verbose=False)
    val_loaders = validation_loaders(config, rank, world)
    train_loader = training_loader(config, rank, world)
    last = output / "checkpoints" / "last.ckpt"
    resume = resume_point(last)
    module = build_module(config, list(val_loaders), resume, world)
    own = seen_in_run(train_loader.dataset, [loader.dataset for loader in val_loaders.values()])
    module.model.info = replace(module.model.info, seen=joined(own, module.model.info.seen))
    if resume is not None:
        batches = train_loader.batch_sampler
        assert isinstance(batches, EpochBatches)
        batches.resume(resume.epoch, resume.start)
    if rank == 0:
        write_text(output / "config.yaml", yaml.safe_dump(to_dict(config), sort_keys=False))
    best, checkpoints = BestWeights(output, config), LastCheckpoint(last, config.trainer.checkpoint_every)
    trainer = build_trainer(config, output, module, best, checkpoints)
    # Processes would not stop at the same step, so with several of them Ctrl-C works as usual.
    with checkpoints.stopping_on_ctrl_c() if world == 1 else contextlib.nullcontext():
        trainer.fit(
            module, train_loader, list(val_loaders.values()), ckpt_path=resume and str(resume.path), weights_only=True
        )
        if module.validated_step < trainer.global_step:  # the end lies between two validations
            trainer.validate(module, list(val_loaders.values()), verbose=False)
    return finish(config, output, best) if trainer.is_global_zero else {}


def finish(config: TrainConfig, output: Path, best: BestWeights) -> dict[str, Any]:
    """Fit the confidence of the best weights; returns what `metrics.json` then says, {} when nothing was validated."""
    metrics = best.finish()
    if not config.trainer.fit_confidence or not metrics or "confidence" in metrics:
        return metrics
    weights, device = output / "weights.safetensors", "cpu" if config.trainer.accelerator == "cpu" else "auto"
    confidence = fit_file(weights, validation_sources(config.data), weights, device, config.sam2)
    return best.finish({"confidence": to_dict(confidence)})


def check_precision(config: TrainConfig) -> None:
    """Raise ValueError for fp16 without a GPU: Lightning would take bf16 without a word."""
    if config.trainer.precision == "16-mixed" and (
        config.trainer.accelerator == "cpu" or not torch.cuda.is_available()
    ):
        raise ValueError("TrainerConfig.precision: '16-mixed' needs a GPU; use bf16-mixed or 32-true on a CPU")


def check_compile(config: TrainConfig, world: int) -> None:
    """Raise ValueError for several processes: losses and batch statistics talk to the others in mid-forward."""
    if world > 1 and config.trainer.compile != "none":
        raise ValueError(
            f"TrainerConfig.compile: {config.trainer.compile!r} with {world} processes; it is for one. Give "
            "--trainer.compile none, or train in one process"
        )


def build_module(config: TrainConfig, val_names: list[str], resume: ResumePoint | None, world: int) -> LitSARTM:
    """The network with its objective. A resumed run has the teacher's embeddings in its checkpoint."""
    model = build_model(config)
    if world > 1:
        sync_batchnorm(model)
    text: Tensor | None = resume.text if resume else text_embeddings(config.loss, config.model.classes)
    return LitSARTM(model, config, val_names, text)


def build_trainer(
    config: TrainConfig, output: Path, module: LitSARTM, best: BestWeights, checkpoints: LastCheckpoint
) -> L.Trainer:
    """Lightning's loop with our callbacks; under torchrun with all its processes."""
    # BestWeights stands before the averaging callback: it sees the averaged weights before they are swapped back.
    callbacks: list[Callback] = [CollapseAlarm(), best, History(output), TQDMProgressBar(refresh_rate=PROGRESS_EVERY)]
    if config.optim.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=config.optim.ema_decay))
    callbacks.append(checkpoints)
    settings = config.trainer
    world, local = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    return L.Trainer(
        accelerator=settings.accelerator,
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        use_distributed_sampler=False,  # EpochBatches deals the frames out itself
        precision=settings.precision,  # type: ignore[arg-type]
        max_epochs=settings.max_epochs,
        max_steps=settings.max_steps,
        check_val_every_n_epoch=settings.val_every,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=config.optim.clip_norm or None,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        callbacks=callbacks,
        plugins=[SlimCheckpointIO(module)],
        logger=TensorBoardLogger(output, name="tensorboard", version=""),
        enable_checkpointing=True,
        enable_model_summary=False,
        default_root_dir=output,
    )


def last_line(error: Exception) -> str:
    """An error's message; of one that comes with a loader process' traceback, its last line."""
    lines = str(error).strip().splitlines()
    return lines[-1].partition(": ")[2] if "Traceback" in str(error) else "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser("train", __doc__)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of the run; the same one resumes it"
    )
    parser.add_argument(
        "--select-on", choices=SPLITS_TO_SELECT_ON, dest="select_on",
        help="split that picks the best epoch, short for --data.val_split; test only to compare with papers that do so",
    )  # fmt: skip
    add_config_options(parser, TrainConfig)
    parser.add_argument("--data", dest="data.root", default=argparse.SUPPRESS, metavar="DIR", help="as --data.root")
    args = parse(parser, argv)
    if args.select_on:
        setattr(args, "data.val_split", args.select_on)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it advertises
    warnings.filterwarnings("ignore", module="lightning")  # hints about worker counts
    try:
        metrics = fit(build_config(TrainConfig, args), args.output)
    except (ValueError, FileNotFoundError, TrainingError, MisconfigurationException) as error:
        parser.exit(2, f"train: {last_line(error)}\n")
    except torch.OutOfMemoryError as error:
        parser.exit(2, f"train: {last_line(error)}\ntrain: {OUT_OF_MEMORY}\n")
    except KeyboardInterrupt:
        parser.exit(INTERRUPTED, "train: stopped; the same command goes on from the last checkpoint\n")
    except Stopped as error:
        parser.exit(INTERRUPTED, f"train: {error}\n")
    except OSError as error:
        parser.exit(2, f"train: --output {args.output}: {error}. Nothing before it is lost; the same command goes on\n")
    if metrics:
        print(json.dumps(metrics, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
