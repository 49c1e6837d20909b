"""The ablation grids with the trainer itself, and the wrong commands and files they meet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sartm_core.ablate import __main__ as ablate
from sartm_core.ablate.grid import Library
from test.core.ablate.test_ablate import Grid
from test.core.runs import command, write_config


def test_a_real_grid_of_two_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step a run; the second time nothing is trained."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    config = write_config(tmp_path, trainer={"max_steps": 1, "threads": 1})
    words = ["--table", "head", "--seeds", "0", "--only", "fpn", "segformer", *command(config, tmp_path / "out")]
    assert ablate.main(words) == 0
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("metrics.json")}
    assert len(written) == 2
    assert ablate.main(words) == 0
    assert written == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("metrics.json")}
    rows = json.loads((tmp_path / "out" / "head" / "table.json").read_text())["scores"]["folder"]
    assert all(0 <= rows[head]["miou"]["summary"]["mean"] <= 100 for head in ("fpn", "segformer"))


@pytest.mark.parametrize("below", ["", "inner"])
def test_an_output_that_is_a_file_is_refused(tmp_path: Path, capsys, below: str) -> None:
    grid = Grid(tmp_path)
    grid.output.write_text("")
    with pytest.raises(SystemExit) as stop:
        grid("head", "--output", str(grid.output / below))
    assert stop.value.code == 2 and str(grid.output) in capsys.readouterr().err
    assert grid.started() == [] and grid.output.read_text() == ""


@pytest.mark.parametrize("words", ["nonexistent --flag", ""])
def test_a_train_command_that_is_not_there_is_refused(tmp_path: Path, capsys, words: str) -> None:
    grid = Grid(tmp_path)
    with pytest.raises(SystemExit) as stop:
        grid("head", "--train-command", words)
    assert stop.value.code == 2 and f"--train-command {words}: no such program" in capsys.readouterr().err
    assert not grid.output.exists()


@pytest.mark.parametrize("text", ['{"epoch": 2, "fini', "", "null"])
def test_a_run_with_a_truncated_metrics_json_has_not_ended(tmp_path: Path, text: str) -> None:
    grid = Grid(tmp_path)
    assert grid("head", "--seeds", "0", "--only", "fpn") == 0
    path = grid.output / "head" / "fpn" / "seed0" / "metrics.json"
    path.write_text(text)
    assert Library(grid.output).folders == {}
    grid.started()
    assert grid("head", "--seeds", "0", "--only", "fpn") == 0
    assert grid.started() == ["fpn/seed0"]
