"""Look at the masks of frames on disk in a browser: a local page. `sartm view` also shows a running node or a bag.

    python -m sartm_core.view DIR                              # rgb/ and thermal/, MFNet, PST900, FMB
    python -m sartm_core.view --rgb a.png --thermal b.png

Nobody else can look unless --host says so. docs/view.md tells more.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from sartm_core.view.config import ViewConfig
from sartm_core.view.model import Masks
from sartm_core.view.serve import command
from sartm_core.view.source import Listed, Live


def open_files(what: Path | None, config: ViewConfig, masks: Masks) -> AbstractContextManager[Listed | Live]:
    from sartm_core.view.folder import open_folder

    source = open_folder(config, what, masks)
    _ = masks.segmenter  # a wrong checkpoint is told here, not on the page
    return nullcontext(source)


def main(argv: Sequence[str] | None = None) -> int:
    return command("view", __doc__, "DIR: folder of a data set, or of rgb/ and thermal/", ViewConfig, open_files, argv)


if __name__ == "__main__":
    raise SystemExit(main())
