"""A process of our own: what becomes of it when it fails, is late, or loses who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sartm_core.support import child

MODULE = "told_what_to_do"
TELLS = """
import os, sys, time
from sartm_core.support import child
child.end_with_parent()
exec(sys.argv[1])
"""
PARENT = "from sartm_core.support import child; child.run('{}', ['{}'], 'waiting', 600)"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / f"{MODULE}.py").write_text(TELLS)
    monkeypatch.syspath_prepend(tmp_path)
    return MODULE


def test_it_runs_with_the_arguments_and_paths_of_this_process(module: str, tmp_path: Path) -> None:
    child.run(module, [f"open({str(tmp_path / 'done')!r}, 'w').close()"], "testing", patience=600)
    assert (tmp_path / "done").exists()


def test_what_lies_in_the_current_folder_is_not_imported(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a user's json.py kept the node from starting."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "json.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path / "here")
    child.run(module, ["import json; json.dumps"], "testing", patience=600)


def test_its_last_words_are_told(module: str) -> None:
    with pytest.raises(child.ChildError, match="ended with exit code 3: b c d") as failed:
        child.run(module, ["print('a\\nb\\nc\\nd'); sys.exit(3)"], "testing", patience=600)
    assert failed.value.code == 3


def test_a_signal_is_told(module: str) -> None:
    with pytest.raises(child.ChildError, match=r"^was ended by signal 9$") as failed:
        child.run(module, ["os.kill(os.getpid(), 9)"], "testing", patience=600)
    assert failed.value.code == -9


def test_who_is_late_is_ended(module: str, tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="not done within 0 s"):
        child.run(module, ["time.sleep(600)"], "testing", patience=0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_when_its_parent_is_gone(module: str, tmp_path: Path, number: signal.Signals) -> None:
    """Else a node that is killed while it loads would leave a compiler of a gigabyte behind."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    task = f'held = open(r"{fifo}", "w"); held.write("here"); held.flush(); time.sleep(600)'
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(module, task)], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    with fifo.open() as words:
        assert words.read(4) == "here"
        parent.send_signal(number)
        parent.wait(60)
        assert words.read() == "", "it comes to an end when the last process that could write is gone"


def test_ctrl_c_is_for_the_parent(module: str, tmp_path: Path) -> None:
    child.run(module, [f"os.kill(os.getpid(), 2); open({str(tmp_path / 'done')!r}, 'w').close()"], "testing", 600)
    assert (tmp_path / "done").exists()
