"""`check_data`: wrong commands, and Ctrl-C."""

from __future__ import annotations

from pathlib import Path

import pytest

from sartm_core.check_data import __main__ as check_data
from test.core.layouts import write_folder_with_classes


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["--dataset", "mfnet"], "--data"),
        (["--dataset", "mfnet", "--data", "nowhere"], "--data nowhere: no such folder"),
        (["--dataset", "cityscapes", "--data", "."], "invalid choice: 'cityscapes'"),
        (["--dataset", "mfnet", "--data", ".", "--ouput", "x"], "did you mean --output?"),
    ],
)
def test_wrong_usage_gives_exit_code_2(arguments: list[str], message: str, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        check_data.main(arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_an_output_that_is_a_file_is_refused_before_the_work(tmp_path: Path, capsys, monkeypatch) -> None:
    root, output = write_folder_with_classes(tmp_path / "data"), tmp_path / "checked"
    output.write_text("")
    monkeypatch.setattr(check_data, "walk", None)
    with pytest.raises(SystemExit) as stop:
        check_data.main(["--dataset", "folder", "--data", str(root), "--output", str(output)])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and str(output) in error and error.count("\n") == 1


def test_ctrl_c_ends_with_one_line(tmp_path: Path, capsys, monkeypatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check_data, "walk", interrupt)
    with pytest.raises(SystemExit) as stop:
        check_data.main(["--dataset", "folder", "--data", str(write_folder_with_classes(tmp_path / "data"))])
    assert stop.value.code == 130 and capsys.readouterr().err == "check-data: interrupted\n"
