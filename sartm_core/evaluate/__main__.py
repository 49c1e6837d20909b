r"""Score weights on labelled frames, with both cameras and with each alone, by day and by night.

    sartm evaluate --output eval                                      # synthetic scenes, shipped weights
    sartm evaluate --data DIR --split val --checkpoint runs/x/weights.safetensors --output eval
    sartm evaluate --dataset fmb --data DIR --split test --checkpoint FILE --scales 0.75 1 1.25 --flip \
        --output eval

Prints the protocol and the tables and writes `report.html`, `evaluation.json`, `per_class.csv`, `confusion.png`,
`reliability.png` and `worst_frames/`. Frames go through the `Segmenter`, exactly as on the robot. Terms and
conventions: docs/evaluation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sartm_core.evaluate import tables
from sartm_core.evaluate.config import EvaluateConfig
from sartm_core.evaluate.conventions import usual
from sartm_core.evaluate.protocol import after, protocol
from sartm_core.evaluate.report import can_plot, in_words, write_report
from sartm_core.evaluate.run import evaluate, frame_group
from sartm_core.evaluate.scores import all_scores, confidence_scores
from sartm_core.evaluate.sources import dataset_of, open_frames, possible
from sartm_core.evaluate.tta import Views
from sartm_core.runtime.opening import checkpoint_path
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.cli import add_config_options, build_config, finish, new_parser, parse

__all__ = ["evaluate", "frame_group", "main", "run"]


def run(config: EvaluateConfig, output: Path) -> str:
    """Evaluate and write the report; returns the text for the terminal. ValueError and OSError name what is wrong."""
    weights = checkpoint_path(config.checkpoint)
    segmenter = Segmenter.load(weights, config.device, config.precision, config.engine, sam2=config.sam2)
    dataset = dataset_of(config)
    frames, label_set = open_frames(config, dataset, config.conditions)
    config = replace(config, cameras=possible(config.cameras, frames))
    facts = protocol(config, dataset, segmenter, label_set.names, weights, frames)
    output.mkdir(parents=True, exist_ok=True)
    result = evaluate(segmenter, frames, label_set, config.cameras, Views(config.scales, config.flip), config.worst)
    convention = usual(dataset)
    scores = all_scores(result, segmenter.classes, convention)
    reliability = confidence_scores(result)
    facts |= after(result, scores)
    write_report(output, facts, scores, reliability, convention, result.worst.frames(), segmenter)
    return "\n".join(
        [
            *(f"{what}: {value}" for what, value in in_words(facts)),
            f"\nall frames, percent, by convention (* the usual one of {dataset!r})",
            tables.as_text(tables.conventions(scores, len(segmenter.classes), convention), 1),
            f"\nby cameras and group, percent, {convention.name}",
            tables.as_text(tables.summary(scores), 2),
            "\nconfidence, all frames, percent",
            tables.as_text(tables.confidence(reliability), 2),
            "\nby class, all frames, percent",
            tables.as_text(tables.per_class(scores), 1),
            *([f"\nwarning: {facts['warning']}"] if "warning" in facts else []),
            f"\nreport: {output / 'report.html'}" + ("" if can_plot() else " (no plot: matplotlib is not installed)"),
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser("evaluate", __doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the report")
    add_config_options(parser, EvaluateConfig)
    args = parse(parser, argv)
    return finish(parser, lambda: print(run(build_config(EvaluateConfig, args), args.output)), "no report was written")


if __name__ == "__main__":
    raise SystemExit(main())
