r"""Labels to an annotation tool and back: CVAT's 'Segmentation mask 1.1'.

    sartm labels export --data DIR --output to_cvat.zip     # images, and what labels there are
    sartm labels import from_cvat.zip --data DIR            # the masks that came back, into DIR/labels
    sartm check-data --dataset folder --data DIR

DIR is a training folder: rgb/, thermal/, labels/ and classes.yaml (docs/datasets.md). Class 0 is what nobody annotated,
255 in a label the label `ignored`. `export` also writes to_cvat.labels.json, the labels for CVAT's 'Raw' tab. `import`
checks everything first (labels, colours, sizes, names) and writes all masks or none. `export --help` and
`import --help` list the options; docs/labelling.md walks through CVAT. Exit code 0: done, 2: wrong usage or data.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sartm_core.data.layouts.folder import CLASS_LIST, FolderPairs
from sartm_core.labels.bring import EMPTY, LABELS, bring
from sartm_core.labels.export import SHOWN, export
from sartm_core.labels.labelmap import IGNORED
from sartm_core.support.classes import LABEL_SETS
from sartm_core.support.cli import finish, new_parser, parse


def run_export(args: argparse.Namespace) -> str:
    """Export; what to tell. ValueError and OSError name what is wrong."""
    if args.output.suffix.lower() != ".zip":
        raise ValueError(f"--output {args.output}: expected a name that ends in .zip")
    frames = FolderPairs(args.data, args.split, args.label_set)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    done = export(frames, args.output, args.images, args.ignore_label)
    images = "no images" if args.images == "none" else f"{args.images} images"
    return (
        f"{args.output}: {done.frames} frames ({images}), {done.masks} with labels to correct\n"
        f"{done.labels}: the labels for CVAT (new project, 'Raw' tab)"
    )


def run_import(args: argparse.Namespace) -> str:
    """Import; what to tell. ValueError and OSError name what is wrong."""
    frames = FolderPairs(args.data, None, args.label_set)
    done = bring(args.archive, frames, args.ignore_label, args.empty, args.partial)
    notes = {
        "without a mask in the archive, written as class 0": done.background,
        "without a mask in the archive, left as they were": done.skipped,
        "not in the archive, left as they were": done.untouched,
    }
    return "\n".join(
        [
            f"{args.data / LABELS}: {done.masks} labels written, {done.changed} of them new or changed",
            *(f"{count} frames {text}" for text, count in notes.items() if count),
        ]
    )


def add_shared(parser: argparse.ArgumentParser) -> None:
    """The options of both."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="training folder with rgb/, thermal/")
    parser.add_argument("--label-set", choices=sorted(LABEL_SETS), help=f"its classes, where it has no {CLASS_LIST}")
    text = f"label of pixels that nobody knows, 255 in our files [default: {IGNORED}]"
    parser.add_argument("--ignore-label", default=IGNORED, metavar="NAME", help=text)


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser("labels", __doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="export|import")
    out = commands.add_parser("export", help="a training folder as a zip for CVAT")
    add_shared(out)
    out.add_argument("--output", type=Path, required=True, metavar="FILE.zip", help="the archive to write")
    out.add_argument("--split", metavar="NAME", help="only the frames of this list (train, val, ...) [default: all]")
    text = "images that go along: rgb, thermal (grey, at the size of rgb: for night scenes) or none [default: rgb]"
    out.add_argument("--images", choices=SHOWN, default=SHOWN[0], help=text)
    back = commands.add_parser("import", help="masks from CVAT into a training folder")
    back.add_argument("archive", type=Path, metavar="FILE.zip", help="CVAT's export as 'Segmentation mask 1.1'")
    add_shared(back)
    text = "a frame that is listed but has no mask: an error, all class 0, or left as it was [default: error]"
    back.add_argument("--empty", choices=EMPTY, default=EMPTY[0], help=text)
    back.add_argument("--partial", action="store_true", help=f"the label map need not have all classes of {CLASS_LIST}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser()
    args = parse(parser, argv)
    return finish(parser, lambda: print(run_export(args) if args.command == "export" else run_import(args)))


if __name__ == "__main__":
    raise SystemExit(main())
