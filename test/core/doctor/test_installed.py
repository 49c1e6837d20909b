"""Packages and extras by the metadata of the installation; caches."""

from __future__ import annotations

import ast
from importlib import metadata
from pathlib import Path

import pytest

from sartm_core.doctor import installed
from sartm_core.doctor.findings import MISSING, NOTE, OK, Finding, guarded

ROOT = Path(__file__).resolve().parents[3]
VERSIONS = {"torch": "2.4.0+cu121", "numpy": "2.1", "lightning": "2.7", "av": "1"}
REQUIRES = ["torch>=2.5", "numpy", "sam2>=1.1", 'lightning>=2.6; extra == "train"', 'av; extra == "tools"',
            'rosbags; extra == "tools"', 'onnx; extra == "onnx"']  # fmt: skip


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the packages of `VERSIONS` and an installation that asks for `REQUIRES`."""

    def version(name: str) -> str:
        if name not in VERSIONS:
            raise metadata.PackageNotFoundError(name)
        return VERSIONS[name]

    monkeypatch.setattr(installed.metadata, "version", version)
    monkeypatch.setattr(installed.metadata, "requires", lambda _: REQUIRES)


def test_packages(machine: None) -> None:
    assert list(installed.packages()) == [
        Finding(OK, "packages", "numpy 2.1"),
        Finding(MISSING, "sam2", "not installed", "SAM2_BUILD_CUDA=0 pip install --no-build-isolation sam2"),
        Finding(NOTE, "torch", "torch 2.4.0+cu121 is not >=2.5", "pip install --upgrade torch"),
    ]


def test_extras(machine: None) -> None:
    found = {finding.name: finding for finding in installed.extras()}
    assert (found["train"].status, found["tools"].status) == (OK, MISSING)
    assert found["train"].found.endswith(": lightning 2.7")
    assert found["tools"].found.endswith("needs rosbags") and found["tools"].remedy == 'pip install "sartm_ros[tools]"'


def test_a_checkout_that_was_never_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "DISTRIBUTION", "sartm_ros_of_nowhere")
    (finding,) = guarded("packages", installed.packages)
    assert finding.status == MISSING and "sartm_ros_of_nowhere" in finding.found


def test_every_extra_for_users_is_told() -> None:
    calls = (node for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())) if isinstance(node, ast.keyword))
    table = next(node.value for node in calls if node.arg == "extras_require")
    assert isinstance(table, ast.Dict)
    extras = {key.value for key in table.keys if isinstance(key, ast.Constant)}
    assert set(installed.EXTRAS) == extras - {"ros", "dev", "docs"}


def test_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SARTM_CACHE", str(folder))
    (finding,) = installed.caches()
    assert finding.status == OK and f"{folder}: empty; " in finding.found
    (folder / "engines" / "inductor").mkdir(parents=True)
    (folder / "engines" / "inductor" / "a").write_bytes(bytes(3 * installed.MIB))
    for name in ("text-0a1b.safetensors", "text-2c3d.safetensors"):
        (folder / name).write_bytes(bytes(installed.MIB))
    (finding,) = installed.caches()
    assert ": engines 3 MiB, text 2 MiB; " in finding.found


def test_a_cache_of_somebody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path))
    monkeypatch.setattr(installed.os, "access", lambda *_: False)
    (finding,) = installed.caches()
    assert finding.status == NOTE and "SARTM_CACHE" in finding.remedy
