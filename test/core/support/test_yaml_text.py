"""YAML from outside: values, or one line that names where it stood and why it cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartm_core.data.class_list import read_classes
from sartm_core.predict import __main__ as predict
from sartm_core.support.fields import load_yaml
from sartm_core.support.limits import limits
from sartm_core.support.text import LONGEST
from sartm_core.support.yaml_text import parse_yaml, read_yaml

DEEP = 100_000
BOMB = "\n".join(["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))])
WRONG = {
    "many lists": ("[" * DEEP, "too many lists or mappings inside each other"),
    "closed lists": ("[" * DEEP + "]" * DEEP, "inside each other"),
    "many mappings": ("{a: " * DEEP, "inside each other"),
    "aliases of aliases": (BOMB, "its aliases .* stand for [0-9]{10,} values"),
    "no date": ("date: 2024-99-99", "not YAML"),
    "a number of digits": ("a: " + "9" * 5000, "not YAML"),
    "a tag": ("a: !!python/object/apply:os.system [x]", "not YAML"),
    "half a list": ("a: [1, 2", "not YAML"),
    "an escape code": ("a: \x1b[2J", "not YAML"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_settings_is_refused_in_words(wrong: str, tmp_path: Path) -> None:
    text, words = WRONG[wrong]
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    for read in (read_yaml, load_yaml, read_classes):
        with pytest.raises(ValueError, match=f"c.yaml: .*{words}") as error:
            read(path)
        assert len(str(error.value)) < 2 * LONGEST and "\n" not in str(error.value) and "\x1b" not in str(error.value)


def test_a_command_ends_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text("[" * DEEP)
    words = ["--rgb", "a.png", "--output", str(tmp_path / "out")]
    for more in (["--config", str(tmp_path / "c.yaml")], ["--batch", "[" * DEEP]):
        with pytest.raises(SystemExit) as stop:
            predict.main([*words, *more])
        assert stop.value.code == 2
        told = capsys.readouterr().err
        assert told.startswith("predict: --") and told.count("\n") == 1 and "inside each other" in told


def test_what_is_no_file_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large.yaml").write_text("a: " + "b" * 100)
    monkeypatch.setenv("SARTM_MAX_YAML_BYTES", "50")
    for path, words in (
        ("pipe", "pipe or a device"),
        ("none.yaml", "no such file"),
        ("large.yaml", "more than 50 bytes"),
    ):
        with pytest.raises(ValueError, match=words):
            load_yaml(tmp_path / path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4")
    with pytest.raises(ValueError, match="not UTF-8"):
        load_yaml(tmp_path / "latin.yaml")


def test_aliases_work(tmp_path: Path) -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a", "x") == {"a": [1, 2], "b": [1, 2]}


@given(st.text(max_size=40) | st.text("[]{}:&*!-?, \n'\"a1", max_size=60))
def test_any_text_gives_values_or_a_valueerror(text: str) -> None:
    try:
        parse_yaml(text, "x")
    except ValueError as error:
        assert str(error).startswith("x: ")


def test_a_limit_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("many", "0", "-1", "1e6"):
        monkeypatch.setenv("SARTM_MAX_PIXELS", text)
        with pytest.raises(ValueError, match="SARTM_MAX_PIXELS: got .*expected a whole number above 0"):
            limits()
