"""What belongs to a model's weights but not to its network's shape; known without the seconds that a network takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sartm_core.data.seen import SeenFrames
from sartm_core.model.confidence import Confidence
from sartm_core.preprocess.config import PreprocessConfig


@dataclass(frozen=True)
class ModelInfo:
    """What a checkpoint says about its weights, beside the network's shape."""

    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    """Input size and normalisation it was trained with."""
    protocol: dict[str, Any] = field(default_factory=dict, repr=False)
    """How it was trained: the whole training configuration, epochs, steps, seconds."""
    metrics: dict[str, Any] = field(default_factory=dict, repr=False)
    """Validation scores at the time of saving."""
    base_name: str = ""
    """Name of the SAM2 file it started from."""
    base_sha256: str = ""
    """SHA-256 of that file."""
    confidence: Confidence = field(default_factory=Confidence)
    """What makes the scores' softmax a probability; applied at inference, `SARTM` itself gives plain scores."""
    seen: tuple[SeenFrames, ...] = field(default=(), repr=False)
    """Frames that trained and chose these weights and those they started from; empty where nobody took note."""
    untrained: bool = False
    """Whether the classes were still as drawn at random when `SARTM.save` wrote them: the masks mean nothing yet."""
