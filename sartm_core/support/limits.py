"""What is read from outside at most, looked at before it is decoded: one room for all numbers, all of them settings."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """Each is also an environment variable, SARTM_MAX_ and its name, for commands, nodes and their processes alike."""

    pixels: int = 1 << 26
    """Of a picture; 8K has half as many."""
    file_bytes: int = 16 << 30
    """Of a file of weights, which is read into memory at once."""
    member_bytes: int = 256 << 20
    """Of one file inside a zip, unpacked; a mask or a list is far smaller, a zip bomb is not."""
    chunk_bytes: int = 512 << 20
    """Of a chunk of an MCAP recording or a compressed message, unpacked; chunks are of 1 to 4 MB, or of one message."""
    yaml_bytes: int = 16 << 20
    """Of a YAML file; one of 1 MB takes seconds."""
    yaml_values: int = 1 << 20
    """In a YAML file, each alias counted as often as it is used."""

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            if getattr(self, name) < 1:
                raise ValueError(f"{variable(name)}: got {getattr(self, name)}, expected a whole number above 0")


def variable(name: str) -> str:
    """The environment variable of a limit."""
    return f"SARTM_MAX_{name.upper()}"


def limits() -> Limits:
    """As the environment says now. ValueError names the variable."""
    given = {}
    for name in (field.name for field in fields(Limits)):
        if (text := os.environ.get(variable(name))) is not None:
            try:
                given[name] = int(text)
            except ValueError as error:
                raise ValueError(f"{variable(name)}: got {text[:50]!r}, expected a whole number above 0") from error
    return Limits(**given)


def check_pixels(count: int, what: str) -> None:
    """ValueError for more than the limit."""
    if count > (most := limits().pixels):
        raise ValueError(f"{what} is {count} pixels, at most {most} are read; {variable('pixels')} is another limit")
