"""What a process says of its own memory."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from sartm_core.support import memory


def test_the_peak_can_be_forgotten() -> None:
    if not memory.reset_peak():
        pytest.skip("the system does not let a process reset its peak memory")
    size = 100_000_000
    block = mmap.mmap(-1, size)  # of the system: malloc may keep what it is given back
    np.frombuffer(block, np.uint8)[:] = 1
    assert memory.resident() > size
    block.close()
    assert memory.peak_resident() > memory.resident() + 0.9 * size
    memory.reset_peak()
    assert memory.peak_resident() < memory.resident() + 0.1 * size
