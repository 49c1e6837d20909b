"""The command: exit codes, JSON, text; a probe that fails is its own line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sartm_core.doctor import probes
from sartm_core.doctor.__main__ import main
from sartm_core.doctor.findings import BROKEN, MISSING, NOTE, OK, Finding, Probe, guarded
from sartm_core.doctor.report import as_text


def gives(status: str, remedy: str = "") -> Probe:
    return lambda: [Finding(status, "thing", "something", remedy)]


def fails() -> Iterator[Finding]:
    yield Finding(OK, "first", "there")
    raise RuntimeError("of no\nuse")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Probe]]:
    """Stands for the table of probes."""
    table: dict[str, dict[str, Probe]] = {}
    monkeypatch.setattr(probes, "PROBES", table)
    monkeypatch.setattr(probes, "NEEDED", ("needed",))
    return table


@pytest.mark.parametrize(("status", "code"), [(OK, 0), (NOTE, 0), (MISSING, 1), (BROKEN, 1)])
def test_exit_code_is_of_what_masks_need(table: dict[str, dict[str, Probe]], status: str, code: int) -> None:
    table["Masks"] = {"needed": gives(status), "other": gives(BROKEN)}
    assert main([]) == code


def test_one_failing_probe_does_not_stop_the_others(
    table: dict[str, dict[str, Probe]], capsys: pytest.CaptureFixture[str]
) -> None:
    table["Masks"] = {"needed": fails, "after": gives(OK)}
    assert main([]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "Masks",
        "  ok      first   there",
        "  broken  needed  RuntimeError: of no use",
        "  ok      thing   something",
        "",
        "Masks from frames cannot be made here: needed.",
    ]


def test_json_has_the_same(table: dict[str, dict[str, Probe]], capsys: pytest.CaptureFixture[str]) -> None:
    table["Masks"] = {"needed": fails}
    table["Disk"] = {"disk": gives(NOTE, "rm")}
    assert main(["--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"sartm", "works", "findings"} and answer["works"] is False
    assert all(set(line) == {"about", "status", "name", "found", "remedy"} for line in answer["findings"])
    assert [(line["about"], line["status"]) for line in answer["findings"]] == [
        ("Masks", OK),
        ("Masks", BROKEN),
        ("Disk", NOTE),
    ]


def test_a_missing_module_is_named_with_what_brings_it() -> None:
    def absent() -> Iterator[Finding]:
        raise ModuleNotFoundError("No module named 'PIL.Image'", name="PIL.Image")

    assert guarded("pictures", absent) == [Finding(MISSING, "pictures", "PIL is not installed", "pip install pillow")]


def test_text_is_folded_below_its_column_and_a_command_has_its_own_line() -> None:
    findings = {"Disk": [Finding(NOTE, "cache", "one two three four five six", "rm --all cache")]}
    assert as_text(findings, [], None).splitlines()[1] == "  note  cache  one two three four five six -> rm --all cache"
    assert as_text(findings, [], 36).splitlines()[1:4] == [
        "  note  cache  one two three four",
        "               five six",
        "               -> rm --all cache",
    ]


def test_what_masks_need_is_looked_at() -> None:
    assert set(probes.NEEDED) <= {name for looks in probes.PROBES.values() for name in looks}


def test_a_machine_without_torch_and_yaml() -> None:
    """The whole command, in a process that cannot import them."""
    code = "import sys; sys.modules['torch'] = sys.modules['yaml'] = None; "
    code += "from sartm_core.doctor.__main__ import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, "--json"], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    status = {(line["about"], line["name"]): line["status"] for line in answer["findings"]}
    for place in ("torch", "weights", "masks"):
        assert status["Masks from frames", place] == MISSING
    assert status["Engines", "engines"] == MISSING and status["Disk", "caches"] == OK
    assert {line["remedy"] for line in answer["findings"] if line["name"] == "torch"} >= {
        "pip install torch torchvision"
    }
