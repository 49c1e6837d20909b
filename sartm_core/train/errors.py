"""What ends a training that cannot go on."""

from __future__ import annotations


class TrainingError(RuntimeError):
    """Training cannot go on; the last checkpoint is whole. The message says why and what to do."""


class Stopped(RuntimeError):
    """The user stopped the run; its last checkpoint is that of the last step."""
