"""What an exported file says about itself: all that `Segmenter` needs to know, as texts inside the file.

Each field of `Description` is one entry of JSON; `classes`, `palette` and `preprocess` are there once more for readers
that know nothing of this project.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from sartm_core.model.config import ModelConfig
from sartm_core.model.info import ModelInfo
from sartm_core.preprocess.config import PreprocessConfig
from sartm_core.runtime.engines.base import PRECISIONS
from sartm_core.support.fields import from_dict, one_of, to_dict
from sartm_core.support.text import plain

Size = tuple[int, int]
THERMAL_TYPES = ("uint8", "uint16", "float32")
"""Pixel types of thermal cameras, by their name in numpy and in torch."""
OWNER = "sartm"
"""Under this name the entries are kept."""
VERSION = 1
"""Of the format; a file of another one is refused."""
JOINTS = ("rgb_input", "thermal_input")
"""Tensors between preprocessing and network, (1, 3, H, W) and (1, 1, H, W) float32; `SCORES` ends the network."""
FRAMES = ("rgb", "thermal")
"""Inputs of the whole file, beside `PRESENT`."""
PRESENT, SCORES = "present", "scores"
RESULTS = ("mask", "confidence")
"""Outputs of the whole file, beside `SCORES`."""


@dataclass(frozen=True)
class FixedPreprocess(PreprocessConfig):
    """Preprocessing for a network of one input size: frames of another aspect are stretched to it."""

    def model_size(self, height: int, width: int) -> Size:
        """Always `input_size`."""
        assert self.input_size is not None
        return self.input_size


def fixed(config: PreprocessConfig, size: Size) -> FixedPreprocess:
    """The same preprocessing, always to `size`."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return FixedPreprocess(**{**values, "input_size": size})


def at_size(config: PreprocessConfig, size: Size) -> PreprocessConfig:
    """The same at another size of the network's input. ValueError when that is fixed."""
    if isinstance(config, FixedPreprocess) and size != config.input_size:
        raise ValueError(
            f"input_size: got {size}, but an exported file has {config.input_size} only; export the checkpoint again "
            f"with --size {size[0]}x{size[1]}"
        )
    return replace(config, input_size=size)


@dataclass(frozen=True)
class Description:
    """An exported file in words and numbers."""

    model: ModelConfig
    """The network's configuration, with class names and palette."""
    info: ModelInfo
    """What the checkpoint said about its weights; its preprocessing has the file's input size."""
    size: Size
    """(H, W) of the network's input."""
    camera: Size
    """(H, W) of an rgb frame and of the mask."""
    thermal_camera: Size
    """(h, w) of a thermal frame."""
    thermal: str
    """Pixel type of a thermal frame: `uint8`, `uint16` or `float32`."""
    precision: str
    """What the network's weights are stored in: `fp32`, `fp16` or `int8`."""
    weights: str
    """Name of the checkpoint."""
    weights_sha256: str
    """SHA-256 of the checkpoint."""
    versions: dict[str, str]
    """Of the packages that wrote the file."""

    def __post_init__(self) -> None:
        one_of("Description", "thermal", self.thermal, THERMAL_TYPES)
        one_of("Description", "precision", self.precision, tuple(PRECISIONS))
        object.__setattr__(self, "info", replace(self.info, preprocess=fixed(self.info.preprocess, self.size)))

    @property
    def preprocess(self) -> PreprocessConfig:
        """How frames become inputs of the network."""
        return self.info.preprocess

    def texts(self) -> dict[str, str]:
        """Name -> JSON."""
        values = {"version": VERSION, **to_dict(self)}
        values |= {"classes": self.model.classes, "palette": self.model.palette}
        values |= {"preprocess": to_dict(self.preprocess)}
        return {name: json.dumps(value) for name, value in values.items()}


def parse(texts: Mapping[str, str], path: Path) -> Description:
    """What `texts` gave. ValueError names the file."""
    if "version" not in texts:
        raise ValueError(f"{path}: no SARTM metadata; expected a file of `sartm export`")
    try:
        version = json.loads(texts["version"])
        if version != VERSION:
            raise ValueError(f"format version {version}, this release reads {VERSION}; export the checkpoint again")
        names = [field.name for field in dataclasses.fields(Description)]
        if missing := [name for name in names if name not in texts]:
            raise ValueError(f"the metadata lacks {missing[0]!r}; was it edited?")
        return from_dict(Description, {name: json.loads(texts[name]) for name in names}, "metadata.")
    except (ValueError, TypeError, OverflowError, RecursionError, AttributeError) as error:
        raise ValueError(f"{path}: {plain(error)}") from error


def need(extra: str, *packages: str) -> None:
    """ValueError when one of the packages is missing, with the extra that brings it."""
    if missing := [package for package in packages if find_spec(package) is None]:
        raise ValueError(f'{missing[0]} is not installed; pip install "sartm_ros[{extra}]"')
