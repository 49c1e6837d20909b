"""Train SARTM.

    python -m sartm_core.train --config config/train/synthetic.yaml --output runs/synthetic
    python -m sartm_core.train --config config/train/default.yaml --data.root DIR --output runs/default

Run the same command again to resume. `--output` receives `weights.safetensors` (best validation mIoU so far),
`metrics.json`, `config.yaml` (the resolved configuration), `checkpoints/` (to resume) and TensorBoard logs.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import yaml
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn

from sartm_core.checkpoint import load, save
from sartm_core.cli import add_config_options, build_config, parse
from sartm_core.config import ModelConfig, TrainConfig
from sartm_core.data.frames import Item
from sartm_core.data.loading import training_loader, validation_loaders
from sartm_core.fields import to_dict
from sartm_core.losses.ohem import SEGMENTATION_LOSSES, weights_tensor
from sartm_core.metrics import ConfusionMatrix
from sartm_core.model.sartm import SARTM, ModelInfo
from sartm_core.visualize import contact_sheet, overlay

log = logging.getLogger(__name__)

WARMUP_START = 0.1
"""The learning rate starts at this part of `optim.lr`."""
TRAINABLE_PARTS = ("train_encoder", "train_decoder_transformer")
"""Fields of `ModelConfig` that say what trains, not what the network is."""
PROGRESS_EVERY = 5
"""Steps between two updates of the progress bar."""
SHOWN_FRAMES = 4
"""Validation frames drawn into TensorBoard."""


class LitSARTM(L.LightningModule):
    """The training step, the validation step and the optimizer of a `SARTM`."""

    def __init__(self, model: SARTM, config: TrainConfig, val_names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.config, self.val_names = model, config, list(val_names)
        self.confusion = [ConfusionMatrix(config.model.num_classes) for _ in self.val_names]

    def training_step(self, batch: Item, batch_idx: int) -> Tensor:
        out = self.model(batch["rgb"], batch["thermal"], keep=self.draw_keep(len(batch["rgb"])))
        settings = self.config.loss
        segmentation = SEGMENTATION_LOSSES[settings.kind]
        weights = weights_tensor(settings.class_weights, out.logits)
        loss = settings.w0 * segmentation(out.logits, batch["label"], weights)
        if out.aux_logits is not None:
            loss = loss + settings.w1 * segmentation(out.aux_logits, batch["label"], weights)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def draw_keep(self, batch_size: int) -> Tensor:
        """(B, 2) bool: which modalities each sample keeps; never neither."""
        p = self.config.data.modality_dropout
        draw = torch.rand(batch_size)  # (B,)
        return torch.stack((draw >= p, (draw < p) | (draw >= 2 * p)), dim=1).to(self.device)  # (B, rgb|thermal)

    def on_validation_epoch_start(self) -> None:
        self.confusion = [ConfusionMatrix(self.config.model.num_classes) for _ in self.val_names]

    def validation_step(self, batch: Item, batch_idx: int, dataloader_idx: int = 0) -> None:
        size = (batch["label"].shape[-2], batch["label"].shape[-1])
        ids = self.model(batch["rgb"], batch["thermal"], size=size).logits.argmax(1)  # (B, H, W)
        self.confusion[dataloader_idx].update(ids.cpu().numpy(), batch["label"].cpu().numpy())
        if batch_idx == 0:
            self.draw(batch, ids, self.val_names[dataloader_idx])

    def draw(self, batch: Item, ids: Tensor, name: str) -> None:
        """The first frames of a validation set with truth and prediction, into TensorBoard."""
        if not isinstance(self.logger, TensorBoardLogger):
            return
        norm, palette = self.model.info.preprocess, self.config.model.palette or ()
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (norm.rgb_mean, norm.rgb_std))
        rows = []
        for rgb, label, guess in zip(batch["rgb"][:SHOWN_FRAMES].cpu(), batch["label"].cpu(), ids.cpu(), strict=False):
            picture = ((rgb * std + mean).clamp(0, 1) * 255).to(torch.uint8)[None]
            picture = nn.functional.interpolate(picture, label.shape)[0].permute(1, 2, 0).numpy()  # (H, W, 3)
            masks = (image.to(torch.uint8).numpy() for image in (label, guess))
            rows.append([picture, *(overlay(picture, mask, palette) for mask in masks)])
        sheet = torch.from_numpy(np.array(contact_sheet(rows, ("rgb", "truth", "prediction"))))
        self.logger.experiment.add_image(f"val/{name}", sheet, self.global_step, dataformats="HWC")

    def scores(self) -> dict[str, Any]:
        """mIoU of each validation set and their mean, with IoU by class."""
        classes = self.config.model.classes
        by_set = {
            name: {"miou": matrix.miou(), "iou": {c: number(v) for c, v in zip(classes, matrix.iou(), strict=True)}}
            for name, matrix in zip(self.val_names, self.confusion, strict=True)
        }
        return {"miou": sum(s["miou"] for s in by_set.values()) / len(by_set), **by_set}

    def configure_optimizers(self) -> Any:
        optim = self.config.optim
        trained = [p for p in self.model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": optim.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=optim.lr)
        total = max(1, int(self.trainer.estimated_stepping_batches))
        warmup = max(1, round(total * optim.warmup_ratio))

        def factor(step: int) -> float:
            if step < warmup:
                return WARMUP_START + (1 - WARMUP_START) * step / warmup
            return max(0.0, 1 - (step - warmup) / max(1, total - warmup)) ** optim.power

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def number(value: float) -> float | None:
    """A score for JSON: NaN (the class does not occur) becomes None."""
    return None if math.isnan(value) else float(value)


def shareable(config: TrainConfig) -> dict[str, Any]:
    """The configuration for a checkpoint's metadata: files and folders by name, without the paths of this machine."""
    values = to_dict(config)
    values["data"]["root"] = config.data.root and Path(config.data.root).name
    for key in ("sam2", "init"):
        values[key] = values[key] and Path(values[key]).name
    return values


