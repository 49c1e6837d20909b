"""Command lines of `sartm COMMAND`: a YAML file plus dotted overrides, with help for every field, and one vocabulary.

`--data DIR` is any data, `--checkpoint FILE` weights, `--output` what is made. `--label_set` and `--label-set` are the
same option.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import difflib
import inspect
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from sartm_core.support import machine
from sartm_core.support.fields import from_dict, load_yaml
from sartm_core.support.text import plain
from sartm_core.support.yaml_text import parse_yaml as parse_text

T = TypeVar("T")
LONGEST_FAULT, LINE = 8000, "\n"
"""Characters of a fault; it may have more than one line."""
INTERRUPTED = 130
"""Exit code of a command after Ctrl-C, as shells have it."""
PLACES = {
    "data": "DIR", "root": "DIR", "run": "DIR", "output": "FILE", "checkpoint": "FILE", "sam2": "FILE", "init": "FILE",
    "baseline": "FILE", "others": "NAME=DIR", "ablation": "DIR",
    "pretrained": "FILE", "teacher_weights": "FILE", "rgb": "PATH", "thermal": "PATH", "dataset": "LAYOUT",
    "camera": "HEIGHTxWIDTH", "thermal_camera": "HEIGHTxWIDTH", "size": "HEIGHTxWIDTH", "resolutions": "HEIGHTxWIDTH",
    "image_size": "HEIGHTxWIDTH", "input_size": "HEIGHTxWIDTH", "parameters": "NAME:=VALUE",
}  # fmt: skip
"""What stands for the value of a text field in a help text, by the field's name; others are a `NAME`."""
METAVARS = {bool: "true|false", int: "N", float: "X", str: "NAME"}
"""The same for other fields, by type."""
OLD_SPELLINGS = {
    "": {"root": "data", "engines": "engine", "precisions": "precision"},
    "benchmark": {"frames": "data"},
}
"""Options, and keys of configuration files, as the release before had them: of every command, and of single ones. They
work and are not shown."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line: the usage of some commands has sixty."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def new_parser(command: str, doc: str | None) -> argparse.ArgumentParser:
    """The parser of `sartm COMMAND`, described by its module's docstring."""
    return Parser(f"sartm {command}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def field_docs(cls: type) -> dict[str, str]:
    """The docstring line below each field of a dataclass, and of the dataclasses it is made from."""
    docs: dict[str, str] = {}
    for base in filter(dataclasses.is_dataclass, cls.__bases__):
        docs |= field_docs(base)
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    for statement, following in zip(body, body[1:], strict=False):
        is_doc = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and is_doc:
            docs[statement.target.id] = " ".join(str(following.value.value).split())
    return docs


def leaves(cls: type, prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """(dotted name, help, default) of every field of a config, nested ones included."""
    hints, docs = typing.get_type_hints(cls), field_docs(cls)
    for field in dataclasses.fields(cls):
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hints[field.name]):
            yield from leaves(typing.cast(type, hints[field.name]), f"{name}.")
        else:
            yield name, docs.get(field.name, ""), default_of(field)


def default_of(field: dataclasses.Field[Any]) -> Any:
    """None for a field that has to be given."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def types_of(cls: type, name: str) -> tuple[Any, ...]:
    """The types a field may have, by its dotted name: `(str, NoneType)` for `str | None`."""
    first, _, rest = name.partition(".")
    hint = typing.get_type_hints(cls)[first]
    if rest:
        return types_of(hint, rest)
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if union else (hint,)


def words(cls: type, name: str) -> dict[str, Any]:
    """What argparse has to know of a field: a tuple takes several words (or one YAML list), a bool may stand alone."""
    hints = types_of(cls, name)
    metavar = metavar_of(name, hints)
    if any(typing.get_origin(hint) is tuple for hint in hints):
        return {"nargs": "+", "metavar": metavar}
    return {"nargs": "?", "const": "true", "metavar": metavar} if hints == (bool,) else {"metavar": metavar}


def metavar_of(name: str, hints: Sequence[Any]) -> str:
    """What stands for the value of a field in a help text."""
    hint = next(hint for hint in hints if hint is not type(None))
    if typing.get_origin(hint) is tuple:
        hint = typing.get_args(hint)[0]
    last = name.rpartition(".")[2]
    return PLACES.get(last, METAVARS[str]) if hint is str else METAVARS.get(hint, "YAML")


def shown(default: Any) -> str:
    """A default as it would be typed; empty for one that says nothing."""
    if isinstance(default, (tuple, list)):
        return " ".join(map(str, default))
    return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def add_config_options(parser: argparse.ArgumentParser, cls: type) -> None:
    """`--config FILE` and one `--dotted.name` for every field of the dataclass `cls`."""
    parser.add_argument("--config", metavar="FILE", help="configuration in YAML; options below override it")
    for name, text, default in leaves(cls):
        text = (f"{text} [default: {shown(default)}]" if shown(default) else text).replace("%", "%%")
        parser.add_argument(f"--{name}", dest=name, default=argparse.SUPPRESS, help=text, **words(cls, name))


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """As `parser.parse_args`, but other spellings are understood and an unknown option is answered with the nearest."""
    given = list(sys.argv[1:] if argv is None else argv)
    own = chosen(parser, given)
    parser.allow_abbrev = own.allow_abbrev = False  # a shortened option is an unknown one
    known = [option for action in own._actions for option in action.option_strings]
    old = OLD_SPELLINGS[""] | OLD_SPELLINGS.get(parser.prog.split()[-1], {})
    args, unknown = parser.parse_known_args([respelt(word, known, old) for word in given])
    if unknown:
        name = unknown[0].split("=")[0]
        near = difflib.get_close_matches(name, known, 1)
        what = "option" if name.startswith("-") else "argument"
        own.error(f"unknown {what} {name}" + (f"; did you mean {near[0]}?" if near else ""))
    args.old_spellings = old
    return args


def finish(
    parser: argparse.ArgumentParser,
    work: Callable[[], int | None],
    interrupted: str = "",
    faults: tuple[type[Exception], ...] = (ValueError, OSError),
    code: int = 2,
) -> int:
    """Do a command's work. Faults are told in one line, with this exit code; those of the machine (a full disk, too
    little memory) with 1; Ctrl-C (and what it leaves) with 130."""
    name = parser.prog.split()[-1]
    try:
        return work() or 0
    except Exception as error:
        if hint := machine.advice(error):
            parser.exit(machine.EXIT, f"{name}: {plain(error or type(error).__name__)}; {hint}\n")
        if not isinstance(error, faults):
            raise
        parser.exit(code, f"{name}: {plain(error, LONGEST_FAULT, keep=LINE)}\n")
    except KeyboardInterrupt:
        parser.exit(INTERRUPTED, f"{name}: interrupted{interrupted and f'; {interrupted}'}\n")


def chosen(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the subcommand that is called, or the parser itself where there is none."""
    choices = next((a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)), {})
    return next((choices[word] for word in argv if word in choices), parser)


