"""Signals reach a process that has run OpenVINO: a crash here ends the process, so each test has one of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from test.core.runs import environment

DROP_ELSEWHERE = """
import gc, signal, threading
import torch

from sartm_core.support.device import CPU
from sartm_core.runtime.engines import openvino
from sartm_core.runtime.engines.base import Settings

class Double(torch.nn.Module):
    def forward(self, x): return x * 2
    def example(self): return (torch.zeros(1, 3),)

sessions = [openvino.session(lambda: openvino.convert(Double()), (1, 3), Settings(CPU, "fp32"))]
thread = threading.Thread(target=lambda: (sessions.clear(), gc.collect()))
thread.start()
thread.join()
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
signal.raise_signal(signal.SIGUSR1)
"""


def test_a_signal_after_a_network_was_dropped_by_another_thread_is_handled() -> None:
    """It was a segmentation fault: the plugin freed the signal stack it had given to the first thread."""
    pytest.importorskip("openvino")
    done = subprocess.run(
        [sys.executable, "-c", DROP_ELSEWHERE], env=environment(), timeout=120, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
