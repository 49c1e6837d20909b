"""How fast is the segment node here, and what does it add to the model?

    sartm benchmark-node --output DIR
    sartm benchmark-node --forward none --pin one --output DIR     the node alone, on one CPU
    sartm benchmark-node --compare A/benchmark.json B/benchmark.json

In the manner of NVIDIA's ros2_benchmark: frames from memory go through real DDS into the real node, which runs in its
own process, as do who plays them and who listens. First the highest rate with few missed frames is looked for, then
fixed rates are played. The table comes on the screen; --output DIR receives benchmark.json, benchmark.md, latency.png
and the logs. docs/benchmark_ros.md explains the numbers.
Exit code 0: measured. 1: the node gave no masks; says why. 2: wrong usage. 130: Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sartm_core.support.cli import INTERRUPTED, add_config_options, build_config, new_parser, parse
from sartm_core.support.fields import to_dict
from sartm_core.support.files import write_json, write_text

if TYPE_CHECKING:  # the real imports take a second; Ctrl-C during them must be quiet too
    from tqdm import tqdm

    from sartm_ros.benchmarking.plan import Plan
    from sartm_ros.benchmarking.session import Session

PROGRAM = "sartm benchmark-node"
CONFIRMATIONS = 6
"""So many rates, each a step lower, are tried until all the runs at it together miss few frames."""


def measure(plan: Plan, folder: Path, command: str) -> dict[str, Any]:
    """Everything the plan asks for. The progress bar goes to the terminal's error output."""
    from tqdm import tqdm

    from sartm_core.benchmark.machine import describe
    from sartm_ros.benchmarking.session import opened

    total = plan.runs * (len(plan.rates) + plan.peak)
    with tqdm(total=total, desc="node start", unit="run", delay=2.0) as bar, opened(plan, folder) as session:
        rates: dict[str, Any] = {}
        peak = search(session, bar) if plan.peak else None
        if peak and peak["hz"]:
            rates["peak"] = confirm(session, peak, bar)
        session.tell_stages()
        for rate in plan.rates:
            rates[f"{rate:g} Hz"] = repeat(session, rate, bar)
    return {
        "command": command,
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "host": describe(plan.threads),
        "rmw": os.environ.get("RMW_IMPLEMENTATION", "default"),
        "plan": to_dict(plan),
        "node": session.facts,
        "peak": peak,
        "rates": rates,
    }


def search(session: Session, bar: tqdm) -> dict[str, Any]:
    """The peak rate and what was tried."""
    from sartm_ros.benchmarking.search import find_peak

    tried: list[dict[str, Any]] = []

    def holds(rate: float) -> bool:
        bar.set_description(f"peak rate? {rate:.1f} Hz")
        good, run = session.holds(rate)
        tried.append({"hz": rate, "holds": good, "missed_share": run["missed_share"], "sent_hz": run["sent_hz"]})
        return good

    plan = session.plan
    return {"hz": find_peak(holds, plan.lowest, plan.highest, session.guess), "tried": tried}


def confirm(session: Session, peak: dict[str, Any], bar: tqdm) -> dict[str, Any]:
    """The runs at the peak rate; when these miss too many frames, at a rate a step lower, which is the peak then."""
    from sartm_ros.benchmarking.search import RESOLUTION

    for _ in range(CONFIRMATIONS):
        found = repeat(session, peak["hz"], bar)
        peak["confirmed"] = found["median"]["missed_share"] < session.plan.loss
        if peak["confirmed"]:
            break
        bar.reset()
        peak["hz"] /= RESOLUTION
    return found


def repeat(session: Session, rate: float, bar: tqdm) -> dict[str, Any]:
    """The runs at one rate, and their medians."""
    from sartm_ros.benchmarking.measures import medians

    bar.set_description(f"{rate:.1f} Hz")
    runs = []
    for _ in range(session.plan.runs):
        runs.append(session.run(rate, session.plan.seconds))
        bar.update()
    return {"hz": rate, "median": medians(runs), "runs": runs}


def run(args: argparse.Namespace, plan: Plan, command: str) -> str:
    """What the options ask for; the text for the screen."""
    from sartm_ros.benchmarking import report

    if args.compare:
        before, after = (report.read(path) for path in args.compare)
        return report.comparison(before, after, (str(args.compare[0]), str(args.compare[1])))
    from sartm_ros.children import isolate

    if plan.data and not Path(plan.data).is_dir():
        raise ValueError(f"Plan.data: {plan.data} is no directory; give one that holds rgb/ and thermal/")
    isolate()
    with ExitStack() as stack:
        folder = args.output or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sartm-benchmark-")))
        folder.mkdir(parents=True, exist_ok=True)
        result = measure(plan, folder, command)
        text = report.markdown(result)
        if args.output:
            write_json(folder / "benchmark.json", result)
            write_text(folder / "benchmark.md", text)
            report.plot(result, folder / "latency.png")
    return text


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        from sartm_ros.benchmarking.peers import PeerError
        from sartm_ros.benchmarking.plan import Plan

        parser = new_parser("benchmark-node", __doc__)
        parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the results and logs")
        parser.add_argument(
            "--compare", type=Path, nargs=2, metavar=("A.json", "B.json"), help="two results side by side; runs nothing"
        )
        add_config_options(parser, Plan)
        args = parse(parser, arguments)
        try:
            text = run(args, build_config(Plan, args), shlex.join([*PROGRAM.split(), *arguments]))
        except (ValueError, OSError) as error:
            parser.exit(2, f"benchmark: {error}\n")
        except PeerError as error:
            parser.exit(1, f"benchmark: {error}\n")
    except KeyboardInterrupt:
        sys.stderr.write("benchmark: interrupted; nothing was written\n")
        return INTERRUPTED
    print(text, end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
