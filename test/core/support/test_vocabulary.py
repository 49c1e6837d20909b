"""Every command of `sartm`: its help, and the vocabulary of options that all share."""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sartm_core.__main__ import COMMANDS, MODULES, main, overview

NODES = ("node", "cameras", "replay")
"""Commands whose options are ROS parameters."""
WORDS = {
    "--data": "DIR",
    "--checkpoint": "FILE",
    "--sam2": "FILE",
    "--config": "FILE",
    "--device": "NAME",
    "--engine": "NAME",
    "--precision": "NAME",
    "--split": "NAME",
}
"""Option -> what stands for its value, in every command that has it."""
OUTPUTS = ("DIR", "FILE", "FILE.zip", "FILE.safetensors", "FILE.yaml", "NEWBAG")
OLD = ("--root", "--engines", "--precisions")


class Captured(Exception):
    """Stops a command where it would read its options."""


def parsers(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[argparse.ArgumentParser]:
    """The parser of a command and those of its subcommands."""

    def capture(self: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise Captured(self)

    if MODULES[name].startswith("sartm_ros"):
        pytest.importorskip("rclpy", reason="no ROS 2 here")
    module = importlib.import_module(MODULES[name])
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{MODULES[name]}.__main__")
    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_known_args", capture)
        with pytest.raises(Captured) as caught:
            module.main([])
    (parser,) = caught.value.args
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Those that take a value and are shown."""
    for action in parser._actions:
        if action.option_strings and action.nargs != 0 and action.help != argparse.SUPPRESS:
            yield action


@pytest.mark.parametrize("name", [name for name in MODULES if name not in NODES])
def test_one_vocabulary(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for parser in parsers(name, monkeypatch):
        for action in options(parser):
            (option,) = action.option_strings
            shown = action.metavar
            assert action.choices or shown, f"{parser.prog} {option}: no metavar"
            assert shown != "VALUE" and option not in OLD, f"{parser.prog} {option} {shown}"
            assert not re.search(r"\[default: (None|\(\))?\]", action.help or ""), (
                f"{parser.prog} {option}: empty default"
            )
            assert action.help, f"{parser.prog} {option}: no help"
            if option in WORDS and not action.choices:
                assert shown == WORDS[option], f"{parser.prog} {option} {shown}, expected {WORDS[option]}"
            if option == "--output":
                assert shown in OUTPUTS, f"{parser.prog} --output {shown}"


@pytest.mark.parametrize("name", [name for name in MODULES if name not in NODES])
def test_the_program_is_called_sartm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert next(parsers(name, monkeypatch)).prog == f"sartm {name}"


def test_the_overview_names_every_command_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    names = re.findall(r"^  ([a-z-]+) ", text, re.MULTILINE)
    assert names == [name for group in COMMANDS.values() for name in group] and text.strip() == overview()
    assert max(map(len, text.splitlines())) <= 100


def test_the_overview_imports_nothing_heavy() -> None:
    code = (
        "import sys, sartm_core.__main__ as m\n"
        "assert m.main(['--help']) == 0\n"
        "print([name for name in ('torch', 'numpy', 'yaml', 'rclpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_unknown_commands_are_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evalute"]) == 2
    assert "did you mean evaluate?" in capsys.readouterr().err
    assert main(["zzz"]) == 2
    assert "sartm --help" in capsys.readouterr().err
    assert main([]) == 2


def test_underscores_do_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["check_data", "--help"])
    assert end.value.code == 0 and "usage: sartm check-data" in capsys.readouterr().out


def test_spellings_of_the_release_before_still_work(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "nowhere"
    for words in (["--root", str(missing)], [f"--data={missing}"]):
        with pytest.raises(SystemExit) as end:
            main(["check-data", *words, "--label_set", "mfnet"])
        assert end.value.code == 2 and "no such folder" in capsys.readouterr().err


def test_configuration_files_of_the_release_before_still_work(tmp_path) -> None:
    from sartm_core.evaluate.config import EvaluateConfig
    from sartm_core.support.cli import add_config_options, build_config, new_parser, parse

    (tmp_path / "e.yaml").write_text("root: somewhere\nsplit: test\n")
    parser = new_parser("evaluate", "")
    add_config_options(parser, EvaluateConfig)
    config = build_config(EvaluateConfig, parse(parser, ["--config", str(tmp_path / "e.yaml")]))
    assert (config.data, config.split) == ("somewhere", "test")
    (tmp_path / "e.yaml").write_text("frames: somewhere\n")
    with pytest.raises(ValueError, match="frames: unknown key"):  # an old name of another command's option
        build_config(EvaluateConfig, parse(parser, ["--config", str(tmp_path / "e.yaml")]))
