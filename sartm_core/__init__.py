"""SARTM: RGB-thermal semantic segmentation on SAM2. The model, the trainer and the tools; no ROS in here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sartm_core.model.config import ModelConfig
    from sartm_core.model.sartm import SARTM
    from sartm_core.preprocess.registration import Registration
    from sartm_core.runtime.segmenter import FramePair, Segmenter

__version__ = "0.1.0"
__all__ = ["SARTM", "FramePair", "ModelConfig", "Registration", "Segmenter"]
_HOMES = {
    "SARTM": "sartm_core.model.sartm",
    "ModelConfig": "sartm_core.model.config",
    "Registration": "sartm_core.preprocess.registration",
    "FramePair": "sartm_core.runtime.segmenter",
    "Segmenter": "sartm_core.runtime.segmenter",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use: labels, metrics and pictures work without loading torch models."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'sartm_core' has no attribute {name!r}")
