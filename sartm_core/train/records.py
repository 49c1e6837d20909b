"""What a run leaves beside its checkpoints: best weights, `metrics.json`, `history.jsonl`, prototypes by epoch."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback

from sartm_core.model.checkpoint import save
from sartm_core.support.fields import to_dict
from sartm_core.support.files import write_text
from sartm_core.support.reports import versions
from sartm_core.train.config import TrainConfig
from sartm_core.train.module import LitSARTM, TrainingError, epoch_is_whole

VERSIONED = ("torch", "torchvision", "timm", "sam2", "lightning", "numpy", "pillow")
"""Packages whose versions a checkpoint's protocol holds."""


def shareable(config: TrainConfig) -> dict[str, Any]:
    """The configuration for a checkpoint's metadata: files and folders by name, without the paths of this machine."""
    values = to_dict(config)
    for key in ("root", "registration"):
        values["data"][key] = values["data"][key] and Path(values["data"][key]).name
    for source in values["data"]["sources"]:
        source["root"] = source["root"] and Path(source["root"]).name
    values["model"]["pretrained"] = config.model.pretrained and Path(config.model.pretrained).name
    values["loss"]["teacher_weights"] = Path(config.loss.teacher_weights).name
    for key in ("sam2", "init"):
        values[key] = values[key] and Path(values[key]).name
    return values


class BestWeights(Callback):
    """Writes `weights.safetensors` and `metrics.json` whenever the mean validation mIoU is the best so far; with
    `trainer.keep` last at every validation. `learnt`: how many validation frames also train, in words."""

    def __init__(self, output: Path, config: TrainConfig, learnt: str = "") -> None:
        self.output, self.config, self.learnt = output, config, learnt
        self.best = -1.0
        self.seconds, self.started = 0.0, time.monotonic()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, LitSARTM)
        pl_module.reduce_counts()
        scores = pl_module.scores()
        pl_module.log("val/miou", scores["miou"], prog_bar=True, rank_zero_only=True)
        for name in pl_module.val_names:
            pl_module.log(f"val/miou_{name}", scores[name]["miou"], rank_zero_only=True)
        if math.isnan(scores["miou"]):
            empty = [name for name in pl_module.val_names if math.isnan(scores[name]["miou"])]
            raise TrainingError(
                f"validation of {empty} saw no labelled pixel, so there is no score to choose weights by. Look at its "
                f"labels: sartm check-data (255 is ignored), or choose another --data.val_split"
            )
        if self.config.trainer.keep == "best" and scores["miou"] <= self.best:
            return
        self.best = max(self.best, scores["miou"])
        if not trainer.is_global_zero:
            return
        epoch = min(trainer.current_epoch + 1, self.config.trainer.max_epochs)
        progress = {"epoch": epoch, "step": trainer.global_step, "seconds": round(self.elapsed())}
        model = pl_module.model
        protocol = {
            "config": shareable(self.config),
            "selection": self.selection(pl_module.val_names),
            **progress,
            "versions": {"python": platform.python_version(), **versions(VERSIONED)},
        }
        model.info = replace(model.info, metrics=scores, protocol=protocol)
        save(model, self.output / "weights.safetensors")
        write_text(self.output / "metrics.json", to_json({**progress, "finished": False, **scores}))

    def selection(self, val_names: Sequence[str]) -> str:
        """How these weights were chosen, in words."""
        sets = f"{', '.join(val_names)} ({self.config.data.val_split})"
        picked = self.config.trainer.keep == "best"
        text = f"best mean mIoU of the epochs on: {sets}" if picked else f"none, the last weights; validated on: {sets}"
        return f"{text}; {self.learnt}" if self.learnt else text

    def reopen(self) -> None:
        """What an earlier, shorter run finished goes on: until it ends, the same command has something to do."""
        path = self.output / "metrics.json"
        if path.is_file():
            write_text(path, to_json({**json.loads(path.read_text()), "finished": False}))

    def finish(self, more: dict[str, Any] | None = None) -> dict[str, Any]:
        """Mark `metrics.json` as that of a finished run, with `more` in it; returns its content, {} when nothing was
        validated."""
        path = self.output / "metrics.json"
        if not path.is_file():
            return {}
        metrics = {
            **json.loads(path.read_text()),
            **(more or {}),
            "finished": True,
            "seconds_in_all": round(self.elapsed()),
        }
        write_text(path, to_json(metrics))
        return metrics

    def elapsed(self) -> float:
        """Seconds of training, those before a resume included."""
        return self.seconds + time.monotonic() - self.started

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "seconds": self.elapsed()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The file on disk may be newer than the checkpoint, and better: the last validation comes behind it."""
        path = self.output / "metrics.json"
        on_disk = json.loads(path.read_text())["miou"] if path.is_file() else -1.0
        self.best, self.seconds = max(state_dict["best"], on_disk), state_dict["seconds"]


class History(Callback):
    """One line an epoch in `history.jsonl`: means of the loss terms, scores; the class prototypes in `prototypes/`.

    All of it is part of the checkpoint, so that a resumed run writes what an uninterrupted one would have.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.rows: list[dict[str, Any]] = []
        self.sums: dict[str, float] = {}
        self.batches = 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        for name, value in outputs["values"].items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.batches += 1

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, LitSARTM)
        if not epoch_is_whole(trainer):
            return
        epoch = trainer.current_epoch + 1
        row = {"epoch": epoch, "step": trainer.global_step}
        row |= {name: total / max(1, self.batches) for name, total in self.sums.items()}
        if pl_module.validated_step == trainer.global_step:
            row |= pl_module.scores()
        self.rows.append(row)
        self.sums, self.batches = {}, 0
        if trainer.is_global_zero:
            write_text(self.output / "history.jsonl", "".join(json.dumps(r) + "\n" for r in self.rows))
            self.write_prototypes(pl_module, epoch)

    def write_prototypes(self, module: LitSARTM, epoch: int) -> None:
        """`prototypes/epoch_NNNN.npz`: bank (C, width), seen (C,), classes (C,) and, with a teacher, text (C, D)."""
        bank = module.objective
        arrays = {"bank": bank.bank, "seen": bank.seen > 0, **({} if bank.text is None else {"text": bank.text})}
        path = self.output / "prototypes" / f"epoch_{epoch:04}.npz"
        path.parent.mkdir(exist_ok=True)
        np.savez(path, classes=np.array(module.config.model.classes), **{k: v.cpu().numpy() for k, v in arrays.items()})

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "sums": self.sums, "batches": self.batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.sums, self.batches = (state_dict[key] for key in ("rows", "sums", "batches"))


def to_json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2) + "\n"
