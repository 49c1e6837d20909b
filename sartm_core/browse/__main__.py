"""Look through a data set in a browser: labels over frames, with filters by class, split, day or night, and fault.

    sartm browse DIR
    sartm check-data --data DIR --output checked; sartm browse DIR --findings checked/check_data.json

A local page; nobody else can look unless --host says so. docs/view.md tells more.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from sartm_core.browse.config import BrowseConfig
from sartm_core.browse.labels import Labels, read_findings
from sartm_core.data.datasets import detect_dataset
from sartm_core.view.model import Masks
from sartm_core.view.serve import command
from sartm_core.view.source import Listed, Live


def open_labels(root: Path | None, config: BrowseConfig, _: Masks) -> AbstractContextManager[Listed | Live]:
    if root is None:
        raise ValueError("nothing to show; give the folder of a data set")
    findings = read_findings(Path(config.findings), root) if config.findings else {}
    return nullcontext(Labels(config.dataset or detect_dataset(root), root, config.split, findings, config.label_set))


def main(argv: Sequence[str] | None = None) -> int:
    return command("browse", __doc__, "DIR: folder of the data set", BrowseConfig, open_labels, argv)


if __name__ == "__main__":
    raise SystemExit(main())
