"""A model that cannot be right is refused everywhere, in words; and what is hashed is what runs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch

from sartm_core.model import stored
from sartm_core.model.checkpoint import model_of, read_metadata, read_stored
from sartm_core.model.sartm import SARTM
from sartm_core.support.text import LONGEST
from test.core.conftest import make_model
from test.core.hostile import BYTES, CHANGES, write_all


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    return write_all(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("wrong", [*CHANGES, *BYTES])
def test_a_model_that_cannot_be_right_is_refused_in_words(hostile: dict[str, tuple[Path, str]], wrong: str) -> None:
    path, words = hostile[wrong]
    with pytest.raises(ValueError, match=words) as error:
        SARTM.load(path)
    text = str(error.value)
    assert path.name in text and len(text) < 2 * LONGEST and "\n" not in text


def test_the_weights_are_those_of_the_bytes_that_were_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the file was opened three times, and `sha256` named what another had written meanwhile."""
    path = make_model().save(tmp_path / "a.safetensors")
    first, state = path.read_bytes(), make_model().state_dict()
    real = stored.whole

    def swapped_after(file, what: str) -> bytes:
        data = real(file, what)
        path.write_bytes(bytes(len(first)))  # in place
        return data

    monkeypatch.setattr(stored, "whole", swapped_after)
    found = read_stored(path)
    os.truncate(path, 0)  # a mapped file would end the process here
    model = model_of(found)
    assert found.sha256 == hashlib.sha256(first).hexdigest()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_metadata_is_read_without_the_tensors_and_checked_the_same(hostile: dict[str, tuple[Path, str]]) -> None:
    path, words = hostile["rank of a billion"]
    with pytest.raises(ValueError, match=words):
        read_metadata(path)


def test_paths_that_are_no_files_are_refused_in_words(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, why in ((tmp_path, "folder"), (tmp_path / "pipe", "pipe"), ("x" * 5000, "too long"), ("a\0b", "so")):
        with pytest.raises(FileNotFoundError, match=why) as error:
            SARTM.load(path)
        assert len(str(error.value)) < LONGEST
