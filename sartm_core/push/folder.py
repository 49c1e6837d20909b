"""The files of a repository on the Hub: the checkpoint as it is, `config.json` for people, the model card."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sartm_core.model.checkpoint import read_metadata
from sartm_core.model.config import ModelConfig
from sartm_core.model.hub import CONFIG, LIBRARY, WEIGHTS
from sartm_core.model.sartm import ModelInfo
from sartm_core.push.card import Published, model_card
from sartm_core.support.fields import from_dict, to_dict
from sartm_core.support.files import replacing, write_json, write_text

CARD = "README.md"


def write_folder(weights: Path, folder: Path, repository: str, license_id: str) -> list[Path]:
    """Write the repository `owner/name` below `folder`; returns the files. ValueError and OSError name the fault."""
    if [bool(part) for part in repository.split("/")] != [True, True]:
        raise ValueError(f"--to {repository}: expected owner/name")
    content = read_metadata(weights)
    model = from_dict(ModelConfig, content["model"], "checkpoint.model.")
    info = from_dict(ModelInfo, content["info"], "checkpoint.info.")
    about = Published(repository, license_id, content["kind"], model, info)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in (WEIGHTS, CONFIG, CARD)]
    with replacing(files[0]) as temporary:
        shutil.copyfile(weights, temporary)
    write_json(files[1], describe(about))
    write_text(files[2], model_card(about))
    return files


def describe(about: Published) -> dict[str, Any]:
    """`config.json`: what the network is and what it is fed with. The weight file itself knows it all, and counts."""
    info = about.info
    base = {"base": {"file": info.base_name, "sha256": info.base_sha256}} if about.kind == "adapter" else {}
    network = {"model": to_dict(about.model), "preprocess": to_dict(info.preprocess)}
    return {"library_name": LIBRARY, "kind": about.kind, **base, **network}
