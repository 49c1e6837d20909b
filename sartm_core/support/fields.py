"""Frozen dataclasses as configuration: checks for their fields, and the way from and to YAML and JSON."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from sartm_core.support.files import LONGEST_NAME, MISSING, unreadable
from sartm_core.support.text import plain
from sartm_core.support.yaml_text import read_yaml

T = TypeVar("T")


def one_of(owner: str, name: str, value: Any, allowed: typing.Sequence[Any]) -> None:
    """Raise ValueError unless `value` is allowed, naming the field and the nearest allowed value."""
    if value not in allowed:
        near = difflib.get_close_matches(str(value), [str(a) for a in allowed], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{owner}.{name}: got {value!r}, expected one of {tuple(allowed)}{hint}")


def at_least(owner: str, name: str, value: float, low: float) -> None:
    """Raise ValueError when a number is below `low`, naming the field."""
    if value < low:
        raise ValueError(f"{owner}.{name}: got {value}, expected at least {low}")


def to_dict(config: Any) -> dict[str, Any]:
    """A config as plain dicts, lists and scalars, ready for JSON or YAML."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def from_dict(cls: type[T], values: dict[str, Any], where: str = "") -> T:
    """Build a config from plain values (YAML, JSON). Unknown keys and wrong types are errors naming the key,
    all of them at once, a line each."""
    if not isinstance(values, dict):
        raise ValueError(f"{where or cls.__name__}: got {values!r}, expected a mapping of {cls.__name__} fields")
    hints = typing.get_type_hints(cls)
    converted, errors = {}, []
    for key, value in values.items():
        try:
            if key not in hints:
                near = difflib.get_close_matches(str(key), hints, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known keys: {sorted(hints)}"
                raise ValueError(f"{where}{key}: unknown key of {cls.__name__}; {hint}")
            converted[key] = _convert(hints[key], value, f"{where}{key}")
        except ValueError as error:
            errors.append(str(error))
    if errors:
        raise ValueError("\n".join(errors))
    return cls(**converted)


def _convert(hint: Any, value: Any, where: str) -> Any:
    """One YAML value as the annotated type, or ValueError naming the key."""
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), {} if value is None else value, f"{where}.")
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(next(a for a in args if a is not type(None)), value, where)
    if origin is tuple and args[-1] is Ellipsis and isinstance(value, (str, int, float, dict)):
        value = [value]  # a list of one, written without brackets
    if origin is tuple and isinstance(value, (list, tuple)):
        inner = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(inner) != len(value):
            raise ValueError(f"{where}: got {len(value)} values {value!r}, expected {len(inner)}")
        nested = dataclasses.is_dataclass(inner[0]) if inner else False
        places = [f"{where}[{i}]" if nested else where for i in range(len(inner))]
        return tuple(_convert(h, v, place) for h, v, place in zip(inner, value, places, strict=True))
    if hint is str and isinstance(value, (int, float, date)):  # 2024_11_03 in a file: its text is lost
        raise ValueError(f"{where}: got {value!r} ({type(value).__name__}), expected str; write it in quotes")
    if hint is float and isinstance(value, str):  # YAML 1.1 reads 1e-4 as text
        try:
            return float(value)
        except ValueError:
            pass
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is dict and isinstance(value, dict):
        return value
    if origin is None and type(value) is hint:
        return value
    raise ValueError(f"{where}: got {value!r} ({type(value).__name__}), expected {getattr(hint, '__name__', hint)}")


def differences(have: dict[str, Any], want: dict[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    """(dotted name, have, want) of all values of two plain configs that differ."""
    odd: list[tuple[str, Any, Any]] = []
    for key in want:
        if isinstance(want[key], dict) and isinstance(have.get(key), dict):
            odd += differences(have[key], want[key], f"{prefix}{key}.")
        elif have.get(key) != want[key]:
            odd.append((f"{prefix}{key}", have.get(key), want[key]))
    return odd


def near_files(path: Path) -> str:
    """Files in its folder that are named like one that is not there; "" for none."""
    there = sorted(found.name for found in path.parent.glob(f"*{path.suffix}")) if path.parent.is_dir() else []
    longer = [name for name in there if name.startswith(path.stem)]
    near = longer or difflib.get_close_matches(path.name, there, 1)
    return f"; its folder has {' and '.join(near)}" if near else ""


def load_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML file as a dict; errors name the file."""
    if why := unreadable(path):
        hint = near_files(Path(path)) if why == MISSING else ""
        raise ValueError(f"--config {plain(path, LONGEST_NAME)}: cannot be read ({why}){hint}")
    try:
        values = read_yaml(path)
    except ValueError as error:
        raise ValueError(f"--config {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"--config {path}: expected a mapping of fields (name: value), got {type(values).__name__}")
    return values
