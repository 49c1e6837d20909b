"""What a comparison can be told."""

from __future__ import annotations

from dataclasses import dataclass

from sartm_core.evaluate.config import EvaluateConfig
from sartm_core.runtime.opening import DEFAULT
from sartm_core.support.fields import at_least

LEAST_RESAMPLES = 100
"""Fewer do not make an interval."""


@dataclass(frozen=True)
class CompareConfig:
    """On which frames two checkpoints are compared, and how."""

    data: str | None = None
    """Folder of the frames, with or without labels; without it, synthetic scenes."""
    dataset: str | None = None
    """`synthetic`, `folder`, `mfnet`, `pst900` or `fmb`. None: `synthetic` without a folder, else by its layout."""
    split: str | None = "val"
    """`train`, `val`, `test` or another split file of the folder; `null` for all frames."""
    label_set: str | None = None
    """Whose ids the label files hold: `mfnet`, `pst900` or `fmb`. None: the data set's own."""
    synthetic: int = 100
    """Number of synthetic scenes, without a folder."""
    cameras: str = "rgb+thermal"
    """What both models are given: `rgb+thermal`, `rgb` or `thermal`."""
    sam2: str | None = None
    """Official SAM2 file, for adapter checkpoints."""
    resamples: int = 2000
    """Number of bootstrap resamples of the frames."""
    confidence: float = 0.95
    """Confidence level of the intervals, between 0 and 1."""
    seed: int = 0
    """Seed of the resampling: the same numbers give the same intervals."""
    most: int = 8
    """Number of frames shown, those where the two differ most."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    engine: str = "torch"
    """What runs the networks: `torch`, `torch-compile`, `openvino`, `onnxruntime`; `auto`: as the robot would."""
    precision: str = "fp32"
    """`fp32`, `bf16`, `fp16`; `auto`: as the robot would."""

    def __post_init__(self) -> None:
        if self.dataset not in (None, "synthetic") and not self.data:
            raise ValueError(f"CompareConfig.data: not set; {self.dataset!r} needs a folder (--data DIR)")
        at_least("CompareConfig", "resamples", self.resamples, LEAST_RESAMPLES)
        at_least("CompareConfig", "seed", self.seed, 0)
        at_least("CompareConfig", "most", self.most, 0)
        if not 0 < self.confidence < 1:
            raise ValueError(f"CompareConfig.confidence: got {self.confidence}, expected a share between 0 and 1")
        self.evaluation(DEFAULT)  # it checks the rest

    def evaluation(self, checkpoint: str) -> EvaluateConfig:
        """The evaluation of one of the two that gives the same scores."""
        return EvaluateConfig(
            checkpoint=checkpoint,
            sam2=self.sam2,
            dataset=self.dataset,
            data=self.data,
            split=self.split,
            label_set=self.label_set,
            synthetic=self.synthetic,
            device=self.device,
            cameras=(self.cameras,),
            engine=self.engine,
            precision=self.precision,
        )
