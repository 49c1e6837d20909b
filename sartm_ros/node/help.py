"""`--help` of executables that are nodes: rclpy takes no notice of it, and starts."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence

HELP = ("-h", "--help")
ROS = "--ros-args"
WIDTH = 100


def asked(args: Sequence[str] | None) -> bool:
    """Whether the command line (None: of this process) asks for help."""
    given = list(sys.argv[1:] if args is None else args)
    own = given[: given.index(ROS)] if ROS in given else given
    return any(arg in HELP for arg in own)


def text(doc: str | None, parameters: Iterable[tuple[str, object, str]]) -> str:
    """The docstring, then name, default and meaning of each parameter."""
    out = [(doc or "").strip(), "", f"Parameters ({ROS} -p NAME:=VALUE, or --params-file FILE.yaml):"]
    for name, default, meaning in parameters:
        out += ["", f"  {name} [{default}]"]
        out += textwrap.wrap(meaning, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(out)
