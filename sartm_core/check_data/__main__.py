"""Check a data set before training on it: counts, files, sizes, labels, and whether the cameras fit together.

    sartm check-data --dataset mfnet --data DIR
    sartm check-data --dataset folder --data DIR --split train --output checked
    sartm check-data --data DIR --config config/train/own_sam2.yaml      # would that training see a picture?

Reads every image and lists everything it finds, each with its file; with --output also as check_data.json and
check_data.txt. Exit code 0: no faults (there may be warnings), 1: faults, 2: wrong usage.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from sartm_core.check_data.findings import FAULT, Findings
from sartm_core.check_data.inputs import check_inputs, read_preprocess
from sartm_core.check_data.report import as_dict, as_text
from sartm_core.check_data.structure import check_structure, open_splits
from sartm_core.check_data.walk import walk
from sartm_core.data.datasets import detect_dataset
from sartm_core.data.layouts import DISK_LAYOUTS
from sartm_core.support.classes import LABEL_SETS
from sartm_core.support.cli import finish, new_parser, parse
from sartm_core.support.files import write_json, write_text


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser("check-data", __doc__)
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument("--dataset", choices=tuple(DISK_LAYOUTS), help="its layout [default: by its folders]")
    parser.add_argument("--split", metavar="NAME", help="only this split [default: all there are]")
    parser.add_argument(
        "--label-set", choices=sorted(LABEL_SETS), help="ids of the label files [default: the data set's own]"
    )
    parser.add_argument(
        "--complete", action="store_true", help="another number of frames than published is a fault, not a warning"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="of a training: its `preprocess` is what inputs are judged by"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for check_data.json and check_data.txt")
    args = parse(parser, argv)
    if not args.data.is_dir():
        parser.error(f"--data {args.data}: no such folder")

    def work() -> int:
        if args.output:
            args.output.mkdir(parents=True, exist_ok=True)  # before the long part
        return check(args)

    return finish(parser, work)


def check(args: argparse.Namespace) -> int:
    """Check, print, write the files; the exit code."""
    preprocess = read_preprocess(args.config)
    findings = Findings(args.data)
    dataset = args.dataset or detect_dataset(args.data)
    splits = open_splits(dataset, args.data, args.split, args.label_set, findings)
    check_structure(dataset, splits, args.complete, args.split is None, findings)
    counts = walk(splits, findings)
    looks = check_inputs(splits, preprocess, findings)
    label_set = next((frames.label_set for frames in splits.values()), None)
    result = as_dict(dataset, label_set, counts, looks, findings)
    text = as_text(result)
    print(text, end="")
    if args.output:
        write_json(args.output / "check_data.json", result)
        write_text(args.output / "check_data.txt", text)
    if splits:
        print(f"look at them: {browse_command(args)}")
    return 1 if findings.count(FAULT) else 0


def browse_command(args: argparse.Namespace) -> str:
    """The command that shows the frames, and what was found in them."""
    words = ["sartm", "browse", str(args.data)]
    words += ["--dataset", args.dataset] if args.dataset else []
    words += ["--split", args.split] if args.split else []
    words += ["--label-set", args.label_set] if args.label_set else []
    words += ["--findings", str(args.output / "check_data.json")] if args.output else []
    return shlex.join(words)


if __name__ == "__main__":
    raise SystemExit(main())
