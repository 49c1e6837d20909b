"""What an engine is: the network of one set of weights, made to run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from sartm_core.preprocess.prepare import Pixels
from sartm_core.runtime.engines.sharing import Shared
from sartm_core.runtime.quantisation.calibration import Calibration
from sartm_core.support.device import Device
from sartm_core.support.late import torch

if TYPE_CHECKING:  # the network takes seconds to import, and is not made where an engine has kept what it compiled
    from torch import Tensor

    from sartm_core.model.config import ModelConfig
    from sartm_core.model.info import ModelInfo
    from sartm_core.model.sartm import SARTM

log = logging.getLogger(__name__)

INT8 = "int8"
PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", INT8: "float32"}
"""By name, what torch holds such a network in; int8 is made of one in fp32."""


def dtype_of(precision: str) -> torch.dtype:
    """Of a key of `PRECISIONS`."""
    dtype: torch.dtype = getattr(torch, PRECISIONS[precision])
    return dtype


@dataclass(frozen=True)
class Settings:
    """How an engine is to run."""

    device: Device
    precision: str
    """A key of `PRECISIONS`."""
    threads: int | None = None
    """CPU threads; None: the library's own choice. torch takes its number from the calling thread instead."""
    weights: str = ""
    """SHA-256 of the file the model came from: compiled networks are kept under it. Empty: nothing is kept."""
    calibration: Calibration | None = None
    """For int8, what to quantise by where nothing is kept; None: such sizes run in `otherwise`."""
    otherwise: str = "fp32"
    """For int8, the precision of sizes of which int8 says something else, or that nobody quantised for."""

    @property
    def dtype(self) -> torch.dtype:
        return dtype_of(self.precision)


class Source:
    """The model to run, in memory only while something is built from it.

    shared: tensors that what is built should have in common with what was built from other sources.
    """

    def __init__(
        self,
        model: SARTM | None,
        reload: Callable[[], SARTM] | None = None,
        shared: Shared | None = None,
        about: tuple[ModelConfig, ModelInfo] | None = None,
        make: Callable[[], SARTM] | None = None,
        proven: Callable[[], bool] = lambda: True,
        elsewhere: Callable[..., None] | None = None,
    ) -> None:
        """model: None: `make` makes it of what was read already, if it is needed; `about` is what is known of it.
        proven: whether a network was made of these weights before. elsewhere: has it made ready in another process,
        where this one should stay small; takes the fields of an `elsewhere.Order`."""
        self._model = model
        self._make, self._reload = make, reload
        self._proven = proven
        self.elsewhere = elsewhere
        if about is None:
            assert model is not None
            about = model.config, model.info
        self.config, self.info = about
        self.shared = shared or Shared()

    def __call__(self) -> SARTM:
        """The model in eval mode, to be read only."""
        if self._model is None:
            make, self._make = self._make or self._reload, None
            assert make is not None
            self._model = make()
        return self._model.eval()

    def have_ready(self, is_ready: Callable[[], bool], **wanted: Any) -> None:
        """Have what is `wanted` made ready elsewhere, unless it is, or this process may do it itself. ValueError as of
        loading. Where nothing comes of it (a full disk), it is done here from now on."""
        if self.elsewhere is None or is_ready():
            return
        self.elsewhere(**wanted)
        if not is_ready():
            log.warning("nothing of it is in the cache (a full disk?): this process makes its networks itself")
            self.elsewhere = None

    @property
    def proven(self) -> bool:
        """Whether the weights are known to make a network."""
        return self._model is not None or self._proven()

    def release(self) -> None:
        """Forget the model if it can be loaded again."""
        if self._reload is not None:
            self._model = self._make = None


class Engine(Protocol):
    """Runs one batch at a time; who has several threads takes care of that."""

    def __call__(self, rgb: Tensor | None, thermal: Tensor | None) -> Tensor:
        """Prepared inputs on the device (`batching.Inputs`), one may be None -> scores (N, C, H/4, W/4) float32."""


class Watch:
    """What an engine that compiles is at; other threads may look."""

    def __init__(self) -> None:
        self.size: tuple[int, int] | None = None
        """(H, W) of the network that is being compiled at the moment."""
        self.count = 0
        """Networks whose compilation has begun."""
        self.instead = ""
        """The precision that runs in place of the one that was chosen, for the size made last; empty: that one."""

    @contextmanager
    def compiling(self, size: tuple[int, int]) -> Iterator[None]:
        """While the block runs."""
        self.size, self.count = size, self.count + 1
        try:
            yield
        finally:
            self.size = None


@dataclass(frozen=True)
class Watched:
    """An `Engine` with the `watch` that its function keeps."""

    run: Engine
    watch: Watch

    def __call__(self, rgb: Tensor | None, thermal: Tensor | None) -> Tensor:
        return self.run(rgb, thermal)


@dataclass(frozen=True)
class Kind:
    """A line of the table of engines."""

    make: Callable[[Source, Settings], Engine]
    precisions: Callable[[Device], tuple[str, ...]]
    """Those it offers on a device, fastest first; none where it does not run."""
    package: str = "torch"
    """Python package it needs."""
    pixels: Pixels = Pixels.FITTING
    """`ALWAYS` for engines that compile for one type of input."""
    batches: bool = False
    """Whether several pairs at a time are faster than one after the other."""
    extra: str = ""
    """What pip is to install where the package is missing, if that is not the package itself."""
    needs: str = ""
    """Where no precision is offered, what is missing; empty: another device."""
    limits: str = ""
    """Why it does not offer all precisions everywhere."""
    quantises: bool = False
    """Whether it runs int8, on CPUs."""

    def keeps_on(self, device: Device) -> bool:
        """Whether frames need nothing but what it has kept on disk."""
        return device.type == "cpu" and self.pixels is Pixels.ALWAYS

    def obstacle(self, device: Device) -> str:
        """Why it cannot run here, empty when it can."""
        if find_spec(self.package) is None:
            return f"{self.package} is not installed: pip install {self.extra or self.package}"
        if not self.precisions(device):
            return f"{self.package} does not run the network on {device.type} here" + (
                f"; it needs {self.needs}" if self.needs else ""
            )
        return ""
