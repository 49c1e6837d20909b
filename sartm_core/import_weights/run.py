"""What `sartm import` does: files in, one checkpoint and its report out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sartm_core.import_weights.authors import import_authors, is_authors
from sartm_core.import_weights.peft import WEIGHTS, add_per_modality, add_shared, read_adapter
from sartm_core.import_weights.sam2 import import_sam2
from sartm_core.import_weights.taking import Imported
from sartm_core.import_weights.tensors import read_tensors
from sartm_core.model.checkpoint import sha256
from sartm_core.support.files import write_json


@dataclass(frozen=True)
class Sources:
    """What to import."""

    weights: Path
    """File of the whole network, or of its encoder."""
    classes: tuple[str, ...] | None = None
    """Names of the classes in the order of the outputs."""
    lora: Path | None = None
    """Folder of an adapter of `peft` for both modalities."""
    per_modality: Mapping[str, Path] = field(default_factory=dict)
    """Modality -> folder of its own adapter."""

    def __post_init__(self) -> None:
        if self.lora and self.per_modality:
            raise ValueError("--lora is for both modalities; give it, or --lora-rgb and --lora-thermal, not both")

    def files(self) -> dict[str, Path]:
        """All files with weights, by a short name."""
        folders = ([self.lora] if self.lora else []) + list(self.per_modality.values())
        return {self.weights.name: self.weights, **{f"{f.name}/{WEIGHTS}": f / WEIGHTS for f in folders}}


def import_weights(sources: Sources) -> Imported:
    """Read, check, fill a network. ValueError or FileNotFoundError names the file and what does not fit."""
    adapters = {modality: read_adapter(folder) for modality, folder in sources.per_modality.items()}
    shared = read_adapter(sources.lora) if sources.lora else None
    file = read_tensors(sources.weights)
    take = import_authors if is_authors(file.tensors) else import_sam2
    try:
        imported = take(file.tensors, sources.weights, sources.classes)
    except ValueError as error:
        raise ValueError("; ".join((str(error), *file.notes))) from error
    imported.used = [file.names[name] for name in imported.used]  # the report is about the file
    imported.ignored = {file.names[name]: why for name, why in imported.ignored.items()}
    imported.notes = [*imported.notes, *file.notes]
    if shared is not None:
        add_shared(imported, shared)
    if adapters:
        add_per_modality(imported, adapters)
    model = imported.model.eval()
    origin = {"kind": imported.kind, "files": {name: sha256(path) for name, path in sources.files().items()}}
    model.info = replace(model.info, protocol={"imported": origin})
    return imported


def write(imported: Imported, output: Path) -> Path:
    """The checkpoint, and beside it what became of every tensor; returns the path of that."""
    imported.model.save(output, kind="full")
    report = output.with_suffix(".json")
    write_json(report, imported.as_dict())
    return report
