"""What can be known of a command without running it: its options, and the files, parameters, topics it names."""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import importlib.util
import io
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any
from unittest import mock

from sartm_core.__main__ import MODULES
from sartm_core.support import cli
from sartm_ros.node import arguments
from test.documented.pages import ROOT, Command

ELSEWHERE = {
    "cd", "docker", "git", "hf", "mkdir", "pre-commit", "rosdep", "rviz2", "source", "sudo", "touch", "torchrun",
    "trtexec",
}  # fmt: skip
"""Programs of others: nothing is known of their arguments."""
EXECUTABLES = {"segment": "segment_node", "replay": "replay_node", "cameras": "cameras", "calibrate": "calibrate"}
"""Of `ros2 run sartm_ros NAME`, and their modules."""
ABBREVIATED = "..."
READERS, LEFT_OUT = ("no such folder", "No such file"), ("are required", "not set")
"""Parts of what commands say that are no faults: the reader's own files are not here; a sentence need not name all."""
OURS = re.compile(r"(?:config|docker|docs|launch|test)/[\w./-]+")
"""A word that names a file of this project."""
NODE = "/sartm/segment"


class Parsed(BaseException):
    """Thrown in a command's way when its arguments have been understood."""


def complaints(command: Command, partial: bool = False) -> list[str]:
    """What is wrong with a command; `partial`: it is named in a sentence, and options may be missing."""
    words = list(command.words)
    partial = partial or ABBREVIATED in words
    words = [word for word in words if word != ABBREVIATED]
    missing = [f"there is no {word}" for word in words if OURS.fullmatch(word) and not (ROOT / word).exists()]
    check = CHECKS.get(words[0])
    if check is None:
        return missing + (
            [] if words[0] in ELSEWHERE else [f"{words[0]!r}: no program that test.documented.known knows"]
        )
    passed = (*READERS, *(LEFT_OUT if partial else ()))
    return missing + [text for text in check(words[1:]) if not any(part in text for part in passed)]


def of_sartm(words: Sequence[str]) -> Iterator[str]:
    if not words or words[0] in ("--help", "--version"):
        return
    name = words[0].replace("_", "-")
    if name not in MODULES:
        yield f"sartm has no command {words[0]!r}"
    else:
        yield from of_module(MODULES[name], words[1:])


def of_module(name: str, words: Sequence[str]) -> Iterator[str]:
    """`python -m NAME WORDS`, up to the point where it would begin to work."""
    if importlib.util.find_spec(name) is None:
        yield f"there is no module {name}"
        return
    module = importlib.import_module(name)
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{name}.__main__")
    said = io.StringIO()
    try:
        with (
            stopped_at_work(),
            mock.patch.object(sys, "argv", [name, *(str(ROOT / w) if OURS.fullmatch(w) else w for w in words)]),
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            module.main()
        yield "it never read its arguments"
    except Parsed as end:
        if end.args[0]:
            yield f"unknown: {shlex.join(end.args[0])}"
    except arguments.UsageError as error:
        yield str(error)
    except SystemExit:
        yield said.getvalue().strip().splitlines()[-1]


@contextlib.contextmanager
def stopped_at_work() -> Iterator[None]:
    """Commands stop with Parsed once their arguments are parsed and their configuration, if any, is made."""
    parse, make = argparse.ArgumentParser.parse_known_args, cli.from_dict
    depth = 0

    def parsed(parser: argparse.ArgumentParser, *given: Any, **named: Any) -> Any:
        nonlocal depth  # a subcommand's parser is called within
        depth += 1
        try:
            found, unknown = parse(parser, *given, **named)
        finally:
            depth -= 1
        if not depth and (unknown or "config" not in found):
            raise Parsed(unknown)
        return found, unknown

    def made(*given: Any) -> Any:
        make(*given)
        raise Parsed([])

    with (
        mock.patch.object(argparse.ArgumentParser, "parse_known_args", parsed),
        mock.patch.object(cli, "from_dict", made),
        mock.patch.object(arguments, "main", read_by_node),
    ):
        yield


def read_by_node(args: Any, doc: Any, known: Sequence[tuple[str, Any, str]], run: Any) -> None:
    """In the place of a node's `main`: arguments that ROS does not know, and parameters that the node does not have."""
    given = arguments.ros_arguments(sys.argv[1:], known)
    set_ones = [value.partition(":=")[0] for option, value in pairwise(given) if option == "-p"]
    raise Parsed([name for name in set_ones if name not in {name for name, _, _ in known}])


def segment_parameters() -> set[str]:
    return {spec.name for spec in importlib.import_module("sartm_ros.node.parameters").SPECS}


def of_python(words: Sequence[str]) -> Iterator[str]:
    if words[0] == "-c":
        compile(words[1], "python -c", "exec")
    elif words[0] == "-m" and words[1].startswith(("sartm_", "test.")):
        yield from of_module(words[1], words[2:])


def of_make(words: Sequence[str]) -> Iterator[str]:
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        name, is_variable, _ = word.partition("=")
        found = rf"\b{name}\b(?=\)| \?=)" if is_variable else rf"^{name}:"
        if not re.search(found, makefile, re.MULTILINE):
            yield f"the Makefile has no {'variable' if is_variable else 'target'} {name}"


def of_pip(words: Sequence[str]) -> Iterator[str]:
    for extras in re.findall(r"sartm_ros\[([\w,]+)\]", " ".join(words)):
        yield from (f"setup.py has no extra {name!r}" for name in extras.split(",") if name not in extras_of_setup())


@functools.cache
def extras_of_setup() -> set[str]:
    with mock.patch("setuptools.setup") as setup:
        runpy.run_path(str(ROOT / "setup.py"))
    return set(setup.call_args.kwargs["extras_require"])


def of_ros2(words: Sequence[str]) -> Iterator[str]:
    verb, *rest = words
    if verb == "run" and rest[0] == "sartm_ros":
        if rest[1] not in EXECUTABLES:
            yield f"there is no executable {rest[1]!r}"
        else:
            yield from of_module(f"sartm_ros.{EXECUTABLES[rest[1]]}", rest[2:])
    elif verb == "launch" and rest[0] == "sartm_ros":
        yield from of_launch(rest[1], rest[2:])
    elif verb == "param" and NODE in rest:
        name = rest[rest.index(NODE) + 1]
        if name not in segment_parameters():
            yield f"the node has no parameter {name!r}"
    else:
        reference = importlib.import_module("sartm_ros.node.reference")
        topics = {topic.resolved("/sartm") for topic in (*reference.INPUTS, *reference.OUTPUTS)}
        names = topics | {NODE, *(f"/sartm/{name.replace('~', 'segment')}" for name, _, _ in reference.SERVICES)}
        named = [name for word in rest for name in re.findall(r"(?:^|:=)(/sartm/[\w/]+)", word)]
        yield from (f"the node has no {name}" for name in named if name not in names)


def of_launch(file: str, given: Sequence[str]) -> Iterator[str]:
    path = ROOT / "launch" / file
    if not path.is_file():
        yield f"there is no launch/{file}"
        return
    source = path.read_text(encoding="utf-8")
    for word in given:
        name = word.partition(":=")[0]
        if word != "-s" and f'"{name}"' not in source:
            yield f"launch/{file} has no argument {name!r}"


CHECKS: dict[str, Callable[[Sequence[str]], Iterator[str]]] = {
    "sartm": of_sartm, "python": of_python, "python3": of_python, "make": of_make, "pip": of_pip, "ros2": of_ros2,
}  # fmt: skip
"""Program -> what is wrong with its arguments."""
