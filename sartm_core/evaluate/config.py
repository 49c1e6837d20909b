"""What an evaluation can be told."""

from __future__ import annotations

from dataclasses import dataclass

from sartm_core.data.layouts import DATASETS
from sartm_core.model.confidence import CAMERAS
from sartm_core.runtime.engines import ENGINES, PRECISIONS
from sartm_core.runtime.opening import DEFAULT
from sartm_core.support.classes import LABEL_SETS
from sartm_core.support.fields import at_least, one_of
from sartm_core.synthetic import CONDITIONS
from sartm_core.synthetic.config import check_conditions

SCALE_RANGE = (0.1, 4.0)


@dataclass(frozen=True)
class FramesConfig:
    """Which frames, and what all commands on them are told of the weights."""

    dataset: str | None = None
    """`synthetic`, `folder`, `mfnet`, `pst900` or `fmb`. None: `synthetic` without a root; with one, by its layout."""
    data: str | None = None
    """Folder of the data set; without it, synthetic scenes."""
    split: str | None = "val"
    """`train`, `val`, `test` or another split file of the folder; `null` for all frames."""
    label_set: str | None = None
    """Whose ids the label files hold: `mfnet`, `pst900` or `fmb`. None: the data set's own."""
    registration: str | None = None
    """As `data.registration` of training: a file that says where thermal lies in rgb, for frames not registered yet."""
    synthetic: int = 100
    """Number of synthetic scenes, without a root."""
    sam2: str | None = None
    """Official SAM2 file, for adapter checkpoints."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""

    def __post_init__(self) -> None:
        owner = type(self).__name__
        if self.dataset is not None:
            one_of(owner, "dataset", self.dataset, DATASETS)
            if self.dataset != "synthetic" and not self.data:
                raise ValueError(f"{owner}.data: not set; {self.dataset!r} needs a folder (--data DIR)")
            if self.dataset == "synthetic" and self.data:
                raise ValueError(f"{owner}.data: got {self.data!r} with dataset 'synthetic'; leave one of them out")
        if self.label_set is not None:
            one_of(owner, "label_set", self.label_set, tuple(LABEL_SETS))
        at_least(owner, "synthetic", self.synthetic, 1)


@dataclass(frozen=True)
class WeightsAndFrames(FramesConfig):
    """What evaluation and figures are made of."""

    checkpoint: str = DEFAULT
    """A `.safetensors` file of a training run, `default`, the weights shipped with the package, or `hf:OWNER/NAME`."""


@dataclass(frozen=True)
class EvaluateConfig(WeightsAndFrames):
    """Which weights, on which frames, how."""

    conditions: tuple[str, ...] = CONDITIONS
    """Conditions of the synthetic scenes."""
    cameras: tuple[str, ...] = CAMERAS
    """Which cameras the model is given, one evaluation each: `rgb+thermal`, `rgb`, `thermal`. The confusion plot and
    the worst frames are of the first."""
    scales: tuple[float, ...] = (1.0,)
    """Factors on the model's input size; the softmax of all is averaged."""
    flip: bool = False
    """Also average with the left-right flipped frames, at every scale."""
    worst: int = 8
    """Number of worst frames shown in the report."""
    engine: str = "torch"
    """What runs the network: `torch`, `torch-compile`, `openvino`, `onnxruntime`; `auto`: as the robot would choose."""
    precision: str = "fp32"
    """`fp32`, `bf16`, `fp16`, `int8`; `auto`: as the robot would choose."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_conditions("EvaluateConfig.conditions", self.conditions)
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise ValueError(
                f"EvaluateConfig.cameras: got {self.cameras}, expected one or more of {CAMERAS}, each once"
            )
        for cameras in self.cameras:
            one_of("EvaluateConfig", "cameras", cameras, CAMERAS)
        low, high = SCALE_RANGE
        if not self.scales or any(not low <= scale <= high for scale in self.scales):
            raise ValueError(f"EvaluateConfig.scales: got {self.scales}, expected factors of {low} to {high}")
        at_least("EvaluateConfig", "worst", self.worst, 0)
        one_of("EvaluateConfig", "engine", self.engine, ("auto", *ENGINES))
        one_of("EvaluateConfig", "precision", self.precision, ("auto", *PRECISIONS))
