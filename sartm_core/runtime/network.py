"""One set of weights, ready to run, with its preprocessing: what a `Segmenter` has one of, and one for each adapter."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.preprocess.prepare import Pixels, prepare, prepare_arrays
from sartm_core.preprocess.registration import sampling_grid
from sartm_core.preprocess.warping import places
from sartm_core.runtime.batching import SCORE_STRIDE, AnyInputs, FramePair, Inputs, input_size, stack
from sartm_core.runtime.drawing import draw
from sartm_core.runtime.engines import Source, exported
from sartm_core.runtime.engines.base import Watch
from sartm_core.runtime.engines.choice import Wish, choose
from sartm_core.runtime.engines.exported import Exported
from sartm_core.runtime.engines.hardware import give_back_memory
from sartm_core.runtime.engines.sessions import Sessions
from sartm_core.runtime.exported.description import at_size
from sartm_core.runtime.postprocess import enlarge, picture, picture_of_array, probabilities, probabilities_of_array
from sartm_core.runtime.result import SegmentationResult
from sartm_core.support.classes import Color
from sartm_core.support.gpu import Leaving, Moment
from sartm_core.support.late import torch

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

S = TypeVar("S", "Tensor", np.ndarray)

GRIDS_KEPT = 16
"""Sampling grids of registrations that stay in memory (5 MiB each at 480x640): one per camera pair of the largest
batch a node makes (`sartm_ros.inference.inference`)."""


class Network:
    """Weights on a device, in the engine and precision that `wish` asks for. Call it from any thread.

    preprocess: in place of the one in the weights.
    """

    def __init__(
        self, source: Source | Exported, wish: Wish, name: str = "", preprocess: PreprocessConfig | None = None
    ) -> None:
        self.name, self.sha256, self.device = name, wish.weights, wish.device
        self.info = source.info
        self.preprocess = preprocess or source.info.preprocess
        check_colors(self.preprocess, source.info.preprocess)
        self.classes: tuple[str, ...] = source.config.classes
        self.palette: tuple[Color, ...] = source.config.palette or ()
        if isinstance(source, Exported):
            choice = exported.choose(source, wish, self.preprocess)
        else:
            choice = choose(source, wish, self.preprocess)
            source.release()
        give_back_memory()
        self.takes_batches = choice.batches
        """Whether several pairs at a time are faster than one after the other."""
        self.engine, self._choice = choice.engine, choice
        self._run, self._pixels = choice.run, choice.pixels
        of_arrays = self.device.type == "cpu" and choice.pixels is Pixels.ALWAYS
        self._arrays = choice.run if of_arrays and isinstance(choice.run, Sessions) else None
        """The engine again where frames go through it without torch."""
        self.watch: Watch = getattr(choice.run, "watch", Watch())
        """Whether it is being compiled for a size of frames that is new to it."""
        self._lock = Lock()
        self._proven = False
        self._grid = lru_cache(GRIDS_KEPT)(sampling_grid)
        self._places = lru_cache(GRIDS_KEPT)(places)
        log.info("%s: %d classes on %s, %s", name or "weights in memory", len(self.classes), self.device, self.choice)

    @property
    def precision(self) -> str:
        """The numbers it computes with."""
        return self.watch.instead or self._choice.precision

    @property
    def choice(self) -> str:
        """Which engine and precision run the model, and why."""
        instead = self.watch.instead
        return self._choice.reason + (f"; {instead} instead, as int8 was not made or does not agree" if instead else "")

    def set_input_size(self, size: tuple[int, int]) -> None:
        """As `Segmenter.set_input_size`."""
        self.preprocess = at_size(self.preprocess, (size[0], size[1]))

    def inputs(self, pair: FramePair, config: PreprocessConfig | None = None) -> Inputs:
        """What the engine takes, on `device`; `config` stands in for the network's own. ValueError as of a call."""
        config = self._config(pair, config)
        return prepare(pair.rgb, pair.thermal, config, self.device, pair.registration, self._grid, self._pixels)

    def _config(self, pair: FramePair, config: PreprocessConfig | None) -> PreprocessConfig:
        config = config or self.preprocess
        check_colors(config, self.info.preprocess)
        return config if pair.thermal_norm is None else replace(config, thermal=pair.thermal_norm)

    def prepared(self, pair: FramePair, config: PreprocessConfig) -> AnyInputs:
        """As `inputs`, without torch where the engine needs none."""
        if self._arrays is None:
            return self.inputs(pair, config)
        config = self._config(pair, config)
        return prepare_arrays(pair.rgb, pair.thermal, config, pair.registration, self._places)

    def scores(self, inputs: Inputs) -> Tensor:
        """The network alone: prepared inputs -> (N, C, H / 4, W / 4) float32 on `device`.

        ValueError when its first scores are not finite.
        """
        return self._proven_by(self._run, inputs, lambda scores: int((~torch.isfinite(scores)).sum()))

    def logits(self, pair: FramePair, size: tuple[int, int], config: PreprocessConfig | None = None) -> Tensor:
        """As `Segmenter.logits`."""
        config = config or self.preprocess
        scores = self.scores(self.inputs(pair, config))
        with torch.inference_mode():
            return enlarge(scores[0], config.covered(pair.size, size))[:, : size[0], : size[1]]

    def _proven_by(self, run: Callable[..., S], inputs: AnyInputs, odd: Callable[[S], int]) -> S:
        """The scores by `run`; `odd` counts those that are not finite."""
        with self._lock:  # engines run one batch at a time
            scores = run(*inputs)
        if not self._proven:  # a model of NaN gives masks too, of class 0 alone
            self._check_finite(odd(scores), scores.shape)
            self._proven = True
        return scores

    def _check_finite(self, bad: int, shape: Sequence[int]) -> None:
        if bad:
            raise ValueError(
                f"{self.name}: {bad} of {math.prod(shape)} scores are not finite in {self.precision}; "
                "the weights are damaged, or need precision fp32"
            )

    def check(self, rgb: np.ndarray | None, thermal: np.ndarray | None) -> None:
        """Try the weights on a frame. ValueError when the scores have the wrong shape or are not finite."""
        inputs = self.prepared(FramePair(rgb, thermal), self.preprocess)
        self._proven = False
        shape = tuple(self._scored(inputs).shape)
        expected = (1, len(self.classes), *score_size(inputs))
        if shape != expected:
            raise ValueError(f"{self.name}: the model gives scores of shape {shape}, expected {expected}")

    def _scored(self, inputs: AnyInputs) -> Tensor | np.ndarray:
        """`scores` of what `prepared` gave."""
        if self._arrays is None:
            return self.scores(cast(Inputs, inputs))
        return self._proven_by(self._arrays.arrays, inputs, lambda scores: int((~np.isfinite(scores)).sum()))

    def segment(self, batch: Sequence[Prepared]) -> list[SegmentationResult]:
        """One forward pass for pairs of one size; what a GPU does for it is waited for once."""
        started = Moment(self.device)
        scores = self._scored(stack([one.inputs for one in batch]))
        forwarded = Moment(self.device)
        leaving = Leaving([outputs(*one) for one in zip(scores, batch, strict=True)], self.device)
        arrays = leaving.arrays()
        stages = {
            "preprocess": sum(one.begun.until(one.ended) for one in batch),
            "forward": started.until(forwarded),
            "postprocess": forwarded.until(leaving.there),
        }
        timing = {stage: seconds * 1e3 for stage, seconds in stages.items()}
        return [
            SegmentationResult(
                found.pop("mask"), found.pop("confidence", None), dict(timing), self.name, self.classes, self.palette,
                one.pair, found.pop("scores", None), found,
            )
            for found, one in zip(arrays, batch, strict=True)
        ]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Prepared:
    """A pair on its way into a network."""

    pair: FramePair
    network: Network
    config: PreprocessConfig
    inputs: AnyInputs
    begun: Moment
    ended: Moment
    """Of making the inputs."""

    @classmethod
    def of(cls, pair: FramePair, network: Network, config: PreprocessConfig) -> Prepared:
        """ValueError as of a call."""
        begun = Moment(network.device)
        inputs = network.prepared(pair, config)
        return cls(pair, network, config, inputs, begun, Moment(network.device))


def outputs(scores: Tensor | np.ndarray, one: Prepared) -> Mapping[str, Tensor | np.ndarray]:
    """All that a `SegmentationResult` has of (C, h, w), by name."""
    pair, config = one.pair, one.config
    covered = config.covered(pair.size, pair.size)
    if isinstance(scores, np.ndarray):
        arrays = picture_of_array(scores, pair, covered)
        if pair.scores:
            arrays["scores"] = probabilities_of_array(scores, *score_sizes(pair, config))
        return arrays
    found = picture(scores, pair, covered)
    if pair.scores:
        found["scores"] = probabilities(scores, *score_sizes(pair, config))
    return found | draw(pair, cast(Inputs, one.inputs)[0], found["mask"])


def score_sizes(pair: FramePair, config: PreprocessConfig) -> tuple[tuple[int, int], tuple[int, int]]:
    """(h, w) of `SegmentationResult.scores`, without the padding of the model's input and with it."""
    height, width = (max(1, round(side / SCORE_STRIDE)) for side in config.content_size(*pair.size))
    return (height, width), config.covered(pair.size, (height, width))


def score_size(inputs: AnyInputs) -> tuple[int, int]:
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
