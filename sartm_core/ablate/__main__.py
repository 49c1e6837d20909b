"""Train the ablations of the paper (Tables IV to VIII) and print them beside its numbers.

    sartm ablate --table components --config config/train/fmb_paper.yaml --data DIR --output runs/ablation
    sartm ablate --table weights --w1 0.1 0.4 1 --config FILE.yaml --output runs/ablation

Every run of the grid is one `sartm train` in DIR/TABLE/VARIANT/seedK, with its output in seedK.log; the
same seeds go through all variants. Run the same command again to go on: what has ended is kept, what was cut short is
resumed, a run that another table below DIR has already trained is taken from there. Several of these commands may work
on one grid (one for each GPU). DIR/TABLE/table.md and table.json hold the results so far, plot.png those at the end.

Tables: rank (IV), components (V), losses (VI), weights (VII), head (VIII); distillation (not the paper's).
A variant is your configuration with a few fields changed; options like --trainer.max_epochs go to every run.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sartm_core.ablate.grid import Library, Run, build_grid, check_folder
from sartm_core.ablate.plot import write_plot
from sartm_core.ablate.report import Results, collect, write_markdown, write_scores
from sartm_core.ablate.runner import TRAIN_COMMAND, Outcome, command_of, run_grid, stopped_by_signals
from sartm_core.ablate.tables import SWEEPS, TABLES, Variant
from sartm_core.support.cli import add_config_options, build_config, finish, new_parser, parse
from sartm_core.support.fields import one_of
from sartm_core.train.config import TrainConfig

SEEDS = (0, 1, 2)
NUMBERS = {"IV": "rank", "V": "components", "VI": "losses", "VII": "weights", "VIII": "head"}
"""The paper's numbers of the tables."""
PATHS = ("data.root", "sam2", "init", "loss.teacher_weights")
"""Options that name files and folders of this machine: reports give their last part only."""


def build_parser() -> argparse.ArgumentParser:
    parser = new_parser("ablate", __doc__)
    parser.add_argument(
        "--table", type=lambda name: NUMBERS.get(name, name), choices=sorted(TABLES), required=True,
        help="which ablation, by name or by the paper's number",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of all tables")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=list(SEEDS), metavar="K", help="seeds of every variant [default: 0 1 2]"
    )
    parser.add_argument("--only", nargs="+", metavar="VARIANT", help="some rows of the table only")
    for name in SWEEPS:
        parser.add_argument(
            f"--{name}", type=float, nargs="+", metavar="X",
            help="table weights: sweep these values, and only the weights named so [default: the paper's three sweeps]",
        )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true",
        help="print the grid with its commands (their .yaml files are written when they run) and stop",
    )  # fmt: skip
    parser.add_argument(
        "--train-command", type=shlex.split, default=list(TRAIN_COMMAND), metavar="COMMAND",
        help='what trains a run, e.g. "torchrun --nproc-per-node 4 -m sartm_core.train" [default: python -m ...]',
    )  # fmt: skip
    add_config_options(parser, TrainConfig)
    parser.add_argument("--data", dest="data.root", default=argparse.SUPPRESS, metavar="DIR", help="as --data.root")
    return parser


def plan(args: argparse.Namespace) -> tuple[TrainConfig, list[Variant], list[Run]]:
    """Configuration, rows and runs that the options describe. ValueError names the option."""
    if args.output.exists() and not args.output.is_dir():
        raise ValueError(f"--output {args.output}: a file, expected a folder")
    if not args.dry_run and not (args.train_command and shutil.which(args.train_command[0])):
        raise ValueError(f"--train-command {shlex.join(args.train_command)}: no such program")
    sweeps = {name: getattr(args, name) for name in SWEEPS if getattr(args, name)}
    if sweeps and args.table != "weights":
        raise ValueError(f"--{next(iter(sweeps))}: only for --table weights, not {args.table}")
    if "seed" in vars(args):
        raise ValueError(f"--seed {args.seed}: give --seeds, one or more; every variant is trained with each")
    config = build_config(TrainConfig, args)
    if config.trainer.keep != "best":
        raise ValueError(
            f"--trainer.keep {config.trainer.keep}: its validation frames may train too, so variants could not be "
            "compared; take a configuration that picks the best epoch on frames of its own (..._paper.yaml)"
        )
    variants = TABLES[args.table].variants(config, sweeps)
    for name in vars(args):
        if all(name in variant.overrides for variant in variants):
            raise ValueError(f"--{name}: every run of table {args.table} sets it; leave it out")
    for name in args.only or ():
        one_of("ablate", "--only", name, [variant.name for variant in variants])
    kept = [variant for variant in variants if not args.only or variant.name in args.only]
    runs = build_grid(args.table, kept, config, list(dict.fromkeys(args.seeds)), args.output)
    for run in runs:
        check_folder(run)
    return config, kept, runs


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """Configuration file and overrides, for the protocol; of paths the last part."""
    given = {name: value for name, value in vars(args).items() if "." in name or name in PATHS}
    words = []
    for name, value in given.items():
        values = [value] if isinstance(value, str) else value
        words += [f"--{name}", *(Path(value).name if name in PATHS else value for value in values)]
    return {"configuration": args.config or "defaults", "options": shlex.join(words) or "none"}


def tell(run: Run, library: Library, train_command: Sequence[str]) -> None:
    """`--dry-run`: what a run changes, and its command or where it has ended."""
    ended, changed = library.find(run), ", ".join(f"{key} {value}" for key, value in run.variant.overrides.items())
    what = f"ended in {ended}" if ended else shlex.join(command_of(run, train_command))
    print(f"{run} ({changed or 'the configuration'}): {what}")


def ablate(args: argparse.Namespace) -> int:
    """Train what is missing and report, or tell what there is to do; the exit code."""
    config, variants, runs = plan(args)
    library, folder, about = Library(args.output), args.output / args.table, given_options(args)
    if args.dry_run:
        for run in runs:
            tell(run, library, args.train_command)
        for name, path, there in (("data.root", config.data.root, Path.is_dir), ("sam2", config.sam2, Path.is_file)):
            if path and not there(Path(path).expanduser()):
                print(f"ablate: --{name} {path}: not on this machine, and every run needs it", file=sys.stderr)
        return 0

    def report(outcome: Outcome) -> Results:
        results = collect(config, variants, runs, outcome, about)
        write_scores(results, folder / "table.json")
        write_markdown(results, folder / "table.md")
        return results

    folder.mkdir(parents=True, exist_ok=True)
    with stopped_by_signals():
        outcome = run_grid(runs, library, args.train_command, on_change=report)
    write_plot(report(outcome), folder / "plot.png")
    print((folder / "table.md").read_text())
    for what, left in (("failed", outcome.failed), ("in training by another process", outcome.busy)):
        if left:
            names = ", ".join(str(run) for run in left)
            print(f"{len(left)} run{'s' * (len(left) > 1)} {what}: {names}; the same command tries again")
    return 1 if outcome.failed or outcome.busy else 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parse(parser, argv)
    return finish(parser, lambda: ablate(args), "the same command goes on")


if __name__ == "__main__":
    raise SystemExit(main())