def respelt(word: str, known: Sequence[str], old: Mapping[str, str]) -> str:
    """The spelling of an option that the command knows: `--label_set` for `--label-set`, the new one for an old one."""
    name, equals, value = word.partition("=")
    if not name.startswith("--") or name in known:
        return word
    plain = name[2:]
    for other in (plain.replace("-", "_"), plain.replace("_", "-"), old.get(plain, plain)):
        if f"--{other}" in known:
            return f"--{other}{equals}{value}"
    return word


def build_config(cls: type[T], args: argparse.Namespace) -> T:
    """The config that `--config` and the dotted overrides describe. ValueError names the key."""
    known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values = load_yaml(args.config) if args.config else {}
    for old, name in vars(args).get("old_spellings", {}).items():
        if (
            old in values
            and old not in known
            and name in known
            and not dataclasses.is_dataclass(types_of(cls, name)[0])
        ):
            values[name] = values.pop(old)
    for name, given in vars(args).items():
        if "." in name or name in known:
            texts = [given] if isinstance(given, str) else given
            set_dotted(values, name, parse_option(name, texts, types_of(cls, name)))
    return from_dict(cls, values)


def parse_option(name: str, texts: Sequence[str], hints: tuple[Any, ...]) -> Any:
    """The words of an option as the value of a field of these types. ValueError names the option.

    Text is taken as it stands: `2024_11_03`, `00123` and `on` are names of folders, though numbers and a bool in YAML.
    """
    if type(None) in hints and list(texts) in (["null"], [""]):
        return None
    if str in hints:
        return texts[0]
    if any(typing.get_origin(hint) is tuple and str in typing.get_args(hint) for hint in hints):
        a_list = len(texts) == 1 and texts[0].startswith("[")
        return parse_yaml(name, texts[0], as_text=True) if a_list else list(texts)
    parsed = [parse_yaml(name, text) for text in texts]
    return parsed if len(parsed) > 1 else parsed[0]


def parse_yaml(name: str, text: str, as_text: bool = False) -> Any:
    """The text of an option as YAML; `as_text` leaves scalars text. ValueError names the option."""
    return parse_text(text, f"--{name} {plain(text)}", as_text)


def set_dotted(values: dict[str, Any], name: str, value: Any) -> None:
    """`set_dotted(v, "a.b", 1)` is `v["a"]["b"] = 1`, making what is missing on the way."""
    *path, last = name.split(".")
    for key in path:
        if values.get(key) is None:  # absent, or an empty section in the file
            values[key] = {}
        values = values[key]
    values[last] = value
