"""A number for a picture: equal for equal ones, another one when sensor noise changed it. Tells frozen cameras.

A picture without any detail has none (lens cap, night, saturated): it stays the same at a camera in good health.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

ROWS, COLUMNS = 120, 1024
"""At most about twice as many rows and columns of raw pixels are looked at, evenly spread."""
TAIL_SHARE = 3
"""The last third of a compressed file is looked at for detail: it has no headers."""
TRAILER_BYTES = 24
"""What ends a JPEG or PNG, checksums above all."""
PROBE_BYTES = 24
LONGEST_PERIOD_BYTES = 64
"""Without detail the bytes of JPEG and PNG repeat themselves, block by block, with a period well below this."""


def of_pixels(view: np.ndarray) -> int | None:
    """Checksum of a sample of raw pixels (H, W) or (H, W, C); None when all of them are equal."""
    rows = max(1, view.shape[0] // ROWS)
    columns = max(1, view.shape[1] // COLUMNS)
    sample = view[rows // 2 :: rows, columns // 2 :: columns]
    data = sample.tobytes()
    pixels = sample.shape[0] * sample.shape[1]
    if data == data[: len(data) // pixels] * pixels:
        return None
    return zlib.crc32(data)


def of_file(data: Any) -> int | None:
    """Checksum of all bytes of a JPEG or PNG; None when its end shows no detail. Pictures of a few pixels count as if
    they had some.
    """
    tail = bytes(data[-(len(data) // TAIL_SHARE) - 1 : -TRAILER_BYTES])
    period = tail.find(tail[:PROBE_BYTES], 1, PROBE_BYTES + LONGEST_PERIOD_BYTES)
    if len(tail) >= 2 * PROBE_BYTES and period > 0 and tail[period:] == tail[:-period]:
        return None
    return zlib.crc32(data)
