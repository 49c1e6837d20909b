"""A line for every engine, with the reason where it does not run."""

from __future__ import annotations

import pytest

from sartm_core.doctor import engines as doctor
from sartm_core.doctor.findings import BROKEN, MISSING, NOTE, OK
from sartm_core.runtime.engines import ENGINES, PRECISIONS
from sartm_core.runtime.engines.base import Kind
from sartm_core.support.device import CPU


def kind(package: str = "torch", precisions: tuple[str, ...] = ("fp32",), **more: str) -> Kind:
    return Kind(lambda *_: None, lambda _: precisions, package, **more)  # type: ignore[arg-type]


def test_all_are_told_and_one_is_auto() -> None:
    findings = list(doctor.engines())
    assert [finding.name for finding in findings] == list(ENGINES)
    assert sum("`auto` takes it" in finding.found for finding in findings) == 1


def test_what_is_offered_and_why_not_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "few", kind(limits="the reason"))
    monkeypatch.setitem(ENGINES, "all", kind(precisions=tuple(PRECISIONS), limits="the reason"))
    (few,), (every,) = doctor.engine("few", CPU, "all"), doctor.engine("all", CPU, "all")
    assert (few.status, few.found) == (OK, "fp32 on cpu (the reason)")
    assert every.found == f"{', '.join(PRECISIONS)} on cpu; `auto` takes it"


def test_packages_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "new", kind("no_such_engine", extra="torch no_such_engine no_such_writer"))
    (finding,) = doctor.engine("new", CPU, "torch")
    assert (finding.status, finding.remedy) == (MISSING, "pip install no_such_engine no_such_writer")


def test_a_package_that_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError(f"{name}: libtbb.so is missing")

    monkeypatch.setattr(doctor, "import_module", broken)
    findings = [finding for finding in doctor.engines() if finding.status != MISSING]
    assert findings and all(f.status == BROKEN and "libtbb.so" in f.found for f in findings)


def test_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "new", kind(precisions=()))
    (finding,) = doctor.engine("new", CPU, "torch")
    assert finding.status == NOTE and "on cpu" in finding.found


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    (finding,) = doctor.engine("torch-compile", CPU, "torch")
    assert finding.status == MISSING and "g++" in finding.remedy
