"""torch.compile of the training step: the model's forward pass and, through autograd, its backward pass.

The bound method is compiled, not the module: names of weights in checkpoints, averaged copies and validation do not
know of it. One size: a training step sees one batch and crop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from sartm_core.model.sartm import SARTM, SARTMOutput
from sartm_core.train.errors import TrainingError

HINT = "The same command with --trainer.compile none goes on from the last checkpoint"


def compiled(model: SARTM, compiler: str) -> Callable[..., SARTMOutput] | None:
    """`model.forward`, compiled in its first call; None for `none` (`config.COMPILERS`)."""
    if compiler == "none":
        return None
    from torch._dynamo.exc import TorchDynamoException  # importing it takes seconds

    forward = torch.compile(model.forward, backend=compiler, dynamic=False)

    def run(*args: Any, **kwargs: Any) -> SARTMOutput:
        try:
            return forward(*args, **kwargs)
        except TorchDynamoException as error:
            reason = str(error).strip().partition("\n")[0]
            raise TrainingError(f"TrainerConfig.compile: {compiler!r} failed ({reason}). {HINT}") from error

    return run
