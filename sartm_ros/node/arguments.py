"""The command line of executables that are nodes. rclpy takes no notice of what it does not know, and starts with the
defaults: here it is understood, or refused in words."""

from __future__ import annotations

import sys
import textwrap
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from itertools import pairwise

from sartm_core.support.ending import quiet_exit
from sartm_core.support.files import LONGEST_NAME, need_file
from sartm_core.support.text import plain
from sartm_core.support.yaml_text import parse_yaml, read_yaml

HELP = ("-h", "--help")
ROS, ROS_END = "--ros-args", "--"
ROS_OPTIONS = {
    "-p": "-p", "--param": "-p", "-r": "-r", "--remap": "-r", "--params-file": "--params-file",
    "--params_file": "--params-file", "--log-level": "--log-level",
}  # fmt: skip
"""Options of ROS that are taken without `--ros-args` before them, each with one value."""
ASSIGN, PARAMETER = ":=", ("-p", "--param")
TRUTHS = ("true", "false")
WIDTH = 100
USAGE_ERROR = 2
Parameters = Sequence[tuple[str, object, str]]
"""Name, default and meaning of each."""


def main(args: Sequence[str] | None, doc: str | None, parameters: Parameters, run: Callable[[list[str]], int]) -> int:
    """Print the help where it is asked for, else `run` with the arguments of ROS; the exit code, 2 for unknown ones.

    args: of a test; None: those of this process.
    """
    if args is None:  # the process ends with this
        with quiet_exit():
            return main(sys.argv[1:], doc, parameters, run)
    given = list(args)
    if any(arg in HELP for arg in split(given)[0]):
        print(text(doc, parameters))
        return 0
    try:
        found = ros_arguments(given, parameters)
        check_yaml(found)
        return run(found)
    except UsageError as error:
        print(f"{error}. See --help", file=sys.stderr)
        return USAGE_ERROR


class UsageError(Exception):
    """An argument that nothing here knows."""


def split(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those outside of `--ros-args ... --`, and those inside."""
    outside: list[str] = []
    inside: list[str] = []
    is_inside = False
    for arg in args:
        if arg in (ROS, ROS_END):
            is_inside = arg == ROS
        else:
            (inside if is_inside else outside).append(arg)
    return outside, inside


def ros_arguments(args: Sequence[str], parameters: Parameters) -> list[str]:
    """The arguments as ROS spells them: `--checkpoint x`, `checkpoint:=x` and `-p checkpoint:=x` are one.

    Raises UsageError naming the argument and the nearest parameter.
    """
    ours, found = split(args)
    defaults = {name: default for name, default, _ in parameters}
    words = deque(ours)
    while words:
        found += understood(words.popleft(), words, defaults)
    return [ROS, *found] if found else []


def check_yaml(args: Sequence[str]) -> None:
    """UsageError for parameters, in files or as they are, that would keep rcl's own reader busy for minutes."""
    for option, value in pairwise(args):
        try:
            if option == "--params-file":
                need_file(value, option)
                read_yaml(value, as_text=True)
            elif option in PARAMETER:
                name, _, text = value.partition(ASSIGN)
                parse_yaml(text, f"{option} {plain(name, LONGEST_NAME)}", as_text=True)
        except (ValueError, OSError) as error:
            raise UsageError(str(error)) from error


def understood(word: str, words: deque[str], defaults: dict[str, object]) -> list[str]:
    """One argument with its value, which may be the next of `words`, and is taken from there."""
    if word in ROS_OPTIONS:
        return [ROS_OPTIONS[word], value_of(word, words)]
    name, assign, value = word.partition(ASSIGN)
    if assign and name in defaults:
        return ["-p", word]
    if assign and "/" in name:
        return ["-r", word]
    name, equals, value = word.removeprefix("--").partition("=")
    name = name.replace("-", "_")
    if word.startswith("--") and name in defaults:
        if not equals:
            value = (truth_of if isinstance(defaults[name], bool) else value_of)(word, words)
        return ["-p", f"{name}{ASSIGN}{value}"]
    if word.startswith("--") and name == "params_file":
        return ["--params-file", value]
    raise UsageError(f"{word!r}: no argument of this node{near(word, defaults)}")


def value_of(word: str, words: deque[str]) -> str:
    if not words:
        raise UsageError(f"{word}: expected a value behind it")
    return words.popleft()


def truth_of(word: str, words: deque[str]) -> str:
    """Of a switch, which may stand alone."""
    if not words or words[0].startswith("-") or ASSIGN in words[0]:
        return TRUTHS[0]
    value = words.popleft().lower()
    if value not in TRUTHS:
        raise UsageError(f"{word}: got {value!r}, expected {' or '.join(TRUTHS)}")
    return value


def near(word: str, defaults: Iterable[str]) -> str:
    """What may have been meant, and how parameters and topics are given."""
    name = word.lstrip("-").partition("=")[0].partition(ASSIGN)[0].replace("-", "_")
    close = get_close_matches(name, [*defaults, "params_file"], n=1)
    meant = f"; did you mean --{close[0].replace('params_file', 'params-file')}" if close else ""
    return f"{meant}. Parameters are --NAME VALUE or {ROS} -p NAME:=VALUE, topics {ROS} -r rgb/image_raw:=/TOPIC"


def text(doc: str | None, parameters: Iterable[tuple[str, object, str]]) -> str:
    """The docstring, then name, default and meaning of each parameter."""
    out = [(doc or "").strip(), "", f"Parameters (--NAME VALUE, {ROS} -p NAME:=VALUE, or --params-file FILE.yaml):"]
    for name, default, meaning in parameters:
        out += ["", f"  {name} [{default}]"]
        out += textwrap.wrap(meaning, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(out)
