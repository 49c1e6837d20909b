"""What a process says of its own memory."""

from __future__ import annotations

import mmap
from pathlib import Path

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


def test_what_is_left_of_a_machine_or_a_container(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       8000 kB\nMemFree:    1 kB\nMemAvailable:   3000 kB\n")
    monkeypatch.setattr(memory, "MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert (memory.machine_memory(), memory.available()) == (8_192_000, 3_072_000)
    (tmp_path / "memory.max").write_text("max\n")
    assert (memory.machine_memory(), memory.available()) == (8_192_000, 3_072_000)
    (tmp_path / "memory.max").write_text("4000000\n")
    (tmp_path / "memory.stat").write_text("anon 3900000\nanon_thp 1\nfile 50000\n")
    assert (memory.machine_memory(), memory.available()) == (4_000_000, 100_000)
    monkeypatch.setattr(memory, "MACHINE", tmp_path / "none")
    monkeypatch.setattr(memory, "CGROUP", tmp_path / "none")
    assert (memory.machine_memory(), memory.available()) == (0, 0)
