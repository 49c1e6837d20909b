r"""Compare two checkpoints on the same frames: which is better, by how much, how sure that is, and where they differ.

    sartm compare A.safetensors B.safetensors --data DIR --output compared
    sartm compare default runs/mine/weights.safetensors --data DIR --split null --cameras thermal \
        --output compared                                        # all frames, thermal camera alone
    sartm compare A.safetensors B.safetensors --output compared     # synthetic scenes

Both must have the same classes in the same order. Prints and writes, as `report.html` (one file, pictures inside),
`compare.json`, `compare.csv`, `frames.csv` and `most_different.png`: IoU of every class and mIoU of both, the
differences with bootstrap confidence intervals, the share of pixels on which they agree, and the frames where they
differ most. Frames without labels count for agreement and differences only. How to read it: docs/compare.md.
Exit code 0: done, 2: wrong usage or data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sartm_core.compare import tables
from sartm_core.compare.config import CompareConfig
from sartm_core.compare.report import agreement_line, how_to_read, write_report
from sartm_core.compare.run import Comparison, compare
from sartm_core.compare.scores import agreement, scores
from sartm_core.evaluate.conventions import usual
from sartm_core.evaluate.protocol import protocol
from sartm_core.evaluate.sources import dataset_of, open_frames, possible
from sartm_core.evaluate.tables import as_text
from sartm_core.figures.sources import check_same_classes
from sartm_core.runtime.opening import checkpoint_path, name_of
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.cli import add_config_options, build_config, finish, new_parser, parse
from sartm_core.support.reports import number


def run(config: CompareConfig, a: str, b: str, output: Path) -> str:
    """Compare and write the report; returns the text for the terminal. ValueError and OSError name what is wrong."""
    evaluations = [config.evaluation(checkpoint) for checkpoint in (a, b)]
    dataset = dataset_of(evaluations[0])
    frames, label_set = open_frames(evaluations[0], dataset)
    possible((config.cameras,), frames)
    models = [
        Segmenter.load(checkpoint_path(checkpoint), config.device, config.precision, config.engine, sam2=config.sam2)
        for checkpoint in (a, b)
    ]
    check_same_classes(models[0].classes, models[1].classes, (a, b))
    output.mkdir(parents=True, exist_ok=True)  # before the long part
    result = compare((models[0], models[1]), frames, label_set, config.cameras, config.most)
    both = [
        protocol(evaluation, dataset, model, label_set.names, checkpoint_path(checkpoint), frames)
        for evaluation, model, checkpoint in zip(evaluations, models, (a, b), strict=True)
    ]
    content = titles(a, b) | numbers(config, dataset, result, both, models[0].classes)
    write_report(output, content, result, models[0])
    return in_text(content, output)


def titles(a: str, b: str) -> dict[str, str]:
    """What to call the two: their runs or files, with the folders where those are alike. No paths of this machine."""
    names = [name_of(a), name_of(b)]
    if names[0] == names[1]:
        names = ["/".join(checkpoint_path(each).absolute().parts[-2:]) for each in (a, b)]
    return dict(zip("ab", names, strict=True))


def numbers(
    config: CompareConfig, dataset: str, result: Comparison, both: list[dict[str, Any]], classes: tuple[str, ...]
) -> dict[str, Any]:
    """What compare.json holds beside the titles. `both`: the protocols of A and B; what they share is told once."""
    shared = {key: value for key, value in both[0].items() if both[1].get(key) == value}
    own = [{key: value for key, value in facts.items() if key not in shared} for facts in both]
    by_name = {frame.name: frame for frame in result.frames}
    convention = usual(dataset)
    return {
        "frames": len(result.frames),
        "labelled": sum(frame.counts is not None for frame in result.frames),
        "convention": convention.name,
        "confidence": config.confidence,
        "resamples": config.resamples,
        "seed": config.seed,
        "agreement": agreement(result, classes, config),
        "scores": scores(result.frames, classes, convention, config),
        "most_different": [
            {"frame": frame.name, "differing": frame.differing, **frame_means(by_name[frame.name].miou)}
            for frame in result.most
        ],
        "protocol": shared,
        "protocol_a": own[0],
        "protocol_b": own[1],
    }


def frame_means(miou: tuple[float, float] | None) -> dict[str, float | None]:
    """mIoU of one frame for JSON."""
    return {"miou_a": miou and number(miou[0]), "miou_b": miou and number(miou[1])}


def in_text(content: dict[str, Any], output: Path) -> str:
    """The comparison for the terminal."""
    level = content["confidence"]
    lines = [f"A: {content['a']}", f"B: {content['b']}"]
    if "sha256" in content["protocol"]:
        lines.append("warning: A and B are the same file, byte by byte")
    for title, facts in (("A and B", "protocol"), ("A", "protocol_a"), ("B", "protocol_b")):
        lines += [f"warning, {title}: {content[facts]['warning']}"] if "warning" in content[facts] else []
    lines += ["", agreement_line(content)]
    if content["scores"] is None:
        lines += ["no scores: no frame has a label", "", as_text(tables.agreement(content["agreement"]), 1)]
    else:
        tops = tables.means(content["scores"], level), tables.per_class(content["scores"], level)
        lines += [how_to_read(content), *(f"\n{as_text(rows, 1)}" for rows in tops)]
    lines += [f"\nreport: {output / 'report.html'}"]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser("compare", __doc__)
    for name in "AB":
        text = f"weights {name}: a `.safetensors` file, `default`, `hf:OWNER/NAME`, an exported file with --engine auto"
        parser.add_argument(f"weights_{name.lower()}", metavar=name, help=text)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the report")
    add_config_options(parser, CompareConfig)
    args = parse(parser, argv)

    def work() -> None:
        print(run(build_config(CompareConfig, args), args.weights_a, args.weights_b, args.output))

    return finish(parser, work, "no report was written")


if __name__ == "__main__":
    raise SystemExit(main())
