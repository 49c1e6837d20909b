"""Progress bars that also read well in a log file."""

from __future__ import annotations

import sys

from tqdm import tqdm

LOG_INTERVAL_S = 30.0


def bar(total: float, what: str, unit: str) -> tqdm:
    """A tqdm bar; where nobody watches (no terminal) it writes a line now and then only."""
    calm = {} if sys.stderr.isatty() else {"mininterval": LOG_INTERVAL_S}
    return tqdm(total=total, desc=what, unit=unit, **calm)
