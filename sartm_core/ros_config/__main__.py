"""Parameter files for what reads the node's masks, made of the classes of a checkpoint.

    sartm ros-config                                              # of the shipped weights, into ros_config/
    sartm ros-config --checkpoint mine.safetensors --dynamic person dog --free road sidewalk --output config

Written are nav2_semantic_layer.yaml, hydra_labelspace.yaml, hydra_colors.csv, nvblox_segmentation.yaml,
elevation_mapping.yaml and segment_consumers.yaml (for the node itself). What to start with them: docs/consumers.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sartm_core.model.checkpoint import read_metadata
from sartm_core.ros_config.files import Classes, files
from sartm_core.runtime.opening import DEFAULT, checkpoint_path
from sartm_core.support.cli import finish, new_parser, parse
from sartm_core.support.files import replacing


def build_parser() -> argparse.ArgumentParser:
    parser = new_parser("ros-config", __doc__)
    parser.add_argument("--checkpoint", default=DEFAULT, metavar="FILE", help="weights; the shipped ones by default")
    parser.add_argument(
        "--dynamic", nargs="*", metavar="CLASS",
        help="classes of things that move by themselves; by default those named like people, animals and vehicles",
    )  # fmt: skip
    parser.add_argument(
        "--free", nargs="*", default=(), metavar="CLASS", help="classes of ground to drive on; none by default"
    )
    parser.add_argument("--namespace", default="sartm", metavar="NAME", help="of the node; sartm by default")
    parser.add_argument("--output", type=Path, default=Path("ros_config"), metavar="DIR", help="where to write")
    return parser


def write(args: argparse.Namespace) -> str:
    """Write the files; their paths, a line each. ValueError and OSError name what is wrong."""
    path = checkpoint_path(args.checkpoint)
    model = read_metadata(path)["model"]
    classes = Classes.of(model["classes"], model.get("palette"), args.dynamic, args.free)
    args.output.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in files(classes, args.namespace.strip("/"), path.name).items():
        written.append(args.output / name)
        with replacing(written[-1]) as temporary:
            temporary.write_text(text, "utf-8")
    return "\n".join(map(str, written))


def main(argv: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parse(parser, argv)
    return finish(parser, lambda: print(write(args)))


if __name__ == "__main__":
    raise SystemExit(main())
