"""Which frames a training run sees and how they are varied."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from sartm_core.data.layouts import DATASETS
from sartm_core.preprocess.config import STRIDE
from sartm_core.support.classes import LABEL_SETS
from sartm_core.support.fields import at_least, one_of

CACHES = ("memory", "none")
SCALES_OF = ("input", "crop")
RESERVED = ("miou", "synthetic")
"""Names beside those of the sources among validation scores."""
SYNTHETIC_TRAIN = 512
"""Synthetic scenes of an epoch where nothing is said about them."""


@dataclass(frozen=True)
class SourceConfig:
    """One of several data sets of a training."""

    dataset: str = "folder"
    """As `data.dataset`; `synthetic` has no root and no splits."""
    root: str | None = None
    """Its folder; a relative one is below `data.root` where that is given."""
    label_set: str | None = None
    """As `data.label_set`."""
    train_split: str = "train"
    """As `data.train_split`."""
    val_split: str | None = "val"
    """As `data.val_split`; None: not validated on."""
    weight: float = 1.0
    """Its part of an epoch, against the weights of the others."""
    name: str | None = None
    """What its scores are called; None: the name of its folder, or `synthetic`."""

    def __post_init__(self) -> None:
        one_of("SourceConfig", "dataset", self.dataset, DATASETS)
        if self.label_set is not None:
            one_of("SourceConfig", "label_set", self.label_set, tuple(LABEL_SETS))
        if not self.weight > 0:
            raise ValueError(f"SourceConfig.weight: got {self.weight}, expected a number above 0")

    @property
    def title(self) -> str:
        """Its name in scores, logs and errors."""
        return self.name or (Path(self.root).name if self.root else "") or self.dataset


@dataclass(frozen=True)
class DataConfig:
    """Which frames to train on and how to vary them."""

    dataset: str = "synthetic"
    """`synthetic` (made on the fly), `folder` (own data: rgb/ thermal/ labels/), `mfnet`, `pst900` or `fmb`."""
    root: str | None = None
    """Folder of the data set, or of those of `sources`; not used by `synthetic`."""
    label_set: str | None = None
    """Whose ids the label files hold: `mfnet`, `pst900` or `fmb`; mapped to the model's classes by name. None: the
    data set's own; for `folder` those of its classes.yaml, and without one `mfnet`."""
    train_split: str = "train"
    """Split with the training frames: `train.txt` in the root, or the data set's own (docs/datasets.md); `train+val` is
    both, see `trainer.keep`."""
    val_split: str = "val"
    """Split with the validation frames; PST900 and FMB have none, `val` is then a fixed tenth of train."""
    repeat: int = 1
    """Times every frame of the data set is used in one epoch, each time augmented anew."""
    sources: tuple[SourceConfig, ...] = ()
    """Several data sets instead of the one above, each with `dataset`, `root`, `label_set`, `train_split`, `val_split`,
    `weight` and `name`; on the command line one '{root: DIR, weight: 2}' each."""
    epoch_frames: int | None = None
    """Items of an epoch, shared out among the `sources` by weight; None: as many as they have frames on disk."""
    synthetic_train: int | None = None
    """Synthetic scenes mixed into every training epoch. None: 512; with `sources` 0, a source `dataset: synthetic` does
    it there."""
    synthetic_val: int = 64
    """Synthetic scenes to validate on, scored apart from the data set."""
    synthetic_pool: int = 0
    """Train on this many scenes, rendered once into the user's cache; 0: every scene is new, at 80 ms each."""
    synthetic_misalignment: float = 3.0
    """Largest shift in pixels between the modalities of a synthetic scene."""
    crop_size: tuple[int, int] = (480, 640)
    """Height and width of a training crop, multiples of 32."""
    scale_range: tuple[float, float] = (0.5, 2.0)
    """Random resize before the crop, smallest and largest factor."""
    scale_of: str = "input"
    """What 1 in `scale_range` is: `input`: a frame as large as the model sees it (`preprocess.input_size`), below 1 the
    rest of a crop of that size is padding; `crop`: the smallest size at which a frame fills the crop, so that from 1 on
    nothing is padding, whatever the camera."""
    focus: float = 0.0
    """Probability that a crop is placed around a pixel of a class other than 0: one of the classes of the source, each
    equally often, in one of the frames that hold it."""
    hflip: float = 0.5
    """Probability of a left-right flip."""
    color_jitter: float = 0.4
    """Strength of brightness, contrast and saturation changes, rgb only; hue stays."""
    blur: float = 0.2
    """Probability of a Gaussian blur, rgb only."""
    darken: float = 0.0
    """Probability of making the rgb image night-dark and noisy, so that thermal has to count."""
    thermal_jitter: float = 0.0
    """Strength of gain, offset, gamma, noise and blur changes of the normalised thermal image."""
    thermal_shift: float = 0.0
    """Largest extra shift of the thermal image in pixels."""
    modality_dropout: float = 0.1
    """Probability, for each modality, that a training sample comes without it."""
    registration: str | None = None
    """File of `sartm calibrate` for frames that are not registered yet (docs/registration.md): thermal is brought into
    the rgb view as it is read. With mode `depth` there is a folder `depth/` beside `rgb/`, 16-bit PNG in millimetres or
    float TIFF or .npy in metres. None: both cameras show the same view."""
    cache: str = "memory"
    """Where decoded training frames stay: in `memory`, or `none` to read the files each time."""
    cache_mb: int = 4096
    """Most memory for them in MB, a process of several GPUs; frames beyond it are read each time."""
    workers: int = 2
    """Loader processes; 0 loads in the training process."""

    def __post_init__(self) -> None:
        one_of("DataConfig", "dataset", self.dataset, DATASETS)
        if self.label_set is not None:
            one_of("DataConfig", "label_set", self.label_set, tuple(LABEL_SETS))
        if self.dataset != "synthetic" and not self.root:
            raise ValueError(f"DataConfig.root: not set; {self.dataset!r} needs a folder (--data.root DIR)")
        if self.sources:
            self.check_sources()
        elif self.epoch_frames is not None:
            raise ValueError("DataConfig.epoch_frames: is for `sources`, of which there are none; see repeat")
        if self.synthetic_train is None:
            object.__setattr__(self, "synthetic_train", 0 if self.sources else SYNTHETIC_TRAIN)
        one_of("DataConfig", "cache", self.cache, CACHES)
        one_of("DataConfig", "scale_of", self.scale_of, SCALES_OF)
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
        for name in ("synthetic_train", "synthetic_val", "synthetic_pool", "synthetic_misalignment", "thermal_shift"):
            at_least("DataConfig", name, getattr(self, name), 0)
        for name in ("workers", "cache_mb"):
            at_least("DataConfig", name, getattr(self, name), 0)
        at_least("DataConfig", "repeat", self.repeat, 1)
        for name in ("color_jitter", "thermal_jitter"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"DataConfig.{name}: got {getattr(self, name)}, expected 0..1 (below 1)")

    def check_sources(self) -> None:
        """ValueError for sources without a folder or of one name, and for what is said beside them."""
        defaults = {field.name: field.default for field in fields(self)}
        for name in ("dataset", "label_set", "train_split", "val_split", "repeat"):
            if getattr(self, name) != defaults[name]:
                raise ValueError(
                    f"DataConfig.{name}: got {getattr(self, name)!r} beside `sources`; say it in the sources"
                )
        if self.synthetic_train:
            raise ValueError(
                f"DataConfig.synthetic_train: got {self.synthetic_train} beside `sources`; add a source "
                "{dataset: synthetic, weight: ...} instead"
            )
        if self.epoch_frames is not None:
            at_least("DataConfig", "epoch_frames", self.epoch_frames, 1)
        for index, source in enumerate(self.sources):
            if source.dataset != "synthetic" and not (source.root or self.root):
                raise ValueError(
                    f"DataConfig.sources[{index}].root: not set; {source.dataset!r} needs a folder, its own or "
                    "--data.root DIR"
                )
            if source.title in RESERVED and (source.dataset != "synthetic" or source.title != "synthetic"):
                raise ValueError(
                    f"DataConfig.sources[{index}].name: {source.title!r} has a meaning of its own in scores"
                )
        titles = [source.title for source in self.sources]
        twice = sorted({title for title in titles if titles.count(title) > 1})
        if twice:
            raise ValueError(f"DataConfig.sources: {twice} occur more than once; give each source its own `name`")

    def folder(self, source: SourceConfig) -> Path:
        """Where a source on disk is."""
        return Path(self.root or "") / (source.root or "")
