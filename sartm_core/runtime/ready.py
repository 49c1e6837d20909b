"""The other process of `engines/elsewhere.py`: loads weights and runs them once, for what that leaves in the cache.

python -m sartm_core.runtime.ready '{"checkpoint": ...}' error.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from sartm_core.runtime.engines.elsewhere import KINDS, Order
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support import child
from sartm_core.support.fields import from_dict


def main(order: str, error: str) -> None:
    """Do it in this process."""
    try:
        fill(from_dict(Order, json.loads(order)))
    except Exception as problem:
        kind = next((name for name, known in KINDS.items() if isinstance(problem, known)), type(problem).__name__)
        Path(error).write_text(json.dumps([kind, str(problem)]), encoding="utf-8")
        raise


def fill(order: Order) -> None:
    """Load and run once. ValueError as of that, or when the file has changed."""
    segmenter = Segmenter.load(
        order.checkpoint, "cpu", order.precision, order.engine, thermal=order.thermal, input_size=order.size,
        threads=order.threads, untrained=True, calibration=order.calibration,
    )  # fmt: skip
    if segmenter.sha256 != order.sha256:
        raise ValueError(f"checkpoint: {order.checkpoint} has changed since it was loaded; load it again")
    if order.size is not None:
        segmenter.check(np.zeros((*order.size, 3), np.uint8), None)


if __name__ == "__main__":
    child.end_with_parent()
    main(*sys.argv[1:])
