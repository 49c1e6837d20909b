"""The command line of a node: understood, or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from sartm_ros.node.arguments import UsageError, main, ros_arguments

PARAMETERS = [
    ("checkpoint", "default", "Weights."),
    ("autostart", True, "At once."),
    ("sync.max_wait", 0.1, "Seconds."),
]


@pytest.mark.parametrize(
    "given,expected",
    [
        ([], []),
        (["--ros-args", "-p", "checkpoint:=x"], ["-p", "checkpoint:=x"]),
        (["--checkpoint", "x"], ["-p", "checkpoint:=x"]),
        (["--checkpoint=x"], ["-p", "checkpoint:=x"]),
        (["checkpoint:=x"], ["-p", "checkpoint:=x"]),
        (["-p", "checkpoint:=x"], ["-p", "checkpoint:=x"]),
        (["--sync.max-wait", "0.2"], ["-p", "sync.max_wait:=0.2"]),
        (["--autostart"], ["-p", "autostart:=true"]),
        (["--autostart", "False", "--checkpoint", "x"], ["-p", "autostart:=false", "-p", "checkpoint:=x"]),
        (["--autostart", "--checkpoint", "x"], ["-p", "autostart:=true", "-p", "checkpoint:=x"]),
        (["--autostart", "checkpoint:=x"], ["-p", "autostart:=true", "-p", "checkpoint:=x"]),
        (["--autostart=false"], ["-p", "autostart:=false"]),
        (["--params-file", "f.yaml"], ["--params-file", "f.yaml"]),
        (["--params-file=f.yaml"], ["--params-file", "f.yaml"]),
        (["rgb/image_raw:=/a"], ["-r", "rgb/image_raw:=/a"]),
        (["--ros-args", "-r", "__node:=a", "--", "--checkpoint", "x"], ["-r", "__node:=a", "-p", "checkpoint:=x"]),
    ],
)
def test_the_obvious_spellings_are_those_of_ros(given: list[str], expected: list[str]) -> None:
    assert ros_arguments(given, PARAMETERS) == (["--ros-args", *expected] if expected else [])


@pytest.mark.parametrize(
    "given,named",
    [
        (["--chekpoint", "x"], "did you mean --checkpoint"),
        (["--param-file", "f"], "did you mean --params-file"),
        (["weights.safetensors"], "'weights.safetensors': no argument"),
        (["rgb_topic:=/a"], "-r rgb/image_raw:=/TOPIC"),
        (["--checkpoint"], "expected a value"),
    ],
)
def test_what_no_one_knows_is_refused_and_not_passed_over(given: list[str], named: str) -> None:
    """Regression: `--checkpoint x` without `--ros-args` started the node with the shipped weights."""
    with pytest.raises(UsageError, match=named):
        ros_arguments(given, PARAMETERS)


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000])
def test_nesting_that_keeps_rcl_busy_for_minutes_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Regression: rcl's reader of parameters took more than 25 s of these, and Ctrl-C did nothing."""
    (tmp_path / "deep.yaml").write_text(text)
    for args in (["--params-file", str(tmp_path / "deep.yaml")], ["-p", f"sync.max_wait:={text}"]):
        assert main(args, "Doc.", PARAMETERS, lambda given: 0) == 2
        told = capsys.readouterr().err
        assert "inside each other" in told and len(told) < 500


def test_main_runs_with_them_or_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[list[str]] = []
    assert main(["--checkpoint", "x"], "Doc.", PARAMETERS, lambda args: seen.append(args) or 0) == 0
    assert main(["--nonsense"], "Doc.", PARAMETERS, lambda args: seen.append(args) or 0) == 2
    assert main(["-h"], "Doc.", PARAMETERS, lambda args: seen.append(args) or 0) == 0
    assert seen == [["--ros-args", "-p", "checkpoint:=x"]]
    shown = capsys.readouterr()
    assert "--nonsense" in shown.err and "Doc." in shown.out and "sync.max_wait [0.1]" in shown.out
