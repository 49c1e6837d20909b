"""`Segmenter`: camera arrays in, class ids out. What a robot, a script or a notebook uses.

seg = Segmenter.load("default")
result = seg("rgb.png", "thermal.png")     # files, Pillow images, tensors or arrays: rgb (H, W, 3) uint8,
result = seg(rgb, thermal)                 # thermal (h, w) uint8 | uint16 | float32; either may be None
result.mask                                # (H, W) uint8 class ids at the rgb camera's size
result.plot().show()                       # also .overlay(), .save(folder), .classes_present()
results = seg.batch([FramePair(rgb, thermal), FramePair(other_rgb, other_thermal)])    # several cameras at once

seg = Segmenter.load("urban.safetensors", sam2=BASE, adapters=["mine.safetensors"])    # side by side
seg.set_adapter("mine")                    # from the next call on; or FramePair(rgb, thermal, adapter="mine")
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from sartm_core.model.info import ModelInfo
from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.preprocess.parallax import FrameRegistration
from sartm_core.runtime.batching import FramePair, Inputs, alike
from sartm_core.runtime.engines import Source
from sartm_core.runtime.engines.choice import Wish
from sartm_core.runtime.engines.exported import Exported
from sartm_core.runtime.engines.hardware import give_back_memory
from sartm_core.runtime.engines.sharing import Shared
from sartm_core.runtime.exported.description import at_size
from sartm_core.runtime.frames import Frame, Frames, as_frames
from sartm_core.runtime.network import Network, Prepared
from sartm_core.runtime.opening import DEFAULT, Adapters, by_name, open_weights
from sartm_core.runtime.result import SegmentationResult
from sartm_core.support.classes import Color
from sartm_core.support.device import pick_device
from sartm_core.support.gpu import give_back, held_mib, queue

if TYPE_CHECKING:  # it takes seconds to import
    from torch import Tensor

    from sartm_core.model.sartm import SARTM


class Segmenter:
    """A loaded model with its preprocessing. Make one with `Segmenter.load`; call it with frames, from any thread.

    What it tells of itself (`name`, `classes`, ...) is of the adapter in use.
    """

    def __init__(
        self, model: SARTM | Source | Exported, *, name: str = "", sha256: str = "", device: str = "auto",
        precision: str = "auto", engine: str = "auto", threads: int | None = None,
        preprocess: PreprocessConfig | None = None,
        calibration: str | None = None,
    ) -> None:  # fmt: skip
        self.device = pick_device(device)
        source = model if isinstance(model, Source | Exported) else Source(model)
        wish = Wish(self.device, engine, precision, threads, sha256, calibration)
        self._network = Network(source, wish, name, preprocess)
        self._networks = {name: self._network}

    @classmethod
    def load(
        cls, checkpoint: str | Path = DEFAULT, device: str = "auto", precision: str = "auto", engine: str = "auto",
        *,
        sam2: str | Path | None = None,
        thermal: ThermalNorm | None = None,
        input_size: tuple[int, int] | None = None,
        threads: int | None = None,
        adapters: Adapters = (),
        untrained: bool = False,
        calibration: str | Path | None = None,
        lean: bool = False,
    ) -> Segmenter:  # fmt: skip
        """Load weights.

        Args:
            checkpoint: a `.safetensors` file of `SARTM.save`, a `.onnx` or `.xml` file of `sartm_core.export`, or
                "default", what the package ships, or "hf:owner/name[@revision]" on the Hugging Face Hub.
            device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1".
            precision: "fp32", "bf16", "fp16", "int8"; "auto": the fastest that gives (nearly) the masks of fp32.
                int8 is made in minutes, by the first frame that needs it, and kept; `auto` then takes it.
            engine: "torch", "torch-compile", "openvino", "onnxruntime"; "auto": the fastest installed. All but torch
                compile at the first use and keep it. Exported files: that of their format; .onnx also "openvino".
            sam2: the official SAM2 file, for adapter checkpoints.
            thermal: another thermal normalisation than the one the weights were trained with.
            input_size: another (height, width) of the model input, in multiples of 32; not for exported files.
            threads: CPU threads; None: the library's own choice.
            adapters: more files like `checkpoint`, to be switched to by name (`set_adapter`): their stems, or the keys
                of a mapping. With the engines "torch" and "torch-compile" what they share is in memory once.
            untrained: take files too whose classes nobody trained: their masks mean nothing.
            calibration: folder of frames (rgb/ and thermal/) to make int8 by; None: synthetic scenes.
            lean: on a CPU with OpenVINO or ONNX Runtime: another process compiles, so that this one stays small.

        Raises:
            FileNotFoundError, ValueError: naming the file or argument.
        """
        shared, files = Shared(), by_name(checkpoint, adapters)

        def opened(name: str, path: str | Path) -> Segmenter:
            source = open_weights(path, sam2, device, engine, shared, untrained, lean)
            return cls(
                source.weights, name=name, sha256=source.sha256, device=source.device, precision=precision,
                engine=engine, threads=threads, preprocess=source.preprocess(thermal, input_size),
                calibration=None if calibration is None else str(calibration),
            )  # fmt: skip

        first, *others = files.items()
        segmenter = opened(*first)
        for name, path in others:
            try:
                network = segmenter._networks[name] = opened(name, path)._network
                if network.device != segmenter.device:
                    raise ValueError(f"it runs on {network.device}, {segmenter.name} on {segmenter.device}")
            except (ValueError, FileNotFoundError) as error:
                kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
                raise kind(f"adapters: {name}: {error}") from error
        return segmenter

    def __repr__(self) -> str:
        return f"Segmenter({self.name}: {', '.join(self.classes)}; {self.engine} {self.precision} on {self.device})"

    @property
    def adapters(self) -> Mapping[str, Network]:
        """What `set_adapter` can switch to, by name; the checkpoint first."""
        return MappingProxyType(self._networks)

    @property
    def adapter(self) -> str:
        """The name of the one in use."""
        return self._network.name

    def set_adapter(self, name: str) -> None:
        """Use the weights of this name from the next call on; calls under way end with the old ones.

        ValueError: the name is not one of `adapters`.
        """
        self._network = self._named(name)

    def _named(self, name: str) -> Network:
        if name not in self._networks:
            near = get_close_matches(name, self._networks, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"adapter: got {name!r}, expected one of {', '.join(self._networks)}{hint}")
        return self._networks[name]

    @property
    def name(self) -> str:
        """The stem of the file's name, or the one given to it."""
        return self._network.name

    @property
    def sha256(self) -> str:
        """Of the file; empty for weights of no file."""
        return self._network.sha256

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by id."""
        return self._network.classes

    @property
    def palette(self) -> tuple[Color, ...]:
        """Colours by id."""
        return self._network.palette

    @property
    def info(self) -> ModelInfo:
        """What the file tells of its training."""
        return self._network.info

    @property
    def preprocess(self) -> PreprocessConfig:
        """How frames become model inputs."""
        return self._network.preprocess

    @preprocess.setter
    def preprocess(self, config: PreprocessConfig) -> None:
        self._network.preprocess = config

    @property
    def engine(self) -> str:
        """What runs the model."""
        return self._network.engine

    @property
    def precision(self) -> str:
        """The numbers it computes with."""
        return self._network.precision

    @property
    def choice(self) -> str:
        """Which engine and precision run the model, and why."""
        return self._network.choice

    @property
    def takes_batches(self) -> bool:
        """Whether several pairs at a time are faster than one after the other."""
        return self._network.takes_batches

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(H, W) of the model input, the same area for another aspect; None: the camera's own."""
        return self.preprocess.input_size

    def set_input_size(self, size: tuple[int, int]) -> None:
        """Work at another (H, W) from the next call on. ValueError unless multiples of 32; exported files have one."""
        for network in self._networks.values():
            at_size(network.preprocess, (size[0], size[1]))  # all, or none
        for network in self._networks.values():
            network.set_input_size(size)

    def __call__(
        self,
        rgb: Frame | None = None,
        thermal: Frame | None = None,
        *,
        confidence_threshold: float = 0.0,
        registration: FrameRegistration | None = None,
        thermal_norm: ThermalNorm | None = None,
        confidence: bool = True,
    ) -> SegmentationResult:
        """Segment one pair of frames, or one frame alone: arrays, tensors, Pillow images or paths of image files.

        The other arguments are those of `FramePair`. ValueError names the argument.
        """
        frames = as_frames(rgb, thermal)
        return self.batch([FramePair(*frames, registration, thermal_norm, confidence_threshold, confidence)])[0]

    def stream(self, pairs: Iterable[Frames], **options: Any) -> Iterator[SegmentationResult]:
        """Segment pair after pair as they come; `options` as of a call. ValueError names the pair by its place too."""
        for i, (rgb, thermal) in enumerate(pairs):
            try:
                yield self(rgb, thermal, **options)
            except ValueError as error:
                raise ValueError(f"pair {i}: {error}") from error

    def batch(self, pairs: Sequence[FramePair]) -> list[SegmentationResult]:
        """Segment the pairs of several cameras; results in the same order, the same as one by one.

        Pairs of equal model size, modalities and adapter share one forward pass. ValueError as of a call.
        """
        with queue(self.device):
            return self._batch(pairs)

    def _batch(self, pairs: Sequence[FramePair]) -> list[SegmentationResult]:
        current = self._network  # one for all, whatever `set_adapter` or `set_input_size` does meanwhile
        configs = {network: network.preprocess for network in self._networks.values()}
        ready: list[Prepared] = []
        for i, pair in enumerate(pairs):
            try:
                network = current if pair.adapter is None else self._named(pair.adapter)
                ready.append(Prepared.of(pair, network, configs[network]))
            except ValueError as error:
                if len(pairs) == 1:
                    raise
                raise ValueError(f"pair {i}: {error}") from error
        results: dict[int, SegmentationResult] = {}
        for members in alike([one.inputs for one in ready], [one.network for one in ready]):
            segmented = ready[members[0]].network.segment([ready[i] for i in members])
            results.update(zip(members, segmented, strict=True))
        return [results[i] for i in range(len(pairs))]

    def logits(
        self, rgb: np.ndarray | None, thermal: np.ndarray | None, size: tuple[int, int],
        preprocess: PreprocessConfig | None = None,
    ) -> Tensor:  # fmt: skip
        """Class scores before the softmax, (C, *size) float32 on `device`, where a mask is not enough (evaluation).

        Frames as for a call; `preprocess` stands in for the segmenter's own (another input size).
        """
        return self._network.logits(FramePair(rgb, thermal), size, preprocess)

    def check(self, rgb: np.ndarray | None, thermal: np.ndarray | None) -> None:
        """Try every adapter on a frame. ValueError when scores have the wrong shape or are not finite."""
        for network in self._networks.values():
            network.check(rgb, thermal)

    def inputs(self, pair: FramePair, config: PreprocessConfig | None = None) -> Inputs:
        """What the engine takes, on `device`; `config` in place of the adapter's own. ValueError as of a call."""
        return (self._network if pair.adapter is None else self._named(pair.adapter)).inputs(pair, config)

    def scores(self, inputs: Inputs, adapter: str | None = None) -> Tensor:
        """The network alone: prepared inputs -> (N, C, H / 4, W / 4) float32 on `device`. adapter: see `FramePair`."""
        return (self._network if adapter is None else self._named(adapter)).scores(inputs)

    def memory_mb(self) -> float | None:
        """MiB that torch holds on the GPU, all models together; None on CPU."""
        return held_mib(self.device)

    @staticmethod
    def free_memory() -> None:
        """Give the memory of segmenters that nobody refers to any more back to the system and to the GPU."""
        give_back_memory()
        give_back()
