"""The collapse alarm: in how many directions the encoder's features and F~n vary, measured at every validation.

    effective rank = exp(H(p)),  p = eigenvalues of the covariance over pixels, scaled to sum 1    (Roy & Vetterli 2007)

It is the number of channels when all vary alike and independently, 1 when every pixel's features lie on one line.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from sartm_core.model.config import MODALITIES
from sartm_core.model.sartm import SARTM, SARTMOutput

log = logging.getLogger(__name__)

LEAST = 3.0
"""An effective rank below this is an alarm."""
FRAMES = 4
"""Frames that are looked at, of each validation set; its first ones."""
PIXELS = 1024
"""Most pixels of one frame, spread evenly."""
FEWEST_PIXELS = 32
"""With fewer pixels in all there is no alarm: N pixels cannot vary in more than N - 1 directions."""
NOISE = 1e-6
"""Features that deviate from their mean by less than this part of their size are constant but for rounding."""
FUSED = "fused"


def effective_rank(features: Tensor) -> float:
    """(N, C) -> 1..C; 0 where nothing varies, NaN where a value is not finite."""
    raw = features.detach().double()
    x = raw - raw.mean(0)
    if not x.isfinite().all():
        return math.nan
    if x.norm() <= NOISE * raw.norm():
        return 0.0
    values = torch.linalg.eigvalsh(x.T @ x).clamp(min=0)  # (C,)
    return float(torch.special.entr(values / values.sum()).sum().exp())


class Features:
    """Features of some pixels by name: `rgb/stride_4` ... `thermal/stride_32` of the encoder's trunk, `fused` of F~n.

    with features.watching(model): model(rgb, thermal)
    """

    def __init__(self) -> None:
        self.parts: dict[str, list[Tensor]] = {}
        self.frames = 0  # that the model was called with

    @contextmanager
    def watching(self, model: SARTM) -> Iterator[None]:
        """While open, every forward pass adds its pixels."""
        keep: list[Tensor | None] = [None]  # (B, 2) bool of the call under way: False where a frame lacks a modality

        def before_model(model: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
            keep[0] = inspect.signature(SARTM.forward).bind(model, *args, **options).arguments.get("keep")

        def from_trunk(trunk: nn.Module, inputs: tuple[Tensor, ...], stages: Any) -> None:
            present = model.encoder.active.indices  # of this call: all modalities in one batch, or one of them
            for stage in stages:  # (M * B, C, h, w)
                stride = round(inputs[0].shape[-1] / stage.shape[-1])
                for m, part in zip(present, stage.chunk(len(present)), strict=True):
                    self.add(f"{MODALITIES[m]}/stride_{stride}", part if keep[0] is None else part[keep[0][:, m]])

        def from_model(model: nn.Module, inputs: Any, out: SARTMOutput) -> None:
            self.add(FUSED, out.fused)
            self.frames += len(out.fused)

        with ExitStack() as hooks:
            hooks.callback(model.register_forward_pre_hook(before_model, with_kwargs=True).remove)
            hooks.callback(model.encoder.trunk.register_forward_hook(from_trunk).remove)
            hooks.callback(model.register_forward_hook(from_model).remove)
            yield

    def add(self, name: str, maps: Tensor) -> None:
        """Some pixels of (B, C, h, w)."""
        if not len(maps):
            return
        flat = maps.detach().flatten(2)  # (B, C, h * w)
        places = torch.linspace(0, flat.shape[2] - 1, min(PIXELS, flat.shape[2])).round().long().to(flat.device)
        self.parts.setdefault(name, []).append(flat[:, :, places].transpose(1, 2).flatten(0, 1))  # (B * N, C)

    def ranks(self) -> dict[str, float]:
        """Effective rank by name, the encoder's stages before F~n."""
        return {name: effective_rank(torch.cat(self.parts[name])) for name in sorted(self.parts, key=order)}

    def collapsed(self, ranks: dict[str, float]) -> dict[str, str]:
        """What is below `LEAST`: name -> the value, in words."""
        sizes = {name: (sum(map(len, parts)), parts[0].shape[1]) for name, parts in self.parts.items()}
        return {
            name: f"{rank:.1f} of {sizes[name][1]} channels"
            for name, rank in ranks.items()
            if sizes[name][0] >= FEWEST_PIXELS and not rank >= LEAST  # NaN too
        }


def order(name: str) -> tuple[int, str, int]:
    """By modality and stride, F~n last."""
    modality, _, stride = name.partition("/stride_")
    return (name == FUSED, modality, int(stride or 0))


def warn(collapsed: dict[str, str]) -> None:
    """Name each and say what to do."""
    if collapsed:
        log.warning(
            "the features have collapsed: effective rank %s (below %g). Almost all pixels look alike there, so nothing "
            "behind can tell classes apart, and longer training does not bring it back. Start from pretrained weights "
            "(--sam2, --model.pretrained or --init of a file whose ranks are sound), lower --optim.lr or lengthen "
            "--optim.warmup_ratio; see docs/training.md, Collapse",
            ", ".join(f"{name} {value}" for name, value in collapsed.items()), LEAST,
        )  # fmt: skip


class CollapseAlarm(Callback):
    """Measures the ranks at every validation, logs them and leaves them in `LitSARTM.ranks`. Stands before
    `BestWeights`, which writes them. Of several processes each measures its own frames, the first one's count."""

    def __init__(self) -> None:
        self.features = Features()
        self.watched = ExitStack()  # open while a batch is watched
        self.before = 0  # frames watched before the validation set at hand

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.features = Features()

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx == 0:
            self.before = self.features.frames
        if self.features.frames - self.before < FRAMES:
            self.watched.enter_context(self.features.watching(pl_module.model))  # type: ignore[arg-type]

    def on_validation_batch_end(self, *args: Any) -> None:
        self.watched.close()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        ranks = self.features.ranks()
        pl_module.ranks = {name: round(rank, 3) for name, rank in ranks.items()}  # type: ignore[assignment]
        for name, rank in ranks.items():
            pl_module.log(f"ranks/{name}", rank, rank_zero_only=True)
        if trainer.is_global_zero:
            warn(self.features.collapsed(ranks))
        self.features = Features()
