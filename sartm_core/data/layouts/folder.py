"""Own data."""

from __future__ import annotations

from pathlib import Path

from sartm_core.data.class_list import read_classes
from sartm_core.data.pairs import CAMERAS, ListedPairs
from sartm_core.support.classes import LABEL_SETS, LabelSet

CLASS_LIST = "classes.yaml"


class FolderPairs(ListedPairs):
    """Own data: `rgb/NAME.*`, `thermal/NAME.*`, `labels/NAME.*` (needed for training only), `classes.yaml`, lists.

    Of rgb/ and thermal/ one may be missing: the frames are those of one camera then.
    """

    expects = (
        f"rgb/ and thermal/ with images of the same names, or one of them (and labels/, {CLASS_LIST}, split lists)"
    )
    folders = {"rgb": ("rgb",), "thermal": ("thermal",), "label": ("labels",)}
    one_size = False
    lists_needed = False

    @classmethod
    def matches_one_camera(cls, root: Path) -> bool:
        """Whether `root` has at least one of the two cameras' folders."""
        return any((root / name).is_dir() for kind in CAMERAS for name in cls.folders[kind])

    def find_cameras(self) -> tuple[str, ...]:
        there = tuple(kind for kind in CAMERAS if (self.root / self.folders[kind][0]).is_dir())
        return there or CAMERAS

    def find_label_set(self, name: str | None) -> LabelSet:
        path = self.root / CLASS_LIST
        if not path.is_file():
            return super().find_label_set(name)
        own = read_classes(path)
        if name and LABEL_SETS[name].names != own.names:
            raise ValueError(
                f"label_set: {name!r} was given, but {path} lists other classes {own.names}; leave out one of the two"
            )
        return own
