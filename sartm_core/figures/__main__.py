r"""Draw the figures of the paper from trained weights and runs, and how a training went.

    python -m sartm_core.figures qualitative --checkpoint runs/b/weights.safetensors \
        --baseline runs/a/weights.safetensors --dataset fmb --root DIR --split test --output figures    # Figures 4 to 6
    python -m sartm_core.figures tsne --checkpoint runs/a/weights.safetensors \
        --compare runs/b/weights.safetensors --titles "without language" SARTM --root DIR --output figures  # Figure 7
    python -m sartm_core.figures similarity --run runs/b --epochs 1 5 9 --output figures                    # Figure 8
    python -m sartm_core.figures curves --run runs/b --output figures                      # how the training went
    python -m sartm_core.figures ranks --run runs/b --output figures                       # docs/training.md, Collapse

Every figure is a PNG at 300 dots an inch or the frames' own pixels, with a JSON file of its numbers beside it. Without
--root it is drawn of synthetic scenes, without --checkpoint with the shipped weights. `FIGURE --help` lists options.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sartm_core.figures.config import QualitativeConfig, RunConfig, SimilarityConfig, TsneConfig
from sartm_core.figures.curves import curves
from sartm_core.figures.qualitative import qualitative
from sartm_core.figures.ranks import ranks
from sartm_core.figures.similarity import similarity
from sartm_core.figures.tsne import tsne
from sartm_core.support.cli import INTERRUPTED, add_config_options, build_config, parse

FIGURES: dict[str, tuple[type, Callable[[Any, Path], list[Path]], str]] = {
    "qualitative": (QualitativeConfig, qualitative, "frames beside truth and masks, boxes where they differ"),
    "tsne": (TsneConfig, tsne, "t-SNE of the fused features by class, a panel for each checkpoint"),
    "similarity": (SimilarityConfig, similarity, "similarity of class prototypes over epochs, beside the text's"),
    "curves": (RunConfig, curves, "loss and IoU by class over a run"),
    "ranks": (RunConfig, ranks, "effective rank of the encoder's stages and of F~n over a run"),
}
"""Name -> its options, what draws it, what it is."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m sartm_core.figures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="figure", required=True, metavar="FIGURE")
    by_name = {}
    for name, (cls, _, text) in FIGURES.items():
        command = by_name[name] = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the picture")
        add_config_options(command, cls)
    args = parse_figure(parser, by_name, argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    cls, draw, _ = FIGURES[args.figure]
    try:
        config: Any = build_config(cls, args)
        for path in draw(config, args.output):
            print(path)
    except (ValueError, OSError) as error:
        parser.exit(2, f"figures: {error}\n")
    except KeyboardInterrupt:
        parser.exit(INTERRUPTED, "figures: interrupted\n")
    return 0


def parse_figure(
    parser: argparse.ArgumentParser, by_name: dict[str, argparse.ArgumentParser], argv: Sequence[str] | None
) -> argparse.Namespace:
    """As `cli.parse`, with the nearest option of the figure's own ones."""
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        command = by_name[args.figure]
        parse(command, [*unknown, "--output", str(args.output)])
        command.error(f"unexpected {unknown[0]}; see --help")
    return args


if __name__ == "__main__":
    raise SystemExit(main())
