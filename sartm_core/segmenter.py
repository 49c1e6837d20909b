"""`Segmenter`: camera arrays in, class ids out. What a robot, a script or a notebook uses.

seg = Segmenter.load("default")
result = seg(rgb, thermal)         # rgb (H, W, 3) uint8, thermal (h, w) uint8 | uint16 | float32, either may be None
result.mask                        # (H, W) uint8 class ids at the rgb camera's size
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from threading import Lock
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from sartm_core.checkpoint import load
from sartm_core.data.labels import IGNORE, Color
from sartm_core.fields import one_of
from sartm_core.model.sartm import SARTM
from sartm_core.preprocess import PreprocessConfig, ThermalNorm, prepare

log = logging.getLogger(__name__)

DEFAULT = "default"
PRECISIONS: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
AUTO_PRECISION = {"cpu": "fp32", "cuda": "fp16"}


@dataclass(frozen=True)
class SegmentationResult:
    """One segmented frame."""

    mask: np.ndarray
    """(H, W) uint8 class ids; 255 below the confidence threshold. H, W of the rgb camera (thermal without rgb)."""
    confidence: np.ndarray
    """(H, W) uint8: softmax of the winning class, 0..255."""
    timing: dict[str, float]
    """Milliseconds of `preprocess`, `forward`, `postprocess`."""


Engine = Callable[[Tensor | None, Tensor | None, tuple[int, int]], Tensor]
"""Model inputs (1, 3, H, W), (1, 1, H, W) and the size of the logits -> logits (1, C, *size)."""


def torch_engine(model: SARTM, device: torch.device, dtype: torch.dtype) -> Engine:
    """Eager PyTorch with folded adapters; reduced precision by autocast."""
    model = model.to(device).eval().fold()

    def run(rgb: Tensor | None, thermal: Tensor | None, size: tuple[int, int]) -> Tensor:
        with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            return model(rgb, thermal, size=size).logits

    return run


ENGINES: dict[str, Callable[[SARTM, torch.device, torch.dtype], Engine]] = {"torch": torch_engine}


class Segmenter:
    """A loaded model with its preprocessing. Make one with `Segmenter.load`; call it with frames, from any thread."""

    def __init__(
        self, model: SARTM, *, name: str = "", device: str = "auto", precision: str = "auto", engine: str = "torch"
    ) -> None:
        self.name = name
        self.device = pick_device(device)
        self.precision = pick_precision(precision, self.device)
        one_of("Segmenter", "engine", engine, tuple(ENGINES))
        self.preprocess = model.info.preprocess
        self.info = model.info
        self.classes: tuple[str, ...] = model.config.classes
        self.palette: tuple[Color, ...] = model.config.palette or ()
        self._lock = Lock()
        self._run = ENGINES[engine](model, self.device, PRECISIONS[self.precision])
        log.info("%s: %d classes on %s in %s (%s)", name, len(self.classes), self.device, self.precision, engine)

    @classmethod
    def load(
        cls,
        checkpoint: str | Path = DEFAULT,
        device: str = "auto",
        precision: str = "auto",
        engine: str = "torch",
        *,
        sam2: str | Path | None = None,
        thermal: ThermalNorm | None = None,
    ) -> Segmenter:
        """Load weights.

        Args:
            checkpoint: a `.safetensors` file of `SARTM.save`, or "default", the small model shipped with the package.
            device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1".
            precision: "auto" (fp16 on CUDA, fp32 on CPU), "fp32", "bf16", "fp16".
            engine: "torch".
            sam2: the official SAM2 file, for adapter checkpoints.
            thermal: another thermal normalisation than the one the weights were trained with.

        Raises:
            FileNotFoundError, ValueError: naming the file or argument.
        """
        path = default_checkpoint() if str(checkpoint) == DEFAULT else Path(checkpoint)
        segmenter = cls(load(path, sam2), name=path.stem, device=device, precision=precision, engine=engine)
        if thermal is not None:
            segmenter.preprocess = replace(segmenter.preprocess, thermal=thermal)
        return segmenter

    def __call__(
        self, rgb: np.ndarray | None, thermal: np.ndarray | None, *, confidence_threshold: float = 0.0
    ) -> SegmentationResult:
        """Segment one pair of frames, or one frame alone.

        Args:
            rgb: (H, W, 3) uint8, R G B, or None.
            thermal: (h, w) uint8, uint16 or float32 in the unit of the thermal normalisation, or None. Its size may
                differ from the rgb image's; both show the same view.
            confidence_threshold: 0..1; pixels whose winning class has a lower softmax become 255.

        Raises:
            ValueError: naming the argument, what was found and what was expected.
        """
        started = perf_counter()
        inputs = prepare(rgb, thermal, self.preprocess, self.device)
        frame = rgb if rgb is not None else thermal
        assert frame is not None
        size = (frame.shape[0], frame.shape[1])
        prepared = perf_counter()
        with self._lock:  # the encoder remembers which modalities it is working on
            logits = self._run(*inputs, size)[0]  # (C, H, W)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        forwarded = perf_counter()
        mask, confidence = ids_and_confidence(logits)
        if confidence_threshold > 0:
            mask[confidence < confidence_threshold * 255] = IGNORE
        done = perf_counter()
        timing = {"preprocess": prepared - started, "forward": forwarded - prepared, "postprocess": done - forwarded}
        return SegmentationResult(mask, confidence, {stage: seconds * 1e3 for stage, seconds in timing.items()})

    def logits(
        self,
        rgb: np.ndarray | None,
        thermal: np.ndarray | None,
        size: tuple[int, int],
        preprocess: PreprocessConfig | None = None,
    ) -> Tensor:
        """Class scores before the softmax, (C, *size) float32 on `device`, where a mask is not enough (evaluation).

        Frames as for a call; `preprocess` stands in for the segmenter's own (another input size).
        """
        inputs = prepare(rgb, thermal, preprocess or self.preprocess, self.device)
        with self._lock:
            return self._run(*inputs, size)[0].float()

    def warmup(self, height: int, width: int) -> None:
        """Run once on an empty pair of this size, so that the first real frame is not the slow one."""
        self(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8))


def ids_and_confidence(logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(C, H, W) -> winning class (H, W) uint8 and its softmax scaled to 0..255 (H, W) uint8."""
    with torch.inference_mode():
        logits = logits.float()
        best, ids = logits.max(0)  # (H, W)
        probability = (best - logits.logsumexp(0)).exp()  # (H, W), softmax of the winner
        return ids.to(torch.uint8).cpu().numpy(), (probability * 255).round().to(torch.uint8).cpu().numpy()


def default_checkpoint() -> Path:
    """The weights shipped with the package."""
    return Path(str(resources.files("sartm_core") / "weights" / "default.safetensors"))


def pick_device(device: str) -> torch.device:
    """ "auto" is CUDA where torch finds it, else CPU. ValueError when the named device is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device: got {device!r}, expected auto, cpu, cuda or cuda:N") from error
    if picked.type == "cuda" and (not torch.cuda.is_available() or (picked.index or 0) >= torch.cuda.device_count()):
        raise ValueError(
            f"device: {device!r} asked for, torch sees {torch.cuda.device_count()} CUDA devices; use auto or cpu"
        )
    return picked


def pick_precision(precision: str, device: torch.device) -> str:
    """ "auto" by device. ValueError for an unknown one."""
    one_of("Segmenter", "precision", precision, ("auto", *PRECISIONS))
    return AUTO_PRECISION.get(device.type, "fp32") if precision == "auto" else precision
