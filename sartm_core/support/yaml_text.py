"""The one door for YAML from outside: plain values, or a ValueError that names where they stood and what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sartm_core.support.files import LONGEST_NAME, need_file
from sartm_core.support.limits import limits
from sartm_core.support.text import plain


def read_yaml(path: str | Path, as_text: bool = False) -> Any:
    """The values in a file; `as_text` as in `parse_yaml`. FileNotFoundError and ValueError name it."""
    need_file(path, "YAML")
    most = limits().yaml_bytes
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{path}: more than {most} bytes of YAML, which would take minutes to read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason})") from error
    return parse_yaml(text, plain(path, LONGEST_NAME), as_text)


def parse_yaml(text: str, where: str, as_text: bool = False) -> Any:
    """The values of a text; `as_text` leaves scalars text. ValueError begins with `where`.

    Few bytes can stand for more values than memory holds (aliases of aliases): these are counted before they are used.
    """
    import yaml  # not at the top: `sartm doctor` must work without it

    try:
        values = yaml.load(text, yaml.BaseLoader if as_text else yaml.SafeLoader)
        count = size_of(values, {})
    except RecursionError as error:
        raise ValueError(f"{where}: not YAML for settings (too many lists or mappings inside each other)") from error
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:  # 2024-99-99, numbers of 5000 digits
        raise ValueError(f"{where}: not YAML ({plain(' '.join(str(error).split()))})") from error
    if count > limits().yaml_values:
        raise ValueError(f"{where}: its aliases (&, *) stand for {count} values; at most {limits().yaml_values}")
    return values


def size_of(value: Any, known: dict[int, int]) -> int:
    """How many values there are, each alias counted as often as it is used; `known`: of containers, by id."""
    if not isinstance(value, (dict, list, tuple, set)):
        return 1
    if id(value) not in known:
        known[id(value)] = 0  # what holds itself ends here, and where it is used
        inside = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(size_of(one, known) for one in inside)
    return known[id(value)]
