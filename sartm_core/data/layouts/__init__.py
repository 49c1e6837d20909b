"""Folder layouts of RGB-thermal data sets: one file a data set, and one line here.

A layout is one class, a `ListedPairs` or `PartedPairs` that says which folders hold what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartm_core.support.tables import entry

if TYPE_CHECKING:
    from sartm_core.data.pairs import Pairs

DISK_LAYOUTS = {
    "folder": ("folder.FolderPairs",),
    "mfnet": ("mfnet.MFNetImages", "mfnet.MFNetSeparated", "mfnet.MFNetFolders"),
    "pst900": ("pst900.PST900Pairs",),
    "fmb": ("fmb.FMBPairs",),
}
"""Data set -> file in this folder and class of the layouts it is found in; the first that fits counts, for an unknown
folder too: rgb/ with thermal/ is `folder`."""
DATASETS = ("synthetic", *DISK_LAYOUTS)
"""What a configuration may name."""


def layouts_of(*datasets: str) -> tuple[type[Pairs], ...]:
    """The layouts of these data sets, in their order."""
    return tuple(entry(__name__, place) for dataset in datasets for place in DISK_LAYOUTS[dataset])
