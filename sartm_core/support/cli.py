"""Command lines of the `python -m sartm_core.X` tools: a YAML file plus dotted overrides, with help for every field."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import difflib
import inspect
import textwrap
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import yaml

from sartm_core.support.fields import from_dict, load_yaml

T = TypeVar("T")
INTERRUPTED = 130
"""Exit code of a command after Ctrl-C, as shells have it."""


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
            yield name, docs.get(field.name, ""), field.default


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
    if any(typing.get_origin(hint) is tuple for hint in hints):
        return {"nargs": "+"}
    return {"nargs": "?", "const": "true"} if hints == (bool,) else {}


def add_config_options(parser: argparse.ArgumentParser, cls: type) -> None:
    """`--config FILE` and one `--dotted.name VALUE` for every field of the dataclass `cls`."""
    parser.add_argument("--config", metavar="FILE.yaml", help="configuration file; options below override it")
    for name, text, default in leaves(cls):
        text = f"{text} [default: {default}]".replace("%", "%%")
        arity = words(cls, name)
        parser.add_argument(f"--{name}", dest=name, default=argparse.SUPPRESS, metavar="VALUE", help=text, **arity)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """As `parser.parse_args`, but an unknown option is answered with the nearest known one."""
    parser.allow_abbrev = False  # a shortened option is an unknown one
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        name = unknown[0].split("=")[0]
        near = difflib.get_close_matches(name, known, 1)
        parser.error(f"unknown option {name}" + (f"; did you mean {near[0]}?" if near else "; see --help"))
    return args


def build_config(cls: type[T], args: argparse.Namespace) -> T:
    """The config that `--config` and the dotted overrides describe. ValueError names the key."""
    values = load_yaml(args.config) if args.config else {}
    for name, given in vars(args).items():
        if "." in name or name in {f.name for f in dataclasses.fields(cls)}:  # type: ignore[arg-type]
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
        return parse_yaml(name, texts[0], yaml.BaseLoader) if a_list else list(texts)
    parsed = [parse_yaml(name, text, yaml.SafeLoader) for text in texts]
    return parsed if len(parsed) > 1 else parsed[0]


def parse_yaml(name: str, text: str, loader: type[yaml.BaseLoader] | type[yaml.SafeLoader]) -> Any:
    """The text of an option as YAML; `BaseLoader` leaves scalars text. ValueError names the option."""
    try:
        return yaml.load(text, loader)
    except yaml.YAMLError as error:
        raise ValueError(f"--{name} {text}: not a YAML value ({error})") from error


def set_dotted(values: dict[str, Any], name: str, value: Any) -> None:
    """`set_dotted(v, "a.b", 1)` is `v["a"]["b"] = 1`, making what is missing on the way."""
    *path, last = name.split(".")
    for key in path:
        if values.get(key) is None:  # absent, or an empty section in the file
            values[key] = {}
        values = values[key]
    values[last] = value