class BestWeights(Callback):
    """Writes `weights.safetensors` and `metrics.json` whenever the mean validation mIoU is the best so far."""

    def __init__(self, output: Path, config: TrainConfig) -> None:
        self.output, self.config = output, config
        self.best, self.validated_step = -1.0, -1
        self.seconds, self.started = 0.0, time.monotonic()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, LitSARTM)
        scores = pl_module.scores()
        self.validated_step = trainer.global_step
        pl_module.log("val/miou", scores["miou"], prog_bar=True)
        for name in pl_module.val_names:
            pl_module.log(f"val/miou_{name}", scores[name]["miou"])
        if math.isnan(scores["miou"]) or scores["miou"] <= self.best:
            return
        self.best = scores["miou"]
        epoch = min(trainer.current_epoch + 1, self.config.trainer.max_epochs)
        progress = {"epoch": epoch, "step": trainer.global_step, "seconds": round(self.elapsed())}
        model = pl_module.model
        model.info = replace(model.info, metrics=scores, protocol={"config": shareable(self.config), **progress})
        save(model, self.output / "weights.safetensors")
        (self.output / "metrics.json").write_text(json.dumps({**progress, **scores}, indent=2) + "\n")

    def elapsed(self) -> float:
        """Seconds of training, those before a resume included."""
        return self.seconds + time.monotonic() - self.started

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "seconds": self.elapsed()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.seconds = state_dict["best"], state_dict["seconds"]


