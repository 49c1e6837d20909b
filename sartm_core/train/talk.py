"""What a run says: how it begins or goes on, a table at every validation, and where everything is at its end."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, TQDMProgressBar

from sartm_core.support.files import replacing
from sartm_core.train.checkpoints import ResumePoint
from sartm_core.train.config import TrainConfig
from sartm_core.train.records import BestWeights

log = logging.getLogger(__name__)

BAR_EVERY = 5
"""Steps between two updates of the progress bar."""
PICTURES = "pictures"
"""Folder of sample pictures below a run's."""
SMALLEST_CELL = 9
"""Characters of a column."""


class Bar(TQDMProgressBar):
    """Lightning's, whose epochs count from 0, with ours, which count from 1."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=BAR_EVERY)

    def on_train_epoch_start(self, trainer: L.Trainer, *args: Any) -> None:
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(f"Epoch {trainer.current_epoch + 1}")


class Talk(Callback):
    """Says the scores of every validation by class, and leaves its sample pictures: the last ones and the best ones'.

    Stands behind `BestWeights`, which knows whether these are the best so far.
    """

    def __init__(self, output: Path, best: BestWeights) -> None:
        self.output, self.best = output, best

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        config, scores = pl_module.config, pl_module.scores()
        is_best = scores["miou"] >= self.best.best
        epoch = min(trainer.current_epoch + 1, config.trainer.max_epochs)
        verdict = "the best so far" if is_best else f"best so far {self.best.best:.1%}"
        title = f"epoch {epoch} of {config.trainer.max_epochs}, step {trainer.global_step}: mIoU {scores['miou']:.1%}"
        log.info("%s, %s\n%s", title, verdict, table(scores, pl_module.val_names, config.model.classes))
        for name, sheet in pl_module.sheets.items():
            for kind in ("last", "best") if is_best else ("last",):
                path = self.output / PICTURES / f"{name}_{kind}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as temporary:
                    sheet.save(temporary, "PNG")


def table(scores: dict[str, Any], sets: Sequence[str], classes: Sequence[str]) -> str:
    """mIoU and IoU by class of each validation set, percent."""
    head = ["", "mIoU", *classes]
    rows = [[name, *map(percent, (scores[name]["miou"], *scores[name]["iou"].values()))] for name in sets]
    widths = [max(SMALLEST_CELL, *(len(row[i]) for row in (head, *rows))) for i in range(len(head))]
    lines = ("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in (head, *rows))
    return "\n".join(f"  {line}" for line in lines)


def percent(value: float | None) -> str:
    """Of a part of 1; `-` for a class that does not occur."""
    return "-" if value is None else f"{100 * value:.1f}"


def beginning(
    config: TrainConfig, output: Path, batches: int, resume: ResumePoint | None, changed: Sequence[str]
) -> str:
    """How a run begins, or where it goes on and with which options of its last run changed."""
    length = f"{config.trainer.max_epochs} epochs of {batches // config.trainer.accumulate} steps"
    if config.trainer.max_steps >= 0:
        length += f", {config.trainer.max_steps} steps at most"
    if resume is None:
        return f"{output}: starting, {length}"
    text = f"{output}: resuming in epoch {resume.epoch + 1}, {length}"
    try:
        metrics = json.loads((output / "metrics.json").read_text())
        text += f"; best so far mIoU {metrics['miou']:.1%} at epoch {metrics['epoch']}"
    except (OSError, ValueError, KeyError):
        text += "; nothing validated so far"
    return "\n  changed since the last run: ".join([text, *changed])


def ending(config: TrainConfig, output: Path, metrics: dict[str, Any]) -> str:
    """Where everything is, and what to do next."""
    if not metrics:
        return f"{output}: ended without a validation, so without weights"
    kept = "best" if config.trainer.keep == "best" else "last"
    minutes = metrics.get("seconds_in_all", metrics["seconds"]) / 60
    weights = output / "weights.safetensors"
    base = f" --sam2 {config.sam2}" if config.sam2 else ""
    data = f" --data {config.data.root}" if config.data.root and not config.data.sources else ""
    has_history = (output / "history.jsonl").is_file()  # of whole epochs
    return "\n".join([
        f"finished in {minutes:.0f} min; {kept} weights: epoch {metrics['epoch']}, mIoU {metrics['miou']:.1%}",
        f"  weights   {weights}",
        f"  scores    {output / 'metrics.json'}" + has_history * f", by epoch {output / 'history.jsonl'}",
        f"  pictures  {output / PICTURES}",
        "next",
        f"  sartm evaluate --checkpoint {weights}{base}{data} --output {output / 'evaluation'}",
        *[f"  sartm figures curves --run {output} --output {output / 'figures'}"] * has_history,
        f"  sartm predict --checkpoint {weights}{base} --rgb FILE --thermal FILE --output out",
        f"  sartm node --checkpoint {weights}{base}",
    ])  # fmt: skip
