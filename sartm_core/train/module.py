"""The training step, the validation step and the optimizer of a `SARTM`, for Lightning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sartm_core.evaluate.metrics import ConfusionMatrix
from sartm_core.losses.objective import Objective
from sartm_core.model.config import MODALITIES
from sartm_core.model.sartm import SARTM
from sartm_core.support.distributed import all_sum, world_size
from sartm_core.support.reports import number
from sartm_core.support.visualize import contact_sheet, legend_of, overlay
from sartm_core.train.compiling import compiled
from sartm_core.train.config import OptimConfig, TrainConfig
from sartm_core.train.errors import TrainingError
from sartm_core.train.frames import Item
from sartm_core.train.loggers import show
from sartm_core.train.pictures import SHOWN_FRAMES, colors

SHARES_EVERY = 10
"""Steps from one look at the gradient shares to the next; a multiple of the trainer's `log_every_n_steps`. A look costs
the backward pass of decoder and auxiliary head once more."""
WARMUP_START = 0.1
"""The learning rate starts at this part of `optim.lr`."""
TRUNK = "model.encoder.trunk."
"""Where the names of the trunk's parameters begin."""


class LitSARTM(L.LightningModule):
    """A `SARTM` with its objective. `text` (C, D): the class names' embeddings, None without a teacher."""

    def __init__(self, model: SARTM, config: TrainConfig, val_names: Sequence[str], text: Tensor | None = None) -> None:
        super().__init__()
        self.model, self.config, self.val_names = model, config, list(val_names)
        self.objective = Objective(config.loss, config.model.num_classes, model.encoder.width, text)
        self.confusion = [ConfusionMatrix(config.model.num_classes) for _ in self.val_names]
        self.sheets: dict[str, Image.Image] = {}  # sample pictures of the last validation, by its set
        self.ranks: dict[str, float] = {}  # of the last validation, by `training.ranks.CollapseAlarm`
        self.validated_step = -1  # optimizer steps behind the scores in `confusion`
        self.compiled = compiled(model, config.trainer.compile)

    def training_step(self, batch: Item, batch_idx: int) -> dict[str, Any]:
        forward = self.compiled or self.model  # validation has other sizes and is never compiled
        out = forward(batch["rgb"], batch["thermal"], keep=batch["keep"])
        measure = (self.global_step + 1) % SHARES_EVERY == 0 and self.compiled is None
        terms = self.objective(out, batch["label"], measure)
        values = all_mean(terms)
        if not math.isfinite(values["loss"]):
            raise TrainingError(
                f"the loss is not finite at step {self.global_step}: {values}, frames {batch['name']}. "
                "Nothing was saved from this step: lower --optim.lr, or check these "
                "frames with sartm_core.check_data; the same command then goes on from the last checkpoint"
            )
        self.log_dict({f"train/{name}": value for name, value in values.items() if name != "loss"})
        self.log("train/loss", values["loss"], prog_bar=True)
        return {"loss": terms["loss"], "values": values}

    def on_validation_epoch_start(self) -> None:
        self.confusion = [ConfusionMatrix(self.config.model.num_classes) for _ in self.val_names]

    def validation_step(self, batches: list[Item], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Count one batch, which comes in parts of equal sizes."""
        for part, batch in enumerate(batches):
            ids = self.validate(batch, self.confusion[dataloader_idx])
            if batch_idx == part == 0:
                self.draw(batch, ids, self.val_names[dataloader_idx])

    def validate(self, batch: Item, confusion: ConfusionMatrix) -> Tensor:
        """Class ids (B, H, W) of a batch at its labels' size, which are counted."""
        size = (batch["label"].shape[-2], batch["label"].shape[-1])
        rgb, thermal, keep = cameras(batch)
        ids = self.model(rgb, thermal, keep, size).logits.argmax(1)  # (B, H, W)
        confusion.update(ids.cpu().numpy(), batch["label"].cpu().numpy())
        return ids

    def draw(self, batch: Item, ids: Tensor, name: str) -> None:
        """The first frames of a validation set with truth and prediction, for people and for the loggers."""
        if not self.trainer.is_global_zero:
            return
        norm, palette = self.model.info.preprocess, self.config.model.palette or ()
        rows = []
        for rgb, label, guess in zip(batch["rgb"][:SHOWN_FRAMES].cpu(), batch["label"].cpu(), ids.cpu(), strict=False):
            picture = colors(nn.functional.interpolate(rgb[None], label.shape)[0], norm)  # (H, W, 3)
            masks = (image.to(torch.uint8).numpy() for image in (label, guess))
            rows.append([picture, *(overlay(picture, mask, palette) for mask in masks)])
        legend = legend_of(self.config.model.classes, palette)
        self.sheets[name] = contact_sheet(rows, ("rgb", "truth", "prediction"), batch["name"], legend)
        show(self.loggers, f"val/{name}", np.array(self.sheets[name]), self.global_step)

    def reduce_counts(self) -> None:
        """Every process has counted its own frames: add them up, once, when validation ends."""
        self.validated_step = self.global_step
        if self.trainer.world_size > 1:
            for matrix in self.confusion:
                counts = torch.from_numpy(matrix.counts).to(self.device)
                torch.distributed.all_reduce(counts)
                matrix.counts = counts.cpu().numpy()

    def scores(self) -> dict[str, Any]:
        """mIoU of each validation set and their mean; by set also mean accuracy, mean F1 and IoU by class; ranks."""
        classes = self.config.model.classes
        by_set = {}
        for name, matrix in zip(self.val_names, self.confusion, strict=True):
            iou = {c: number(v) for c, v in zip(classes, matrix.iou(), strict=True)}
            means = {"macc": number(matrix.macc()), "mf1": number(matrix.mf1())}
            by_set[name] = {"miou": matrix.miou(), **means, "iou": iou}
        ranks = {name: number(rank) for name, rank in self.ranks.items()}
        return {"miou": sum(s["miou"] for s in by_set.values()) / len(by_set), **by_set, "ranks": ranks}

    def configure_optimizers(self) -> Any:
        optim = self.config.optim
        fused = self.config.trainer.precision == "32-true"  # of mixed ones Lightning cannot clip the gradients then
        optimizer = torch.optim.AdamW(param_groups(self, optim), lr=optim.lr, fused=fused)
        total = max(1, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_factor(step, total, optim))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """A resumed run takes rate, decay and length from its configuration, which may have changed since."""
        schedule = self.lr_schedulers()
        assert isinstance(schedule, torch.optim.lr_scheduler.LambdaLR)
        wanted = param_groups(self, self.config.optim)
        schedule.base_lrs = [group["lr"] for group in wanted]
        for group, want, factor in zip(schedule.optimizer.param_groups, wanted, schedule.lr_lambdas, strict=True):
            group["initial_lr"], group["lr"] = want["lr"], want["lr"] * factor(schedule.last_epoch)
            group["weight_decay"] = want["weight_decay"]


def param_groups(module: LitSARTM, optim: OptimConfig) -> list[dict[str, Any]]:
    """What trains, for AdamW: the trunk's own weights at `encoder_lr`, vectors (norms, biases) without decay."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            is_trunk = name.startswith(TRUNK) and ".lora_" not in name
            groups.setdefault((is_trunk, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": optim.lr * (optim.encoder_lr if is_trunk else 1.0),
            "weight_decay": optim.weight_decay if decays else 0.0,
        }
        for (is_trunk, decays), parameters in sorted(groups.items(), reverse=True)
    ]


def cameras(batch: Item) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """(rgb, thermal, keep) for the model: None for a camera that no frame has, and for `keep` where all have the
    same."""
    keep = batch["keep"]  # (B, 2)
    rgb, thermal = (batch[name] if keep[:, m].any() else None for m, name in enumerate(MODALITIES))
    return rgb, thermal, None if (keep == keep[:1]).all() else keep


def epoch_is_whole(trainer: L.Trainer) -> bool:
    """Whether all batches of the epoch were seen; `max_steps` may end one in its middle."""
    return trainer.fit_loop.epoch_loop.batch_progress.current.ready == trainer.num_training_batches


def lr_factor(step: int, total: int, optim: OptimConfig) -> float:
    """Part of `optim.lr` at an optimizer step: linear warm-up from a tenth, then polynomial decay to 0 at `total`."""
    warmup = max(1, round(total * optim.warmup_ratio))
    if step < warmup:
        return WARMUP_START + (1 - WARMUP_START) * step / warmup
    return max(0.0, 1 - (step - warmup) / max(1, total - warmup)) ** optim.power


def all_mean(terms: dict[str, Tensor]) -> dict[str, float]:
    """Values of scalar terms for the whole batch: the mean over all processes."""
    stacked = all_sum(torch.stack([term.detach() for term in terms.values()])) / world_size()
    return dict(zip(terms, stacked.tolist(), strict=True))
