"""`Segmenter`: camera arrays in, class ids out. What a robot, a script or a notebook uses.

seg = Segmenter.load("default")
result = seg(rgb, thermal)         # rgb (H, W, 3) uint8, thermal (h, w) uint8 | uint16 | float32, either may be None
result.mask                        # (H, W) uint8 class ids at the rgb camera's size
results = seg.batch([FramePair(rgb, thermal), FramePair(other_rgb, other_thermal)])    # several cameras at once
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path
from threading import Lock
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from sartm_core.batching import FramePair, Inputs, SegmentationResult, alike, input_size, stack
from sartm_core.checkpoint import load, sha256
from sartm_core.data.labels import Color
from sartm_core.engines import Source, exported, pick_device
from sartm_core.engines.choice import Wish, choose
from sartm_core.engines.exported import Exported
from sartm_core.engines.hardware import give_back_memory
from sartm_core.exporting.description import at_size
from sartm_core.model.sartm import SARTM
from sartm_core.postprocess import enlarge, picture
from sartm_core.preprocess import PreprocessConfig, ThermalNorm, prepare
from sartm_core.registration import Registration, sampling_grid

log = logging.getLogger(__name__)

DEFAULT = "default"
SCORE_STRIDE = 4
"""The network scores every 4th pixel of its input; up to the camera's size it is bilinear."""
GRIDS_KEPT = 16
"""Sampling grids of registrations that stay in memory (3.5 MiB each at 480x640): one per camera pair of the largest
batch a node makes (`sartm_ros.inference`)."""
MIB = 2**20


