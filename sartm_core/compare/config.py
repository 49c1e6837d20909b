"""What a comparison can be told."""

from __future__ import annotations

from dataclasses import dataclass, fields

from sartm_core.evaluate.config import EvaluateConfig, FramesConfig
from sartm_core.runtime.opening import DEFAULT
from sartm_core.support.fields import at_least

LEAST_RESAMPLES = 100
"""Fewer do not make an interval."""


@dataclass(frozen=True)
class CompareConfig(FramesConfig):
    """On which frames two checkpoints are compared, and how. Frames may lack labels."""

    cameras: str = "rgb+thermal"
    """What both models are given: `rgb+thermal`, `rgb` or `thermal`."""
    resamples: int = 2000
    """Number of bootstrap resamples of the frames."""
    confidence: float = 0.95
    """Confidence level of the intervals, between 0 and 1."""
    seed: int = 0
    """Seed of the resampling: the same numbers give the same intervals."""
    most: int = 8
    """Number of frames shown, those where the two differ most."""
    engine: str = "torch"
    """What runs the networks: `torch`, `torch-compile`, `openvino`, `onnxruntime`; `auto`: as the robot would."""
    precision: str = "fp32"
    """`fp32`, `bf16`, `fp16`, `int8`; `auto`: as the robot would."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("CompareConfig", "resamples", self.resamples, LEAST_RESAMPLES)
        at_least("CompareConfig", "seed", self.seed, 0)
        at_least("CompareConfig", "most", self.most, 0)
        if not 0 < self.confidence < 1:
            raise ValueError(f"CompareConfig.confidence: got {self.confidence}, expected a share between 0 and 1")
        self.evaluation(DEFAULT)  # it checks the rest

    def evaluation(self, checkpoint: str) -> EvaluateConfig:
        """The evaluation of one of the two that gives the same scores."""
        frames = {field.name: getattr(self, field.name) for field in fields(FramesConfig)}
        return EvaluateConfig(
            checkpoint=checkpoint, cameras=(self.cameras,), engine=self.engine, precision=self.precision, **frames
        )
