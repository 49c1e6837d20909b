"""What every engine is compared with: the model as written, fp32, its encoder run once for each camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import torch
from torch import Tensor

from sartm_core.benchmark.config import Size
from sartm_core.model.sartm import SARTM, upsample
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.prepare import prepare
from sartm_core.runtime.batching import FramePair, Inputs
from sartm_core.runtime.result import SegmentationResult
from sartm_core.support.gpu import synchronize

MS = 1e3
STAGES = ("preprocess", "forward", "postprocess")
"""Of a call, as `SegmentationResult.timing` names them."""


def two_passes(model: SARTM, rgb: Tensor, thermal: Tensor) -> Tensor:
    """(N, 3, H, W) and (N, 1, H, W) -> scores (N, C, H / 4, W / 4): `SARTM.forward` without its one batch."""
    by_camera = (features(model, (rgb, None)), features(model, (None, thermal)))
    levels = list(zip(*by_camera, strict=True))  # 3 levels of 2 maps (N, C, h, w)
    if model.config.fusion == "late":
        first, second = (model.mask_decoder(*(maps[m] for maps in levels)) for m in range(len(by_camera)))
        return (first + second) / 2
    fused = [fuse(*maps) for fuse, maps in zip(model.fusion, levels, strict=True)]  # F~0, F~1, F~n
    scores = model.mask_decoder(*fused)
    return (scores + model.aux_head(*fused)) / 2 if model.config.heads == "both" else scores


def features(model: SARTM, images: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    """One camera's maps (N, width / 8 | / 4 | width, h, w) at strides 4, 8, 16."""
    f0, f1, fn = (level[0] for level in model.encoder(images))  # of the one modality that is there
    return (*model.mask_decoder.high_res(f0, f1), fn)


class PlainSegmenter:
    """The two passes with the same face as `Segmenter`: `scores` and `batch`."""

    engine, precision, choice = "two plain passes", "fp32", "the model as written"

    def __init__(self, model: SARTM, preprocess: PreprocessConfig, size: Size, device: torch.device) -> None:
        self.model = model.unfold().eval().to(device)
        self.preprocess = replace(preprocess, input_size=size)
        self.device = device

    def inputs(self, pair: FramePair) -> Inputs:
        """What `scores` takes."""
        return prepare(pair.rgb, pair.thermal, self.preprocess, self.device)

    def scores(self, inputs: Inputs) -> Tensor:
        """(N, C, H / 4, W / 4)."""
        rgb, thermal = inputs
        assert rgb is not None and thermal is not None, "the baseline is one of both cameras"
        with torch.inference_mode():
            scores = two_passes(self.model, rgb, thermal)
            return self.model.info.confidence.applied(scores, rgb=True, thermal=True)

    def batch(self, pairs: Sequence[FramePair]) -> list[SegmentationResult]:
        """One after the other: every class brought to the camera's size, then the winner taken."""
        return [self._segment(pair) for pair in pairs]

    def _segment(self, pair: FramePair) -> SegmentationResult:
        times = [perf_counter()]
        inputs = self.inputs(pair)
        times.append(perf_counter())
        scores = self.scores(inputs)
        synchronize(self.device)
        times.append(perf_counter())
        with torch.inference_mode():
            logits = upsample(scores, pair.size)[0]  # (C, H, W)
            best, ids = logits.max(0)  # (H, W)
            mask, confidence = ids.to(torch.uint8).cpu().numpy(), None
            if pair.confidence:
                probability = (best - logits.logsumexp(0)).exp()  # (H, W), softmax of the winner
                confidence = (probability * 255).round().to(torch.uint8).cpu().numpy()
        times.append(perf_counter())
        laps = (after - before for before, after in zip(times, times[1:], strict=False))
        timing = {stage: lap * MS for stage, lap in zip(STAGES, laps, strict=True)}
        return SegmentationResult(mask, confidence, timing)
