"""Probes of the installation: the packages SARTM asks for, its optional extras, its caches."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from sartm_core.doctor.findings import MISSING, NOTE, OK, Finding, install

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION = "sartm_ros"
EXTRAS = {
    "train": "sartm train, ablate, figures",
    "tools": "videos in sartm predict, recordings in sartm bag",
    "calibrate": "sartm calibrate",
    "openvino": "engine openvino, sartm export --format openvino",
    "onnx": "engine onnxruntime, sartm export --format onnx",
    "pretrained": "training from model.pretrained without a hub",
    "minilm": "training with loss.teacher minilm",
}
"""Extra of setup.py -> what needs it."""
MIB, GIB = 2**20, 2**30


def packages() -> Iterator[Finding]:
    """Those that SARTM always needs, by its own metadata."""
    there, lacking, old = sorted_out("")
    yield Finding(OK, "packages", ", ".join(there))
    for name in lacking:
        yield Finding(MISSING, name, "not installed", install(name.lower()))
    for text in old:
        yield Finding(NOTE, text.split()[0], text, f"pip install --upgrade {text.split()[0]}")


def extras() -> Iterator[Finding]:
    """Those that one command or the other needs."""
    for extra, users in EXTRAS.items():
        there, lacking, old = sorted_out(extra)
        remedy = f'pip install "{DISTRIBUTION}[{extra}]"'
        if lacking:
            yield Finding(MISSING, extra, f"{users}: needs {', '.join(lacking)}", remedy)
        elif old:
            yield Finding(NOTE, extra, f"{users}: {', '.join(old)}", f"{remedy} --upgrade")
        else:
            yield Finding(OK, extra, f"{users}: {', '.join(there)}")


def sorted_out(extra: str) -> tuple[list[str], list[str], list[str]]:
    """What an extra needs, "" SARTM itself: what is there, what is not, what is too old; with versions."""
    lines = metadata.requires(DISTRIBUTION) or ()
    from packaging.requirements import Requirement

    there: list[str] = []
    lacking: list[str] = []
    old: list[str] = []
    for wanted in map(Requirement, lines):
        if not asked_by(extra, wanted):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            lacking.append(wanted.name)
            continue
        fits = wanted.specifier.contains(version, prereleases=True)
        (there if fits else old).append(f"{wanted.name} {version}{'' if fits else f' is not {wanted.specifier}'}")
    return there, lacking, old


def asked_by(extra: str, wanted: Requirement) -> bool:
    """Whether it is one of the extra's own, or for "" one of those always needed."""
    if wanted.marker is None:
        return not extra
    return wanted.marker.evaluate({"extra": extra}) and not (extra and wanted.marker.evaluate({"extra": ""}))


def caches() -> Iterator[Finding]:
    """What is kept between starts, by kind."""
    from sartm_core.support.files import cache_folder

    folder = cache_folder()
    standing = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    if not os.access(standing, os.W_OK):
        yield Finding(NOTE, "caches", f"{folder} cannot be written", "export SARTM_CACHE=a folder of yours")
        return
    kinds = [f"{path.name} {size(path) / MIB:,.0f} MiB" for path in sorted(folder.glob("*"))]
    free = shutil.disk_usage(standing).free / GIB
    yield Finding(OK, "caches", f"{folder}: {', '.join(kinds) or 'empty'}; {free:,.0f} GiB free")


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
