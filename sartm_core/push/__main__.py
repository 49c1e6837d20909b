r"""Publish a checkpoint on the Hugging Face Hub.

    sartm push --checkpoint weights.safetensors --to owner/name --license apache-2.0 --output card     # look at it
    sartm push --checkpoint weights.safetensors --to owner/name --license apache-2.0

The repository gets weights.safetensors (the file as it is), config.json and a model card made of what the file knows of
itself: classes, training, scores. Log in first (`hf auth login`, or HF_TOKEN). To use it: --checkpoint hf:owner/name in
every command, Segmenter.load("hf:owner/name"), SARTM.from_pretrained("owner/name"). More: docs/hub.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sartm_core.model.hub import library
from sartm_core.push.folder import write_folder
from sartm_core.runtime.opening import checkpoint_path
from sartm_core.support.cli import finish, new_parser, parse


def build_parser() -> argparse.ArgumentParser:
    parser = new_parser("push", __doc__)
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="a .safetensors file of a training run")
    parser.add_argument("--to", required=True, metavar="OWNER/NAME", help="repository; made where there is none")
    parser.add_argument(
        "--license", required=True, metavar="ID",
        help="of the weights, as the Hub spells it: apache-2.0, cc-by-nc-4.0, other, ...; mind that of the data",
    )  # fmt: skip
    parser.add_argument("--private", action="store_true", help="a new repository is for its owner alone")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write the repository there and upload nothing")
    return parser


def push(args: argparse.Namespace) -> str:
    """Write and upload; the text for the terminal. ValueError and OSError name what is wrong."""
    weights = checkpoint_path(args.checkpoint)
    if args.output:
        files = write_folder(weights, args.output, args.to, args.license)
        return "\n".join(str(file) for file in files)
    api = library().HfApi()
    with tempfile.TemporaryDirectory() as folder:
        write_folder(weights, Path(folder), args.to, args.license)
        try:
            api.create_repo(args.to, private=args.private, exist_ok=True)
            commit = api.upload_folder(repo_id=args.to, folder_path=folder, commit_message=f"sartm push {weights.name}")
        except OSError as error:
            raise OSError(f"--to {args.to}: {' '.join(str(error).split())}") from error
    return str(commit.commit_url)


def main(argv: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parse(parser, argv)
    return finish(parser, lambda: print(push(args)))


if __name__ == "__main__":
    raise SystemExit(main())
