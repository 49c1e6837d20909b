"""A training run's configuration: frozen dataclasses, one docstring line per field, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, field

from sartm_core.data.config import DataConfig
from sartm_core.losses.config import LossConfig
from sartm_core.model.config import SAM2_BACKBONES, ModelConfig
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.support.fields import at_least, one_of
from sartm_core.train.loggers import LOGGERS

COMPILERS = ("none", "inductor", "eager")
KEEPS = ("best", "last")
FEWEST_STEPS = 2
"""Of a dry run: the first one is not timed."""
MAY_CHANGE = {
    "sam2", "init",  # the checkpoint knows its SAM2 file by content
    "data.root", "data.workers", "data.cache", "data.cache_mb",
    "loss.teacher_weights",  # the embeddings are in the checkpoint
    "optim.lr", "optim.encoder_lr", "optim.weight_decay", "optim.warmup_ratio", "optim.power", "optim.clip_norm",
    *(f"trainer.{name}" for name in (
        "max_epochs", "max_steps", "val_batch_size", "val_every", "checkpoint_every", "threads", "accelerator",
        "activation_checkpointing", "compile", "fit_confidence", "logger",
    )),
}  # fmt: skip
"""Fields that a run may go on with changed; files may have moved."""


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with warm-up and polynomial decay, counted in optimizer steps."""

    lr: float = 1e-4
    """Learning rate after the warm-up."""
    encoder_lr: float = 1.0
    """Learning rate of the trunk's own weights where they train, as part of `lr`; pretrained ones want less."""
    weight_decay: float = 0.01
    """AdamW weight decay."""
    warmup_ratio: float = 0.02
    """Part of all steps that the learning rate takes to rise, from a tenth."""
    power: float = 0.9
    """Exponent of the polynomial decay."""
    clip_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 for never."""
    ema_decay: float = 0.0
    """Exponential moving average of the weights, used for validation and the saved file; 0 for none."""

    def __post_init__(self) -> None:
        for name in ("lr", "encoder_lr", "weight_decay", "warmup_ratio", "power", "clip_norm"):
            at_least("OptimConfig", name, getattr(self, name), 0)
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"OptimConfig.ema_decay: got {self.ema_decay}, expected 0..1 (below 1)")


@dataclass(frozen=True)
class TrainerConfig:
    """Length, precision and machine."""

    max_epochs: int = 20
    """Passes over the training set."""
    max_steps: int = -1
    """Stop after this many optimizer steps; -1 for no limit."""
    batch_size: int = 8
    """Frames per optimizer step, over all processes and micro-batches together."""
    accumulate: int = 1
    """Micro-batches per optimizer step: the same step in less memory (losses then see one micro-batch at a time)."""
    val_batch_size: int = 4
    """Frames per validation step."""
    precision: str = "32-true"
    """Lightning precision: `32-true`, `bf16-mixed`, `16-mixed`."""
    accelerator: str = "auto"
    """`auto`, `cpu` or `gpu`."""
    threads: int = 0
    """CPU threads of torch; 0 leaves torch's own choice."""
    val_every: int = 1
    """Validate after every this many epochs."""
    keep: str = "best"
    """Which weights the run leaves: `best` of the validations, or the `last`, for a run whose validation frames also
    train (`data.train_split train+val`): scores on those pick nothing."""
    checkpoint_every: int = 0
    """Write `checkpoints/last.ckpt` also after every this many optimizer steps; 0: after every epoch only."""
    fit_confidence: bool = True
    """At the end, fit temperature and class bias of the best weights on the validation sets, so that confidences can be
    believed (docs/evaluation.md)."""
    activation_checkpointing: bool = False
    """Recompute the encoder's activations in the backward pass: less memory, a third more operations."""
    compile: str = "none"
    """torch.compile of the training forward and backward pass: `inductor` compiles (minutes at the start, wants a C++
    compiler or Triton), `eager` only traces it, in seconds, to tell whose fault a failure is; `none`."""
    logger: tuple[str, ...] = ()
    """Where curves and pictures go beside TensorBoard: `wandb`, Weights & Biases."""

    def __post_init__(self) -> None:
        for name in ("max_epochs", "batch_size", "accumulate", "val_batch_size", "val_every"):
            at_least("TrainerConfig", name, getattr(self, name), 1)
        at_least("TrainerConfig", "max_steps", self.max_steps, -1)
        at_least("TrainerConfig", "threads", self.threads, 0)
        at_least("TrainerConfig", "checkpoint_every", self.checkpoint_every, 0)
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"TrainerConfig.batch_size: got {self.batch_size}, not a multiple of accumulate {self.accumulate}"
            )
        one_of("TrainerConfig", "precision", self.precision, ("32-true", "bf16-mixed", "16-mixed"))
        one_of("TrainerConfig", "accelerator", self.accelerator, ("auto", "cpu", "gpu"))
        one_of("TrainerConfig", "compile", self.compile, COMPILERS)
        for name in self.logger:
            one_of("TrainerConfig", "logger", name, tuple(LOGGERS))
        one_of("TrainerConfig", "keep", self.keep, KEEPS)


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The network."""
    sam2: str | None = None
    """Official SAM2 file to start from, as Meta ships it (`sam2.1_hiera_base_plus.pt`); not for `hiera_nano`."""
    init: str | None = None
    """SARTM `.safetensors` to start from instead, `default` for the shipped one, or `hf:OWNER/NAME`."""
    init_as_base: bool = False
    """Take from `init` only what an official SAM2 file would give, its encoder and mask decoder; adapters, fusion,
    classes and heads start fresh, so they may be others."""
    init_other_classes: bool = False
    """Take all of `init`, though the run has other classes: those of the same name keep what they learnt, others start
    fresh."""
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    """Input size and normalisation, stored with the weights."""
    data: DataConfig = field(default_factory=DataConfig)
    """Frames and augmentation."""
    loss: LossConfig = field(default_factory=LossConfig)
    """Objective."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimizer."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """Length, precision, machine."""
    seed: int = 0
    """Seed of weights, data order and augmentation."""

    def __post_init__(self) -> None:
        weights = self.loss.class_weights
        if weights is not None and len(weights) != self.model.num_classes:
            raise ValueError(
                f"LossConfig.class_weights: got {len(weights)}, expected {self.model.num_classes} (one a class)"
            )
        if not (self.model.train_encoder or self.model.pretrained or self.sam2 or self.init):
            raise ValueError(
                f"TrainConfig.sam2: not set, and the frozen encoder of {self.model.backbone!r} would stay random. "
                "Give Meta's file (--sam2 FILE.pt; for timm: --model.pretrained FILE), or --init FILE, or train it "
                "whole (--model.train_encoder true)"
            )
        for name in ("init_as_base", "init_other_classes"):
            if getattr(self, name) and not self.init:
                raise ValueError(f"TrainConfig.{name}: true, but there is no --init FILE to take anything from")
        if self.init_as_base and self.init_other_classes:
            raise ValueError("TrainConfig.init_other_classes: true beside init_as_base; choose one of the two")
        if self.sam2 and self.model.backbone not in SAM2_BACKBONES:
            raise ValueError(
                f"TrainConfig.sam2: {self.model.backbone!r} takes no SAM2 file; remove it or change --model.backbone"
            )
