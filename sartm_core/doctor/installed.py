"""Probes of the installation: the packages SARTM asks for, its optional extras, its caches."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from sartm_core.doctor.findings import MISSING, NOTE, OK, Finding, install

DISTRIBUTION = "sartm_ros"
EXTRAS = {
    "train": "sartm train, ablate, figures",
    "tools": "videos in sartm predict, recordings in sartm bag",
    "calibrate": "sartm calibrate",
    "target": "sartm calibrate --target",
    "view": "sartm view, sartm browse",
    "openvino": "engine openvino, sartm export --format openvino",
    "int8": "precision int8, sartm export --precision int8",
    "onnx": "engine onnxruntime, sartm export --format onnx",
    "pretrained": "training from model.pretrained without a hub",
    "minilm": "training with loss.teacher minilm",
    "hub": "sartm push, --checkpoint hf:OWNER/NAME",
    "wandb": "training with trainer.logger wandb",
}
"""Extra of setup.py -> what needs it."""
MIB, GIB = 2**20, 2**30


def packages() -> Iterator[Finding]:
    """Those that SARTM always needs, by its own metadata."""
    found = requirements("")
    yield Finding(OK, "packages", ", ".join(found[OK]))
    for name in found[MISSING]:
        yield Finding(MISSING, name, "not installed", install(name.lower()))
    for text in found[NOTE]:
        yield Finding(NOTE, text.split()[0], text, f"pip install --upgrade {text.split()[0]}")


def extras() -> Iterator[Finding]:
    """Those that one command or the other needs."""
    for extra, users in EXTRAS.items():
        found, remedy = requirements(extra), f'pip install "{DISTRIBUTION}[{extra}]"'
        if found[MISSING]:
            yield Finding(MISSING, extra, f"{users}: needs {', '.join(found[MISSING])}", remedy)
        elif found[NOTE]:
            yield Finding(NOTE, extra, f"{users}: {', '.join(found[NOTE])}", f"{remedy} --upgrade")
        else:
            yield Finding(OK, extra, f"{users}: {', '.join(found[OK])}")


def requirements(extra: str) -> dict[str, list[str]]:
    """What an extra needs, "" SARTM itself: `OK` what is there, `MISSING`, `NOTE` what is too old; with versions."""
    lines = metadata.requires(DISTRIBUTION) or ()
    from packaging.requirements import Requirement

    found: dict[str, list[str]] = {OK: [], MISSING: [], NOTE: []}
    for wanted in map(Requirement, lines):
        asked = [wanted.marker is None or wanted.marker.evaluate({"extra": name}) for name in ("", extra)]
        if asked != [not extra, True]:  # SARTM's own needs are not those of an extra
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            found[MISSING].append(wanted.name)
            continue
        fits = wanted.specifier.contains(version, prereleases=True)
        found[OK if fits else NOTE].append(f"{wanted.name} {version}{'' if fits else f' is not {wanted.specifier}'}")
    return found


def caches() -> Iterator[Finding]:
    """What is kept between starts, by kind."""
    from sartm_core.support.files import cache_folder

    folder = cache_folder()
    standing = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    if not os.access(standing, os.W_OK):
        yield Finding(NOTE, "caches", f"{folder} cannot be written", "export SARTM_CACHE=a folder of yours")
        return
    kinds: dict[str, int] = {}
    for path in sorted(folder.glob("*")):
        kind = path.name.split("-")[0]  # of files named by a hash what stands before it
        kinds[kind] = kinds.get(kind, 0) + size(path)
    told = ", ".join(f"{kind} {taken / MIB:,.0f} MiB" for kind, taken in kinds.items())
    free = shutil.disk_usage(standing).free / GIB
    yield Finding(OK, "caches", f"{folder}: {told or 'empty'}; {free:,.0f} GiB free")


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
