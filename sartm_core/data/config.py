"""Which frames a training run sees and how they are varied."""

from __future__ import annotations

from dataclasses import dataclass

from sartm_core.data.labels import LABEL_SETS
from sartm_core.fields import at_least, one_of
from sartm_core.preprocess import STRIDE

DATASETS = ("synthetic", "folder", "mfnet", "pst900", "fmb")


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
