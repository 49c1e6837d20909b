"""A training run from its configuration to its last file, and the rehearsal of one."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from tqdm.contrib.logging import logging_redirect_tqdm

from sartm_core.data.seen import joined, seen_in_run
from sartm_core.data.sources import validation_sources
from sartm_core.fit_confidence.fit import fit_file
from sartm_core.support.fields import to_dict
from sartm_core.support.files import write_json, write_text
from sartm_core.train.checkpoints import LastCheckpoint, SlimCheckpointIO
from sartm_core.train.config import TrainConfig
from sartm_core.train.dry_report import as_dict, report
from sartm_core.train.dry_run import dry_run
from sartm_core.train.errors import TrainingError
from sartm_core.train.loading import EpochBatches
from sartm_core.train.loggers import close, loggers_of
from sartm_core.train.module import LitSARTM
from sartm_core.train.ranks import CollapseAlarm
from sartm_core.train.records import BestWeights, History, shareable
from sartm_core.train.setup import check_output, data_classes, prepare, quieten, rank_and_world, trainer_settings
from sartm_core.train.talk import Bar, Talk, beginning, ending

log = logging.getLogger(__name__)

DRY_RUN, FIRST_BATCH = "dry_run.json", "first_batch.png"
"""What `--dry-run` leaves in `--output`."""


def fit(config: TrainConfig, output: Path) -> dict[str, Any]:
    """Train (or resume) a run; returns the content of its `metrics.json`.

    Raises ValueError or FileNotFoundError for a configuration or data that cannot work, TrainingError when training
    cannot go on (full disk, loss not finite), Stopped after Ctrl-C.
    """
    quieten()
    config = data_classes(config)
    changed = check_output(config, output)
    last = output / "checkpoints" / "last.ckpt"
    run = prepare(config, last)
    output.mkdir(parents=True, exist_ok=True)  # a run that cannot begin leaves nothing behind
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
    if rank == 0:
        best.reopen()
        log.info(beginning(config, output, len(train_loader), resume, changed))
    # Processes would not stop at the same step, so with several of them Ctrl-C works as usual.
    stopping = checkpoints.stopping_on_ctrl_c() if world == 1 else contextlib.nullcontext()
    with stopping, logging_redirect_tqdm():
        trainer.fit(module, train_loader, val_loaders, ckpt_path=resume and str(resume.path), weights_only=True)
        if module.validated_step < trainer.global_step:  # the end lies between two validations
            trainer.validate(module, val_loaders, verbose=False)
    close(trainer.loggers)
    if not trainer.is_global_zero:
        return {}
    metrics = finish(config, output, best)
    log.info(ending(config, output, metrics))
    return metrics


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
    """Lightning's loop with our callbacks. TrainingError for what this machine cannot do."""
    # BestWeights stands before the averaging callback: it sees the averaged weights before they are swapped back.
    callbacks: list[Callback] = [CollapseAlarm(), best, Talk(output, best), History(output), Bar()]
    if config.optim.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=config.optim.ema_decay))
    callbacks.append(checkpoints)
    try:
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
    except MisconfigurationException as error:
        raise TrainingError(str(error)) from error


def rehearse(config: TrainConfig, steps: int, output: Path | None, record: Path | None) -> None:
    """`--dry-run`: measure, say so, and write numbers and the first batch into `output`, numbers also as `record`."""
    if output:
        check_output(data_classes(config), output)
    is_first = rank_and_world()[0] == 0
    picture = output / FIRST_BATCH if output and is_first else None
    if is_first:
        log.info("dry run of %d steps and a validation batch: some minutes on a CPU", steps)
    found = dry_run(config, steps, picture)
    if not is_first:
        return
    print(report(found, config), end="")
    for path in filter(None, (output and output / DRY_RUN, record)):
        write_json(path, as_dict(found, config))
    if picture:
        print(f"picture  {picture}: the first batch; numbers: {DRY_RUN}")
