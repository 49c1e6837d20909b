"""What can be told to a page of labels."""

from __future__ import annotations

from dataclasses import dataclass

from sartm_core.data.layouts import DISK_LAYOUTS
from sartm_core.support.classes import LABEL_SETS
from sartm_core.support.fields import one_of
from sartm_core.view.config import PageConfig


@dataclass(frozen=True)
class BrowseConfig(PageConfig):
    """Which frames to show as well."""

    dataset: str | None = None
    """Layout of the folder: `folder`, `mfnet`, `pst900` or `fmb`. None: found out."""
    split: str | None = None
    """Only this split of it: `train`, `val`, `test` or another list. None: all frames."""
    label_set: str | None = None
    """Ids of the label files: `mfnet`, `pst900` or `fmb`. None: the data set's own."""
    findings: str | None = None
    """The check_data.json of `sartm check-data --output DIR`: frames by what was found in them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset is not None:
            one_of(type(self).__name__, "dataset", self.dataset, tuple(DISK_LAYOUTS))
        if self.label_set is not None:
            one_of(type(self).__name__, "label_set", self.label_set, tuple(LABEL_SETS))