class Segmenter:
    """A loaded model with its preprocessing. Make one with `Segmenter.load`; call it with frames, from any thread."""

    def __init__(
        self,
        model: SARTM | Source | Exported,
        *,
        name: str = "",
        sha256: str = "",
        device: str = "auto",
        precision: str = "auto",
        engine: str = "auto",
        threads: int | None = None,
        preprocess: PreprocessConfig | None = None,
    ) -> None:
        self.name = name
        self.sha256 = sha256
        self.device = pick_device(device)
        source = Source(model) if isinstance(model, SARTM) else model
        weights = source if isinstance(source, Exported) else source()
        self.preprocess = preprocess or weights.info.preprocess
        check_colors(self.preprocess, weights.info.preprocess)
        self.info = weights.info
        self.classes: tuple[str, ...] = weights.config.classes
        self.palette: tuple[Color, ...] = weights.config.palette or ()
        del weights, model  # what compiled networks need no more
        self._lock = Lock()
        self._grid = lru_cache(GRIDS_KEPT)(sampling_grid)
        wish = Wish(self.device, engine, precision, threads, sha256)
        if isinstance(source, Exported):
            choice = exported.choose(source, wish, self.preprocess)
        else:
            choice = choose(source, wish, self.preprocess)
            source.release()
        give_back_memory()
        self._pixels = choice.pixels
        self.takes_batches = choice.batches
        """Whether several pairs at a time are faster than one after the other."""
        self._run, self.engine, self.precision = choice.run, choice.engine, choice.precision
        self.choice = choice.reason
        """Which engine and precision run the model, and why."""
        log.info("%s: %d classes on %s, %s", name, len(self.classes), self.device, self.choice)

    @classmethod
    def load(
        cls,
        checkpoint: str | Path = DEFAULT,
        device: str = "auto",
        precision: str = "auto",
        engine: str = "auto",
        *,
        sam2: str | Path | None = None,
        thermal: ThermalNorm | None = None,
        input_size: tuple[int, int] | None = None,
        threads: int | None = None,
    ) -> Segmenter:
        """Load weights.

        Args:
            checkpoint: a `.safetensors` file of `SARTM.save`, a `.onnx` or `.xml` file of `sartm_core.export`, or
                "default", the small model shipped with the package.
            device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1".
            precision: "fp32", "bf16", "fp16"; "auto": the fastest that gives (nearly) the masks of fp32.
            engine: "torch", "torch-compile", "openvino", "onnxruntime"; "auto": the fastest that is installed. All but
                torch compile the network at its first use and keep the result for the next start. Exported files: the
                one of their format; .onnx also "openvino".
            sam2: the official SAM2 file, for adapter checkpoints.
            thermal: another thermal normalisation than the one the weights were trained with.
            input_size: another (height, width) of the model input, in multiples of 32; not for exported files.
            threads: CPU threads; None: the library's own choice. (torch: `torch.set_num_threads`.)

        Raises:
            FileNotFoundError, ValueError: naming the file or argument.
        """
        path = default_checkpoint() if str(checkpoint) == DEFAULT else Path(checkpoint)
        model: Source | Exported
        if exported.is_exported(path):
            model = exported.open_exported(path)
            device, digest = exported.device_of(model, device, engine), model.sha256
        else:
            loaded, digest = load(path, sam2), sha256(path)
            model = Source(loaded, partial(load_same, path, sam2, digest))
            del loaded
        preprocess = (model if isinstance(model, Exported) else model()).info.preprocess
        if thermal is not None:
            preprocess = replace(preprocess, thermal=thermal)
        if input_size is not None:
            preprocess = at_size(preprocess, (input_size[0], input_size[1]))
        return cls(
            model,
            name=path.stem,
            sha256=digest,
            device=device,
            precision=precision,
            engine=engine,
            threads=threads,
            preprocess=preprocess,
        )

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(H, W) of the model input, at the same area for another aspect; None: the camera's own size."""
        return self.preprocess.input_size

    def set_input_size(self, size: tuple[int, int]) -> None:
        """Work at another (H, W) from the next call on. ValueError unless both are multiples of 32; an exported file
        has its own size only."""
        self.preprocess = at_size(self.preprocess, (size[0], size[1]))

    def __call__(
        self,
        rgb: np.ndarray | None,
        thermal: np.ndarray | None,
        *,
        confidence_threshold: float = 0.0,
        registration: Registration | None = None,
        thermal_norm: ThermalNorm | None = None,
        confidence: bool = True,
    ) -> SegmentationResult:
        """Segment one pair of frames, or one frame alone. The arguments are described at `FramePair`.

        Raises:
            ValueError: naming the argument, what was found and what was expected.
        """
        return self.batch([FramePair(rgb, thermal, registration, thermal_norm, confidence_threshold, confidence)])[0]

    def batch(self, pairs: Sequence[FramePair]) -> list[SegmentationResult]:
        """Segment the pairs of several cameras; results in the same order, the same as one by one.

        Pairs of equal model size and modalities share one forward pass.

        Raises:
            ValueError: naming the argument, and the pair by its place when there are several.
        """
        config = self.preprocess  # one for all, whatever `set_input_size` does meanwhile
        inputs, seconds = [], []
        for i, pair in enumerate(pairs):
            started = perf_counter()
            try:
                inputs.append(self.inputs(pair, config))
            except ValueError as error:
                if len(pairs) == 1:
                    raise
                raise ValueError(f"pair {i}: {error}") from error
            seconds.append(perf_counter() - started)
        results: dict[int, SegmentationResult] = {}
        for members in alike(inputs):
            together = stack([inputs[i] for i in members])
            prepared = sum(seconds[i] for i in members)
            segmented = self._segment([pairs[i] for i in members], together, config, prepared)
            results.update(zip(members, segmented, strict=True))
        return [results[i] for i in range(len(pairs))]

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
        pair, config = FramePair(rgb, thermal), preprocess or self.preprocess
        scores = self.scores(self.inputs(pair, config))
        with torch.inference_mode():
            return enlarge(scores[0], config.covered(pair.size, size))[:, : size[0], : size[1]]

    def check(self, rgb: np.ndarray | None, thermal: np.ndarray | None) -> None:
        """Try the weights on a frame. ValueError when the scores have the wrong shape or are not finite."""
        inputs = self.inputs(FramePair(rgb, thermal))
        scores = self.scores(inputs)
        expected = (1, len(self.classes), *score_size(inputs))
        if tuple(scores.shape) != expected:
            raise ValueError(f"{self.name}: the model gives scores of shape {tuple(scores.shape)}, expected {expected}")
        bad = int((~torch.isfinite(scores)).sum())
        if bad:
            raise ValueError(
                f"{self.name}: {bad} of {scores.numel()} scores are not finite in {self.precision}; "
                "the weights are damaged, or need precision fp32"
            )

    def memory_mb(self) -> float | None:
        """MiB that torch holds on the GPU, of all models in this process; None on CPU."""
        return torch.cuda.memory_allocated(self.device) / MIB if self.device.type == "cuda" else None

    @staticmethod
    def free_memory() -> None:
        """Give the memory of segmenters that nobody refers to any more back to the system and to the GPU."""
        give_back_memory()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def inputs(self, pair: FramePair, config: PreprocessConfig | None = None) -> Inputs:
        """What the engine takes, on `device`; `config` stands in for the segmenter's own. ValueError as of a call."""
        config = config or self.preprocess
        check_colors(config, self.info.preprocess)
        if pair.thermal_norm is not None:
            config = replace(config, thermal=pair.thermal_norm)
        return prepare(pair.rgb, pair.thermal, config, self.device, pair.registration, self._grid, self._pixels)

    def scores(self, inputs: Inputs) -> Tensor:
        """The network alone: prepared inputs -> (N, C, H / 4, W / 4) float32 on `device`."""
        with self._lock:  # engines run one batch at a time
            return self._run(*inputs)

    def _segment(
        self, pairs: list[FramePair], inputs: Inputs, config: PreprocessConfig, prepared: float
    ) -> list[SegmentationResult]:
        """One forward pass; `prepared`: seconds that making the inputs took."""
        started = perf_counter()
        scores = self.scores(inputs)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        forwarded = perf_counter()
        pictures = [
            picture(of_pair, pair, config.covered(pair.size, pair.size))
            for of_pair, pair in zip(scores, pairs, strict=True)
        ]
        stages = {"preprocess": prepared, "forward": forwarded - started, "postprocess": perf_counter() - forwarded}
        timing = {stage: seconds * 1e3 for stage, seconds in stages.items()}
        return [SegmentationResult(mask, confidence, dict(timing)) for mask, confidence in pictures]


def score_size(inputs: Inputs) -> tuple[int, int]:
    """(H / 4, W / 4) of model inputs."""
    height, width = input_size(*inputs)
    return height // SCORE_STRIDE, width // SCORE_STRIDE


def check_colors(config: PreprocessConfig, trained: PreprocessConfig) -> None:
    """ValueError unless both normalise colour alike: engines do it as the weights were trained."""
    if (config.rgb_mean, config.rgb_std) != (trained.rgb_mean, trained.rgb_std):
        raise ValueError(
            f"preprocess: got rgb_mean {config.rgb_mean}, rgb_std {config.rgb_std}; the weights were trained with "
            f"{trained.rgb_mean}, {trained.rgb_std}"
        )


def load_same(path: Path, sam2: str | Path | None, digest: str) -> SARTM:
    """The weights that were loaded before. ValueError when the file has changed since."""
    if sha256(path) != digest:
        raise ValueError(f"checkpoint: {path} has changed since it was loaded; load it again (node: ~/reload)")
    return load(path, sam2)


def default_checkpoint() -> Path:
    """The weights shipped with the package."""
    return Path(str(resources.files("sartm_core") / "weights" / "default.safetensors"))
