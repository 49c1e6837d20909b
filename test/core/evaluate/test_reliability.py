"""The calibration error against torchmetrics; by hand in `test/core/fit_confidence`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassCalibrationError

from sartm_core.evaluate.reliability import BINS, ReliabilityByPixels

NUM_CLASSES, FRAMES, SIZE = 5, 3, (20, 30)


@pytest.mark.parametrize("sharpness", [0.5, 2.0, 6.0])
def test_calibration_error_equals_torchmetrics(sharpness: float) -> None:
    generator = torch.Generator().manual_seed(0)
    softmax = (sharpness * torch.randn(FRAMES, NUM_CLASSES, *SIZE, generator=generator)).softmax(dim=1)  # (N, C, H, W)
    truth = torch.randint(NUM_CLASSES, (FRAMES, *SIZE), generator=generator)  # (N, H, W)
    truth[torch.rand(truth.shape, generator=generator) < 0.2] = 255
    confidence, guess = softmax.max(dim=1)  # (N, H, W) each
    ours = ReliabilityByPixels()
    for frame in zip(confidence.numpy(), guess.numpy(), truth.numpy(), strict=True):
        ours.update(*frame)

    def theirs(chosen: torch.Tensor) -> float:
        metric = MulticlassCalibrationError(NUM_CLASSES, n_bins=BINS, norm="l1", ignore_index=255)
        return metric(softmax, torch.where(chosen, truth, 255)).item()

    assert ours.all.ece() == pytest.approx(theirs(truth != 255), rel=1e-4)
    assert ours.called_object.ece() == pytest.approx(theirs(guess != 0), rel=1e-4)
    assert ours.object.ece() == pytest.approx(theirs((guess != 0) | (truth != 0)), rel=1e-4)
    assert np.count_nonzero(ours.all.pixels) > BINS / 2, "many bins are in use"
