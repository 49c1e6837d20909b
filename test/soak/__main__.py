"""Prove that the node can be trusted: `python -m test.soak`, about half an hour; `make soak`. See docs/reliability.md.

Leaves soak.json, soak.png and a folder of logs for each part in the output folder.
Exit code 0: every claim held. 1: some did not. 130: Ctrl-C.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:  # the real imports take a while; Ctrl-C during them must be quiet too
    from test.soak.outcome import Outcome

PARTS = ("slow", "fuzz", "faults", "files", "startstop")
COMPRESSED_SHARE = 10
"""The run with compressed transports has one in this many of the messages."""
LARGE_EVERY = 3_000
"""One real 8K message for so many others."""
WARMUP_S = 60.0
INTERRUPTED = 130


def parse(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m test.soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, default=Path("soak_out"), metavar="DIR", help="default: soak_out")
    parser.add_argument(
        "--only", default=",".join(PARTS), metavar="PART,...", help=f"of {', '.join(PARTS)} (default: all)"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="slow: time after a minute of warm-up (default 10)")
    parser.add_argument("--messages", type=int, default=20_000, help="fuzz: hostile messages (default 20000)")
    parser.add_argument("--rounds", type=int, default=5, help="faults, startstop: repetitions (default 5)")
    parser.add_argument("--reloads", type=int, default=100, help="files: beside a process that rewrites (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="fuzz, startstop (default 0)")
    parser.add_argument("--first", type=int, default=0, help="fuzz: number of the first message, to repeat a failure")
    parser.add_argument("--plant", default="", help="a fault for slow and fuzz to find: see test/soak/slow_node.py")
    parser.add_argument("--report", type=Path, metavar="JSON", help="only print the Markdown of an earlier soak.json")
    options = parser.parse_args(args)
    options.only = [part for part in options.only.split(",") if part]
    if unknown := sorted(set(options.only) - set(PARTS)):
        parser.error(f"--only: got {', '.join(unknown)}, expected some of {', '.join(PARTS)}")
    if options.minutes <= 0 or options.messages < 1 or min(options.rounds, options.reloads) < 1:
        parser.error("--minutes, --messages, --rounds, --reloads: expected more than 0")
    return options


def parts(options: argparse.Namespace) -> list[tuple[str, Callable[[Path], Outcome]]]:
    """Name of the folder and function of everything asked for."""
    from test.soak import faults, files, fuzz, slow, startstop

    def barrage(transport: str, messages: int) -> Callable[[Path], Outcome]:
        large = round(messages / LARGE_EVERY)
        plan = fuzz.Barrage(messages, transport, options.seed, large=large, first=options.first)
        return lambda folder: fuzz.run(folder, plan, options.plant)

    warmup = min(WARMUP_S, options.minutes * WARMUP_S)
    load = slow.Load(seconds=warmup + options.minutes * 60.0, warmup=warmup)
    found: dict[str, list[tuple[str, Callable[[Path], Outcome]]]] = {
        "slow": [("slow", lambda folder: slow.run(folder, load, options.plant))],
        "fuzz": [
            ("fuzz", barrage("raw", options.messages)),
            ("fuzz_compressed", barrage("compressed", max(1, options.messages // COMPRESSED_SHARE))),
        ],
        "faults": [("faults", lambda folder: faults.run(folder, faults.Plan(rounds=options.rounds)))],
        "files": [("files", lambda folder: files.run(folder, options.reloads))],
        "startstop": [("startstop", lambda folder: startstop.run(folder, options.rounds, seed=options.seed))],
    }
    return [one for part in PARTS if part in options.only for one in found[part]]


def run(options: argparse.Namespace) -> int:
    """The parts one after the other, then the report. Returns the exit code."""
    from test.soak import plot, report
    from test.soak.outcome import Outcome

    options.output.mkdir(parents=True, exist_ok=True)
    shown = {name: getattr(options, name) for name in ("minutes", "messages", "rounds", "reloads", "seed")}
    planted = {"plant": options.plant} if options.plant else {}
    head = report.header(shown | {"parts": ", ".join(options.only)} | planted)
    outcomes: list[Outcome] = []
    for name, part in parts(options):
        try:
            outcomes.append(part(options.output / name))
        except Exception as error:  # a part that breaks must not cost the others' results
            outcomes.append(Outcome(name, violated=[f"the part broke: {type(error).__name__}: {error}"]))
        report.write(options.output / "soak.json", report.collect(head, outcomes))
    drawn = plot.draw(options.output / "soak.png", outcomes)
    result = report.collect(head, outcomes)
    print(report.text(result))
    written = f"{options.output / 'soak.json'}, soak.png" if drawn else f"{options.output / 'soak.json'}"
    print(f"\n{written} and the logs in the folders beside it")
    return 1 if result["violated"] else 0


def main(args: list[str] | None = None) -> int:
    """Run it, or print an earlier report; Ctrl-C ends all that was started."""
    options = parse(args)

    def terminate(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)  # unwinds, so that the processes are stopped too

    signal.signal(signal.SIGTERM, terminate)
    try:
        if options.report:
            return show(options.report)
        return run(options)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED


def show(path: Path) -> int:
    """Print the Markdown of a soak.json."""
    import json

    from test.soak import report

    try:
        print(report.markdown(json.loads(path.read_text())))
    except (OSError, ValueError, KeyError) as error:
        print(f"--report: {path} is no soak.json: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
