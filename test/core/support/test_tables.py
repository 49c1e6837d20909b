"""The tables of what can be chosen: each line leads to something, and none is imported to read the names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sartm_core.data import layouts
from sartm_core.data.pairs import Pairs
from sartm_core.losses import LOSSES, segmentation_loss
from sartm_core.losses.teachers import TEACHERS, teacher_of
from sartm_core.model import aux_heads
from sartm_core.support.tables import entry

ROOT = Path(__file__).resolve().parents[3]


def test_every_line_leads_to_something() -> None:
    assert all(callable(segmentation_loss(kind)) for kind in LOSSES)
    assert all(
        callable(teacher_of(name).embed) and callable(teacher_of(name).source) for name in TEACHERS if name != "none"
    )
    assert all(callable(entry(aux_heads.__name__, place)) for place in aux_heads.AUX_HEADS.values() if place)
    for dataset in layouts.DISK_LAYOUTS:
        assert all(issubclass(layout, Pairs) for layout in layouts.layouts_of(dataset))


def test_a_line_without_its_file_or_object_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError, match="sartm_core.losses.nowhere"):
        entry("sartm_core.losses", "nowhere.loss")
    with pytest.raises(AttributeError, match="nothing"):
        entry("sartm_core.losses", "ohem.nothing")


def test_a_configuration_knows_the_names_without_torch() -> None:
    code = "import sys, sartm_core.train.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
