"""What is installed and what works here: torch, weights, masks, engines, ROS 2, shared memory, caches, extras.

    sartm doctor
    sartm doctor --json

One line each: ok, note (works, or is not needed; worth knowing), missing or broken, then what was found, and behind an
arrow what to do about it. Exit code 0: masks can be made from frames, 1: they cannot, 2: wrong usage.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence

from sartm_core.doctor.probes import examine
from sartm_core.doctor.report import as_dict, as_text
from sartm_core.support.cli import finish, new_parser, parse


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser("doctor", __doc__)
    parser.add_argument("--json", action="store_true", help="the same for programs")
    args = parse(parser, argv)

    def work() -> int:
        findings, obstacles = examine()
        if args.json:
            print(json.dumps(as_dict(findings, obstacles), indent=2))
        else:
            columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
            print(as_text(findings, obstacles, columns), end="")
        return 1 if obstacles else 0

    return finish(parser, work)


if __name__ == "__main__":
    raise SystemExit(main())
