"""Where curves and pictures of a run go: TensorBoard always, beside it what `trainer.logger` names.

Another one is a line in `LOGGERS`: anything Lightning can log to; with a method `log_image` it gets the pictures too.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sartm_core.support.files import write_text

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

PROJECT = "sartm"
"""Of Weights & Biases, unless WANDB_PROJECT names another."""
RUN_ID = "wandb_id.txt"
"""In the folder of the run: by it a resumed run goes on where it was."""
ID_DIGITS = 8


def loggers_of(names: Sequence[str], output: Path, settings: dict[str, Any]) -> list[Logger]:
    """TensorBoard and those of `LOGGERS` that are named; `settings`: the configuration, to be kept by them.

    ValueError names a package that is missing, or says what a service complains of.
    """
    from lightning.pytorch.loggers import TensorBoardLogger

    tensorboard = TensorBoardLogger(output, name="tensorboard", version="")
    return [tensorboard, *(LOGGERS[name](output, settings) for name in names)]


def wandb_logger(output: Path, settings: dict[str, Any]) -> Logger:
    """Weights & Biases; `WANDB_PROJECT`, `WANDB_ENTITY`, `WANDB_MODE=offline` and the like work as everywhere."""
    if find_spec("wandb") is None:
        raise ValueError('TrainerConfig.logger: wandb is not installed; pip install "sartm_ros[wandb]"')
    import wandb
    from lightning.pytorch.loggers import WandbLogger
    from lightning.pytorch.utilities import rank_zero_only

    project = os.environ.get("WANDB_PROJECT", PROJECT)
    logger = WandbLogger(name=output.name, save_dir=output, id=rank_zero_only(run_id)(output), project=project)
    try:
        logger.log_hyperparams(settings)  # begins the run, in the first process
    except wandb.Error as error:
        raise ValueError(f"TrainerConfig.logger: wandb: {error} (or WANDB_MODE=offline, `wandb sync` later)") from error
    return logger


def run_id(output: Path) -> str:
    """What W&B knows the run of this folder by."""
    path = output / RUN_ID
    if not path.is_file():
        write_text(path, uuid.uuid4().hex[:ID_DIGITS])
    return path.read_text(encoding="utf-8")


def show(loggers: Sequence[Logger], name: str, picture: np.ndarray, step: int) -> None:
    """Give a picture (H, W, 3) uint8 to all that take one."""
    from lightning.pytorch.loggers import TensorBoardLogger

    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, picture, step, dataformats="HWC")
        elif hasattr(logger, "log_image"):
            logger.log_image(name, [picture])


def close(loggers: Sequence[Logger]) -> None:
    """End what would else end with the process: a second run in it would go into the first one's."""
    from lightning.pytorch.loggers import WandbLogger

    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


LOGGERS: dict[str, Callable[[Path, dict[str, Any]], Logger]] = {"wandb": wandb_logger}
