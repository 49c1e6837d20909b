r"""Turn weights trained elsewhere into a checkpoint of this project.

    sartm import model.pth --output pst900.safetensors
    sartm import tuned_sam2.pt --classes background car person --output base.safetensors
    sartm import sam2.1_hiera_tiny.pt --lora my_lora --classes background car \
        --output base.safetensors

What FILE is, is told by its tensors:
  - a training checkpoint of the paper authors' public release: runs at once, in the node as well;
  - a state dict of the `sam2` package's SAM2Base or ImageEncoder, 2.0 or 2.1, of any size, alone or under "model": with
    one output token per class it runs, else it is a base for training (train --init FILE --init_as_base true).
Adapters of `peft` (folders with adapter_config.json and adapter_model.safetensors) come on top of it.

Says what was used, what was ignored and why, and writes both, name by name, beside the checkpoint as JSON. A tensor
that is not known is an error that names it. Nothing of a file is executed. See docs/import_weights.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from sartm_core.import_weights.run import Sources, import_weights, write
from sartm_core.model.config import MODALITIES
from sartm_core.support.cli import finish, new_parser, parse


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser("import", __doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="weights: .pt, .pth (state dict) or .safetensors")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.safetensors", help="checkpoint to write")
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME",
        help="class names in the order of the outputs, the first is unlabeled or background [default: those of the "
        "authors' PST900 weights, where there are five]",
    )  # fmt: skip
    parser.add_argument("--lora", type=Path, metavar="DIR", help="adapter of peft, one for both modalities")
    for modality in MODALITIES:
        parser.add_argument(
            f"--lora-{modality}", type=Path, metavar="DIR", help=f"adapter of peft for {modality} alone"
        )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser()
    args = parse(parser, argv)
    if args.output.suffix != ".safetensors":
        parser.error(f"--output {args.output}: must end in .safetensors")
    folders = {modality: getattr(args, f"lora_{modality}") for modality in MODALITIES}

    def work() -> None:
        classes = tuple(args.classes) if args.classes else None
        own = {modality: folder for modality, folder in folders.items() if folder}
        with tqdm(total=2, desc="read", leave=False, disable=None) as bar:
            imported = import_weights(Sources(args.file, classes, args.lora, own))
            bar.update()
            bar.set_description("write")
            report = write(imported, args.output)
        print(imported.as_text(), end="")
        print(f"wrote {args.output} and {report}")

    return finish(parser, work, "nothing was written")


if __name__ == "__main__":
    raise SystemExit(main())
