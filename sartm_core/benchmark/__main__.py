r"""How fast is SARTM on this machine, and how near to what the machine can do?

    sartm benchmark --output bench                              # shipped weights, all engines
    sartm benchmark --backbones t b+ --engine torch openvino --output bench
    sartm benchmark --checkpoint FILE --data DIR --output bench
    sartm benchmark --peer theirs.onnx --output bench           # others' exported networks beside ours
    sartm benchmark --gpu-report --output report                # of your GPU, to send to the authors
    sartm benchmark --compare before/benchmark.json after/benchmark.json
    sartm benchmark --training config/train/mfnet_paper.yaml --output bench
    sartm benchmark --adapters 3 --backbones b+ --engine torch --output bench

Every engine and precision runs in a process of its own, in turn with the plain model as two fp32 passes and with the
matrix products of the model alone, so that noise hits all alike. Measured are time by stage, memory, agreement with
plain fp32 and the time from start to first mask. --output DIR receives benchmark.json and benchmark.md (--training:
training.json and .md; --adapters: adapters.json and .md; --gpu-report: gpu-report.json and .md). How to read the
tables: docs/performance.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sartm_core.benchmark import adapters, gpu_report
from sartm_core.benchmark.compare import compare
from sartm_core.benchmark.config import BenchmarkConfig
from sartm_core.benchmark.report import report
from sartm_core.benchmark.run import benchmark
from sartm_core.support.cli import add_config_options, build_config, finish, new_parser, parse
from sartm_core.support.files import write_json, write_text


def run(args: argparse.Namespace) -> str:
    """What the options ask for, written too; the text for the terminal. ValueError and OSError name what is wrong."""
    if args.compare:
        return compare(*args.compare, args.anyway)
    config, output = build_config(BenchmarkConfig, args), args.output
    if output:
        output.mkdir(parents=True, exist_ok=True)  # before an hour of measuring, not after
    name, result, text = measure(config, args)
    if output:
        write_json(output / f"{name}.json", result)
        write_text(output / f"{name}.md", text)
    return text


def measure(config: BenchmarkConfig, args: argparse.Namespace) -> tuple[str, dict[str, Any], str]:
    """Name of the files, what they hold for programs, and for people."""
    if args.training:
        from sartm_core.benchmark import training

        result = training.run(training.read_config(args.training), args.steps, config.threads or None)
        return "training", result, training.report(result)
    if args.adapters is not None:
        result = adapters.measure(config, args.adapters)
        return "adapters", result, adapters.report(result)
    if args.gpu_report:
        return gpu_report.NAME, *gpu_report.measure(config)
    found = benchmark(config)
    return "benchmark", asdict(found), report(found)


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser("benchmark", __doc__)
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for benchmark.json and benchmark.md")
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar=("A.json", "B.json"), help="measure nothing: two runs side by side"
    )
    parser.add_argument("--anyway", action="store_true", help="compare also what is not of one machine, with a warning")
    parser.add_argument("--training", metavar="FILE", help="measure the training of this configuration instead")
    parser.add_argument(
        "--adapters", type=int, metavar="N", help="measure N adapters side by side instead: memory, and a switch's time"
    )
    parser.add_argument(
        "--gpu-report", action="store_true", help="also what the GPU is and runs: gpu-report.json and .md, to send on"
    )
    parser.add_argument("--steps", type=int, default=5, metavar="N", help="steps of --training [default: 5]")
    add_config_options(parser, BenchmarkConfig)
    args = parse(parser, argv)
    return finish(parser, lambda: print(run(args), end=""), "nothing was written")


if __name__ == "__main__":
    raise SystemExit(main())
