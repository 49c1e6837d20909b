r"""Masks of images, folders, data sets or videos, without a robot.

    sartm predict --rgb a.png --thermal b.png --overlay --output out
    sartm predict --rgb drive/colour --thermal drive/thermal --sheet --output out      # pairs by name
    sartm predict --data MFNET --split test --checkpoint runs/a/weights.safetensors --output out
    sartm predict --rgb colour.mp4 --thermal thermal.mp4 --output out                  # pairs by number

Writes below --output: mask/NAME.png (class ids, with the palette), with --confidence and --overlay one such folder more
each, with --sheet sheet.png, for videos video.mp4 (rgb | thermal | overlay); how much of each class there is in
summary.json, summary.csv and frames.csv. Either camera may be left out.

The same command goes on where it stopped: frames that have their pictures are not computed again. A folder with masks
of other weights or options is refused. Bad files are named and skipped. Exit code 0: all frames done, 1: some were bad,
2: wrong usage, 130: interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sartm_core.predict.config import PredictConfig
from sartm_core.predict.run import predict
from sartm_core.predict.sources import open_source
from sartm_core.predict.summary import as_text, failures
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.cli import add_config_options, build_config, finish, new_parser, parse


def run(config: PredictConfig, output: Path) -> int:
    """Predict and tell; the exit code. ValueError and OSError name what is wrong."""
    if output.exists() and not output.is_dir():
        raise ValueError(f"--output {output}: is a file; expected a folder")
    source = open_source(config)
    segmenter = Segmenter.load(
        config.checkpoint, config.device, config.precision, config.engine, sam2=config.sam2, untrained=config.untrained
    )
    result = predict(segmenter, source, config, output)
    print(as_text(result))
    print(f"\nin {output}: {', '.join(sorted(path.name for path in output.iterdir()))}")
    if result.failed:
        print(f"predict: {failures(result)}", file=sys.stderr)
    return 1 if result.failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser("predict", __doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for everything that is made")
    add_config_options(parser, PredictConfig)
    args = parse(parser, argv)
    left = f"masks so far are in {args.output}, the same command goes on"
    return finish(parser, lambda: run(build_config(PredictConfig, args), args.output), left)


if __name__ == "__main__":
    raise SystemExit(main())
