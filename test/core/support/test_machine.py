"""A full disk, a file-size limit, too little address space: exit code 1 and one line, whatever the error came by."""

from __future__ import annotations

import argparse
import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sartm_core import __main__ as sartm
from sartm_core.support import machine
from sartm_core.support.cli import finish
from sartm_core.support.files import cache_folder, scratch_folder
from test.core import layouts

ERRORS = {
    "a full disk": OSError(errno.ENOSPC, "No space left on device", "a.png"),
    "a limit on files": OSError(errno.EFBIG, "File too large"),
    "numpy": np._core._exceptions._ArrayMemoryError((2**40,), np.dtype(np.uint8)),
    "nothing said": MemoryError(),
    "torch": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    "the loader": ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    "torch's writer": RuntimeError("PytorchStreamWriter failed writing file data/1: file write failed"),
}


def work_that_raises(error: Exception, wrapped: bool):
    def work() -> None:
        try:
            raise error
        except Exception as first:
            if wrapped:
                raise ValueError("the picture cannot be written") from first
            raise

    return work


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("what", ERRORS)
def test_any_command_ends_with_1_and_a_line(what: str, wrapped: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        finish(argparse.ArgumentParser("sartm predict"), work_that_raises(ERRORS[what], wrapped))
    told = capsys.readouterr().err
    assert stop.value.code == 1 and told.startswith("predict: ") and told.count("\n") == 1
    assert any(told.endswith(f"; {advice}\n") for advice in machine.ADVICE.values())


def test_other_errors_are_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        finish(argparse.ArgumentParser("sartm predict"), work_that_raises(ValueError("--rgb: no"), False))
    assert stop.value.code == 2
    with pytest.raises(KeyError):
        finish(argparse.ArgumentParser("sartm predict"), work_that_raises(KeyError("a bug"), False))


def test_a_command_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(name: str) -> None:
        raise ERRORS["the loader"]

    monkeypatch.setattr(sartm.importlib, "import_module", full)
    assert sartm.main(["predict"]) == 1
    assert "failed to map segment" in (told := capsys.readouterr().err) and "ulimit -v" in told


def test_a_library_that_does_not_know_why_its_file_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO says "basic_ios::clear: iostream error"."""

    def fails() -> None:
        with scratch_folder(tmp_path / "a.xml"):
            raise RuntimeError("basic_ios::clear: iostream error")

    with pytest.raises(RuntimeError, match="iostream"):
        fails()
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: argparse.Namespace(free=0))
    with pytest.raises(OSError, match=r"No space left on device.*a\.xml"):
        fails()
    assert not list(tmp_path.iterdir())


def test_a_real_limit_on_file_sizes_leaves_nothing_half_written(tmp_path: Path) -> None:
    for name in ("00001", "00002"):
        layouts.save(tmp_path / "data" / "rgb" / f"{name}.png", layouts.rgb_of(name))
        layouts.save(tmp_path / "data" / "thermal" / f"{name}.png", layouts.thermal_of(name, bits=16))
    (tmp_path / "data" / "classes.yaml").write_text("names: [unlabeled, car]\n")
    words = ["labels", "export", "--data", str(tmp_path / "data"), "--output", str(tmp_path / "out" / "a.zip")]
    done = subprocess.run(
        [sys.executable, "-m", "sartm_core", *words], capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    )  # fmt: skip
    assert done.returncode == 1 and "File too large: " in done.stderr and "Traceback" not in done.stderr
    assert "a.zip" in done.stderr and not list((tmp_path / "out").iterdir())


def test_a_user_without_a_home_has_a_cache_and_no_folder_called_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SARTM_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache_folder().is_absolute()