def build_model(config: TrainConfig) -> SARTM:
    """The network of a run with its starting weights."""
    model = SARTM(config.model)
    if config.init:
        start = load(config.init, config.sam2)
        check_same_network(config, start.config)
        model.load_state_dict(start.state_dict())
        # What was trained before and is frozen now does not come back from Meta's file: the result is a full one.
        frozen_now = any(getattr(start.config, part) and not getattr(config.model, part) for part in TRAINABLE_PARTS)
        model.info = ModelInfo() if frozen_now else start.info
    elif config.sam2:
        print(model.load_sam2(config.sam2), file=sys.stderr)
    model.info = ModelInfo(config.preprocess, base_name=model.info.base_name, base_sha256=model.info.base_sha256)
    return model.train()


def check_same_network(config: TrainConfig, other: ModelConfig) -> None:
    """Raise ValueError naming the fields in which the weights of `init` do not fit the run."""
    same = {part: getattr(config.model, part) for part in (*TRAINABLE_PARTS, "palette")}  # may differ
    if replace(other, **same) != config.model:
        mine, theirs = to_dict(config.model), to_dict(other)
        odd = {key: (theirs[key], mine[key]) for key in mine if key not in same and theirs[key] != mine[key]}
        raise ValueError(f"TrainConfig.init: {config.init} is another network, (file, run) differ in {odd}")


def fit(config: TrainConfig, output: Path) -> dict[str, Any]:
    """Train (or resume) a run; returns the content of its `metrics.json`."""
    output.mkdir(parents=True, exist_ok=True)
    check_output(config, output)
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    L.seed_everything(config.seed, workers=True, verbose=False)
    loaders = validation_loaders(config)
    train_loader = training_loader(config)
    module = LitSARTM(build_model(config), config, list(loaders))
    (output / "config.yaml").write_text(yaml.safe_dump(to_dict(config), sort_keys=False))
    # BestWeights stands before the averaging callback: it sees the averaged weights before they are swapped back.
    best = BestWeights(output, config)
    callbacks: list[Callback] = [best, TQDMProgressBar(refresh_rate=PROGRESS_EVERY)]
    if config.optim.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=config.optim.ema_decay))
    callbacks.append(
        ModelCheckpoint(
            output / "checkpoints",
            filename="last",
            enable_version_counter=False,
            save_on_train_epoch_end=True,  # every epoch, validated or not
        )
    )
    trainer = L.Trainer(
        accelerator=config.trainer.accelerator,
        devices=1,
        precision=config.trainer.precision,  # type: ignore[arg-type]
        max_epochs=config.trainer.max_epochs,
        max_steps=config.trainer.max_steps,
        check_val_every_n_epoch=config.trainer.val_every,
        gradient_clip_val=config.optim.clip_norm or None,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        callbacks=callbacks,
        logger=TensorBoardLogger(output, name="tensorboard", version=""),
        enable_model_summary=False,
        default_root_dir=output,
    )
    last = output / "checkpoints" / "last.ckpt"
    resume = str(last) if last.is_file() else None
    trainer.fit(module, train_loader, list(loaders.values()), ckpt_path=resume, weights_only=True)
    if best.validated_step < trainer.global_step:  # stopped by max_steps between two validations
        trainer.validate(module, list(loaders.values()), verbose=False)
    metrics = output / "metrics.json"
    return json.loads(metrics.read_text()) if metrics.is_file() else {}


def check_output(config: TrainConfig, output: Path) -> None:
    """Refuse to resume a run of another network, whose weights would not fit."""
    path = output / "config.yaml"
    if path.is_file() and (output / "checkpoints").is_dir():
        before = yaml.safe_load(path.read_text()).get("model")
        if before != to_dict(config)["model"]:
            raise ValueError(f"--output {output}: holds a run with another model section ({path}); choose a new folder")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m sartm_core.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of the run; the same one resumes it"
    )
    add_config_options(parser, TrainConfig)
    args = parse(parser, argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    warnings.filterwarnings("ignore", module="lightning")  # hints about worker counts
    try:
        metrics = fit(build_config(TrainConfig, args), args.output)
    except (ValueError, FileNotFoundError) as error:
        parser.exit(2, f"train: {error}\n")
    print(json.dumps(metrics, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
