"""Files of weights, of every kind, opened for a `Segmenter`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from sartm_core.model import hub
from sartm_core.model.info import ModelInfo
from sartm_core.model.stored import Stored, named, read_metadata, read_stored
from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.runtime.engines import Source, cache, exported
from sartm_core.runtime.engines.elsewhere import Elsewhere, Order
from sartm_core.runtime.engines.exported import Exported
from sartm_core.runtime.engines.sharing import Shared
from sartm_core.runtime.exported.description import at_size

if TYPE_CHECKING:
    from sartm_core.model.sartm import SARTM

Adapters = Sequence[str | Path] | Mapping[str, str | Path] | str | Path
"""Files, called after themselves, or by name; or one file."""
FULL = "full"
"""Kind of the files that need no other one."""
DEFAULT = "default"
"""Stands for the weights shipped with the package."""


@dataclass(frozen=True)
class Opened:
    """A file of weights, about to be made ready."""

    weights: Source | Exported
    sha256: str
    device: str

    def preprocess(self, thermal: ThermalNorm | None, input_size: tuple[int, int] | None) -> PreprocessConfig:
        """As trained, but for what is not None. ValueError names `input_size`."""
        config = self.weights.info.preprocess
        if thermal is not None:
            config = replace(config, thermal=thermal)
        return config if input_size is None else at_size(config, (input_size[0], input_size[1]))


def by_name(checkpoint: str | Path, adapters: Adapters) -> dict[str, str | Path]:
    """Name -> file, the checkpoint first. ValueError: two of one name."""
    if isinstance(adapters, str | Path):
        adapters = [adapters]
    named = list(adapters.items() if isinstance(adapters, Mapping) else ((name_of(path), path) for path in adapters))
    found = {name_of(checkpoint): checkpoint}
    for name, path in named:
        if name in found:
            raise ValueError(
                f"adapters: {found[name]} and {path} are both called {name!r}; give names that differ, as "
                f'{{"other": "{path}"}} (node: other={path})'
            )
        found[name] = path
    return found


def checkpoint_path(checkpoint: str | Path) -> Path:
    """The file that an option names: a path, `default`, or `hf:owner/name[@revision]`, which is fetched."""
    if is_on_hub(checkpoint):
        return hub.find(checkpoint)
    return default_checkpoint() if str(checkpoint) == DEFAULT else Path(checkpoint)


def is_on_hub(checkpoint: str | Path) -> bool:
    """Whether an option names a repository of the Hugging Face Hub."""
    return str(checkpoint).startswith(hub.PREFIX)


def name_of(path: str | Path) -> str:
    """What weights are called unless they are given another name: a file by its stem; one that is called like those of
    every run (`weights.safetensors`) by its folder; a repository by its own name, without owner and revision."""
    if is_on_hub(path):
        return str(path).partition("@")[0].rpartition("/")[2]
    file = (default_checkpoint() if str(path) == DEFAULT else Path(path)).absolute()
    return (file.parent.name or file.stem) if file.name == hub.WEIGHTS else file.stem


def open_weights(
    path: str | Path, sam2: str | Path | None, device: str, engine: str, shared: Shared, untrained: bool = False,
    lean: bool = False,
) -> Opened:  # fmt: skip
    """Any kind of file that `Segmenter.load` takes."""
    file = checkpoint_path(path)
    if exported.is_exported(file):
        network = exported.open_exported(file)
        check_trained(network.info, file, untrained)
        return Opened(network, network.sha256, exported.device_of(network, device, engine))
    stored = read_stored(
        file, proven=lambda stored: was_made(stored.kind, stored.sha256) or (lean and stored.kind == FULL)
    )
    check_trained(stored.info, file, untrained)
    make, reload = partial(model_of, stored, sam2), partial(load_same, file, sam2, stored.sha256)
    elsewhere = Elsewhere(Order(str(file), stored.sha256)) if lean and stored.kind == FULL else None
    about = stored.model, stored.info
    return Opened(
        Source(None, reload, shared, about, make, partial(was_made, stored.kind, stored.sha256), elsewhere),
        stored.sha256,
        device,
    )


def was_made(kind: str, sha256: str) -> bool:
    """Whether a network was made of the same file before, by the same code: then it need not be tried again, and an
    engine that kept what it compiled never makes it. Not of adapters, which another file belongs to."""
    return kind == FULL and cache.read_json(mark_of(sha256)) is not None


def mark_of(sha256: str) -> Path:
    return cache.path_of("made", ".json", weights=sha256)


def model_of(stored: Stored, sam2: str | Path | None) -> SARTM:
    """As the checkpoint's function, and noted for `was_made`."""
    from sartm_core.model import checkpoint  # the network takes seconds to import

    model = checkpoint.model_of(stored, sam2)
    if stored.kind == FULL:
        cache.keep_json(mark_of(stored.sha256), {"weights": stored.sha256, "path": str(stored.path)})
    return model


def check_trained(info: ModelInfo, path: Path, untrained: bool) -> None:
    """ValueError when the classes of a file are known to be untrained, and that is not wanted."""
    if info.untrained and not untrained:
        raise ValueError(
            f"checkpoint: {named(path)}: its classes were never trained, so its masks would mean nothing. Train from "
            "it first (sartm train --init FILE; of an imported encoder --init_as_base true). To try it all the same: "
            "--untrained of sartm predict and bag, Segmenter.load(..., untrained=True)"
        )


def load_same(path: Path, sam2: str | Path | None, digest: str) -> SARTM:
    """The weights that were loaded before. ValueError when the file has changed since."""
    stored = read_stored(path)
    if stored.sha256 != digest:
        raise ValueError(f"checkpoint: {path} has changed since it was loaded; load it again (node: ~/reload)")
    return model_of(stored, sam2)


def default_checkpoint() -> Path:
    """The weights shipped with the package."""
    return Path(str(resources.files("sartm_core") / "weights" / "default.safetensors"))


def shipped_backbone() -> str:
    """Of those weights."""
    return read_metadata(default_checkpoint())["model"]["backbone"]
