"""Tables of what can be chosen by name. They say where each choice is; its file is imported when it is chosen.

So configurations and nodes know the names without the seconds that torch takes.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def entry(package: str, place: str) -> Any:
    """What a package has at `file.name`; the file itself for a plain `file`."""
    file, _, name = place.partition(".")
    module = import_module(f"{package}.{file}")
    return getattr(module, name) if name else module
