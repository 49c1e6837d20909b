"""Names of repositories on the Hub; test/core/push fetches from one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sartm_core.model import hub
from sartm_core.runtime.opening import by_name, checkpoint_path, name_of


@pytest.mark.parametrize("name", ["name", "a/b/c", "owner/", "/name", "@v1", ""])
def test_names_that_are_none_are_told_with_the_form(name: str) -> None:
    with pytest.raises(ValueError, match=f"hf:{name}: expected hf:owner/name or hf:owner/name@revision"):
        checkpoint_path(f"hf:{name}")


def test_a_folder_comes_before_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub.find("owner/name") == Path("owner/name/weights.safetensors")
    with pytest.raises(FileNotFoundError, match="no file owner/name/weights.safetensors"):
        __import__("sartm_core").SARTM.from_pretrained("owner/name")


def test_a_repository_is_called_by_its_own_name() -> None:
    assert (name_of("hf:owner/night.v2@main"), name_of("hf:owner/day")) == ("night.v2", "day")
    with pytest.raises(ValueError, match="both called 'night'"):
        by_name("hf:a/night", ["hf:b/night@v1"])


@pytest.mark.parametrize(("text", "complaint"), [
    ('{"library_name": "timm"}', "library_name 'timm', expected 'sartm'"),
    ("{}", "library_name None"),
    ("[]", "not readable"),
    ("<html>", "not readable"),
])  # fmt: skip
def test_repositories_of_others_are_refused_before_their_weights(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=f"hf:a/b: its config.json .*{complaint}"):
        hub.check_config(tmp_path / "config.json", "a/b")
    (tmp_path / "config.json").write_text(json.dumps({"library_name": "sartm"}))
    hub.check_config(tmp_path / "config.json", "a/b")


def test_huggingface_hub_is_imported_on_use() -> None:
    code = "import sys, sartm_core.model.hub; print('huggingface_hub' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
