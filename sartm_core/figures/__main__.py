r"""Draw the figures of the paper from trained weights and runs, and how a training went.

    sartm figures qualitative --checkpoint runs/b/weights.safetensors --baseline runs/a/weights.safetensors \
        --others MRFS=masks/mrfs --dataset fmb --data DIR --split test --output figures                 # Figures 4 to 6
    sartm figures tsne --ablation runs/ablation/fmb --dataset fmb --data DIR --split test --output figures    # Figure 7
    sartm figures tsne --checkpoint runs/a/weights.safetensors --compare runs/b/weights.safetensors --output figures
    sartm figures similarity --run runs/b --epochs 1 5 9 --output figures                    # Figure 8
    sartm figures curves --run runs/b --output figures                      # how the training went
    sartm figures ranks --run runs/b --output figures                       # docs/training.md, Collapse

Every figure is a PNG at 300 dots an inch or the frames' own pixels, with a JSON file of its numbers beside it. Without
--data it is drawn of synthetic scenes, without --checkpoint with the shipped weights. `FIGURE --help` lists options.
"""

from __future__ import annotations

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
from sartm_core.support.cli import add_config_options, build_config, finish, new_parser, parse

FIGURES: dict[str, tuple[type, Callable[[Any, Path], list[Path]], str]] = {
    "qualitative": (QualitativeConfig, qualitative, "frames beside truth and masks, boxes where they differ"),
    "tsne": (TsneConfig, tsne, "t-SNE of the fused features by class, a panel for each checkpoint"),
    "similarity": (SimilarityConfig, similarity, "similarity of class prototypes over epochs, beside the text's"),
    "curves": (RunConfig, curves, "loss and IoU by class over a run"),
    "ranks": (RunConfig, ranks, "effective rank of the encoder's stages and of F~n over a run"),
}
"""Name -> its options, what draws it, what it is."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser("figures", __doc__)
    commands = parser.add_subparsers(dest="figure", required=True, metavar="FIGURE")
    for name, (cls, _, text) in FIGURES.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the picture")
        add_config_options(command, cls)
    args = parse(parser, argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    cls, draw, _ = FIGURES[args.figure]

    def work() -> None:
        config: Any = build_config(cls, args)
        for path in draw(config, args.output):
            print(path)

    return finish(parser, work)


if __name__ == "__main__":
    raise SystemExit(main())
