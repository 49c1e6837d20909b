"""What `make` says before it builds anything: a PYTHON= or TORCH= that is not that of the .venv."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HERE = "{}.{}".format(*sys.version_info[:2])
OURS = ("PYTHON", "TORCH", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS")
"""Variables that a `make` around this test hands down."""
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """As far as the check looks: a Python 3.99, with CUDA's libraries."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho 3.99\n")
    python.chmod(0o755)
    (tmp_path / "lib" / "python3.99" / "site-packages" / "nvidia").mkdir(parents=True)
    return tmp_path


def asked(venv: Path, *given: str) -> tuple[int, str]:
    """Exit code and complaints of `make GIVEN` up to the check."""
    command = ["make", "-C", str(ROOT), "asked-for", f"VENV={venv}", *given]
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done.returncode, done.stderr


def test_another_python_than_that_of_the_venv_is_told(venv: Path) -> None:
    code, said = asked(venv, f"PYTHON={sys.executable}")
    assert code and f"{venv} has Python 3.99, PYTHON={sys.executable} is {HERE}." in said and "make clean" in said
    code, said = asked(venv, "PYTHON=no-such-python")
    assert code and "PYTHON=no-such-python is missing." in said


def test_a_torch_with_cuda_is_told_where_one_without_is_asked_for(venv: Path) -> None:
    code, said = asked(venv, "TORCH=cpu")
    assert code and "has a PyTorch with CUDA already" in said and "make clean" in said
    shutil.rmtree(venv / "lib")
    assert asked(venv, "TORCH=cpu") == (0, "")


def test_what_fits_or_was_not_asked_for_is_not_mentioned(venv: Path, tmp_path: Path) -> None:
    assert asked(venv) == (0, "")
    assert asked(venv, f"PYTHON={venv}/bin/python") == (0, "")
    assert asked(tmp_path / "none", f"PYTHON={sys.executable}", "TORCH=cpu") == (0, "")
