"""`sartm` itself."""

from __future__ import annotations

from importlib import metadata

import pytest

from sartm_core import __main__ as sartm


def test_a_missing_package_is_told_with_what_brings_it(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Regression: `sartm train` in the demo's .venv ended in a traceback."""

    def lacking(name: str) -> None:
        raise ModuleNotFoundError("No module named 'lightning'", name="lightning.pytorch")

    monkeypatch.setattr(sartm.importlib, "import_module", lacking)
    assert sartm.main(["train"]) == 2
    assert capsys.readouterr().err == ('train: lightning.pytorch is not installed; pip install "sartm_ros[train]"\n')


def test_what_nobody_knows_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> None:
        raise ModuleNotFoundError("No module named 'other'", name="other")

    monkeypatch.setattr(sartm.importlib, "import_module", lacking)
    with pytest.raises(ModuleNotFoundError):
        sartm.main(["train"])


def test_the_extras_are_those_of_the_package() -> None:
    offered = metadata.metadata("sartm_ros").get_all("Provides-Extra")
    assert set(sartm.EXTRAS.values()) <= set(offered or ())
