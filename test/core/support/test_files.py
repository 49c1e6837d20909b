"""Files are replaced in one step."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sartm_core.support import files
from sartm_core.support.files import read_whole, replacing, scratch_folder, unreadable, whole, write_text


def test_what_fails_halfway_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old \u00e9")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text(encoding="utf-8") == "old \u00e9" and list(tmp_path.iterdir()) == [path]
    write_text(path, "new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask,mode", [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_every_file_follows_the_umask_also_those_of_safetensors(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "weights.safetensors") as temporary:
            save_file({"a": torch.zeros(1)}, temporary)
        write_text(tmp_path / "a.txt", "text")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}


def test_a_full_disk_names_the_file_that_was_to_be(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(OSError, match=r"No space.*a\.txt'$"), replacing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


class Shared(io.FileIO):
    """A file that somebody else changes while it is read."""

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        self.change(Path(str(self.name)))
        return data


def rewrite(path: Path) -> None:
    path.write_bytes(b"other")
    os.utime(path, ns=(1, 1))


def rewrite_at_once(path: Path) -> None:
    """So soon after the last time that the file has the same time stamp."""
    stamp = path.stat().st_mtime_ns
    path.write_bytes(os.urandom(5))
    os.utime(path, ns=(stamp, stamp))


@pytest.mark.parametrize("change", [rewrite, rewrite_at_once, lambda path: os.truncate(path, 2)])
def test_a_file_that_is_written_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"first")
    assert read_whole(path, "it") == b"first"
    monkeypatch.setattr(files, "FRESH_NS", 10**18)
    monkeypatch.setattr(files, "PAUSE_S", 0)
    with Shared(path) as file:
        file.change = change
        with pytest.raises(OSError, match="it: .*a.bin changed while it was read"):
            whole(file, "it")


def test_whatever_a_path_is_the_answer_is_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: `is_file` raises for a name too long or a folder that may not be entered."""
    (tmp_path / "here").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert unreadable(tmp_path / "here") == ""
    paths = {
        tmp_path: "folder",
        tmp_path / "pipe": "pipe",
        tmp_path / "circle": "symbolic links",
        "/dev/zero": "device",
    }
    paths |= {
        "x" * 5000: "too long",
        "a\0b": "called so",
        "\ud800": "called so",
        "": "no such",
        "/nowhere/a": "no such",
    }
    for path, words in paths.items():
        assert words in unreadable(path)
    monkeypatch.setattr(os, "stat", lambda _: (_ for _ in ()).throw(PermissionError(errno.EACCES, "Permission denied")))
    assert unreadable(tmp_path / "here") == "permission denied"


def test_what_a_killed_process_left_goes_at_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "a.[1].txt"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = [path.with_name(f"{path.name}.{gone.pid}.tmp"), path.with_name(f".{path.name}.{gone.pid}.tmp")]
    left[0].touch()
    left[1].mkdir()
    (left[1] / "half").touch()
    kept = [tmp_path / f"b.txt.{gone.pid}.tmp", path.with_name(f"{path.name}.{os.getppid()}.tmp")]
    for other in kept:
        other.touch()
    write_text(path, "new")
    assert sorted(tmp_path.iterdir()) == sorted([path, *kept])
    with scratch_folder(path) as folder:
        (folder / "draft").touch()
    assert sorted(tmp_path.iterdir()) == sorted([path, *kept])
