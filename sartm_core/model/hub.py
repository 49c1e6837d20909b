"""Weights by name on the Hugging Face Hub, fetched into its cache on this disk.

A repository of `sartm push` holds our own `.safetensors` file, which knows all of its network, and a `config.json` for
people. Nothing else is fetched, so there is nothing to unpickle. `HF_HUB_OFFLINE=1` and `HF_HOME` work as everywhere.

`huggingface_hub` is imported on use. Its PyTorchModelHubMixin would be a base class of `SARTM`, so needed by all, and
writes a weight file of its own, without our metadata.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PREFIX = "hf:"
"""In front of a repository's name where a file could stand as well."""
WEIGHTS, CONFIG = "weights.safetensors", "config.json"
LIBRARY = "sartm"
"""`library_name` in a repository of ours."""


def find(repository: str | Path) -> Path:
    """The weight file of a folder of `sartm push --output`, or of `owner/name` or `owner/name@revision` on the Hub.

    Raises:
        ValueError: a name that is none, a repository of another library, no `huggingface_hub` here.
        OSError: no such repository or revision, not reachable and not in the cache.
    """
    if Path(repository).is_dir():
        return Path(repository) / WEIGHTS
    return fetch(str(repository).removeprefix(PREFIX))


def fetch(repository: str) -> Path:
    """The weight file of `owner/name` or `owner/name@revision`; errors as `find`."""
    owner_and_name, _, revision = repository.partition("@")
    if len([part for part in owner_and_name.split("/") if part]) != 2:
        raise ValueError(f"{PREFIX}{repository}: expected {PREFIX}owner/name or {PREFIX}owner/name@revision")
    hub = library()
    try:
        config = hub.hf_hub_download(owner_and_name, CONFIG, revision=revision or None, library_name=LIBRARY)
        check_config(Path(config), repository)
        weights = hub.hf_hub_download(owner_and_name, WEIGHTS, revision=revision or None, library_name=LIBRARY)
    except OSError as error:
        raise OSError(f"{PREFIX}{repository}: cannot be fetched ({' '.join(str(error).split())})") from error
    return Path(weights)


def check_config(path: Path, repository: str) -> None:
    """Raise ValueError unless it is that of a repository of ours."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("library_name")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{PREFIX}{repository}: its {CONFIG} is not readable ({error})") from error
    if found != LIBRARY:
        raise ValueError(
            f"{PREFIX}{repository}: its {CONFIG} has library_name {found!r}, expected {LIBRARY!r}; "
            "only repositories of `sartm push` can be used"
        )


def library() -> Any:
    """The module `huggingface_hub`. ValueError says how to get it."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise ValueError('hf: huggingface_hub is not installed; pip install "sartm_ros[hub]"') from error
    return huggingface_hub
