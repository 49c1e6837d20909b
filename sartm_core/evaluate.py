"""Score weights on labelled frames, with both cameras and with each alone, by day and by night.

    python -m sartm_core.evaluate --output eval                                      # synthetic scenes, shipped weights
    python -m sartm_core.evaluate --root DIR --split val --checkpoint runs/x/weights.safetensors --output eval

Writes `evaluation.json` and prints the table. Frames go through `Segmenter`, exactly as on the robot.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sartm_core.checkpoint import sha256
from sartm_core.cli import parse
from sartm_core.data.datasets import Sample, open_pairs
from sartm_core.data.frames import FixedScenes, need_label
from sartm_core.data.labels import LABEL_SETS, MFNET, frame_condition, remap_table
from sartm_core.data.synthetic import CONDITIONS, SceneConfig
from sartm_core.metrics import ConfusionMatrix
from sartm_core.segmenter import DEFAULT, Segmenter, default_checkpoint

CAMERAS = ("rgb+thermal", "rgb", "thermal")
HELD_OUT_SEED = 20_000_000
"""Evaluation scenes hash (HELD_OUT_SEED, index): others than those of training and of validation."""


def frame_group(name: str) -> str:
    """`day` or `night` from an MFNet name, the condition from a synthetic one, else `other`."""
    condition = name.rsplit("_", 1)[-1]
    return condition if condition in CONDITIONS else frame_condition(name) or "other"


def evaluate(segmenter: Segmenter, frames: Sequence[Sample], label_names: tuple[str, ...]) -> dict[str, Any]:
    """Scores as {cameras: {group: {miou, iou by class, frames}}}, groups `all` and those of `frame_group`."""
    table = remap_table(label_names, segmenter.classes)
    matrices: dict[str, dict[str, ConfusionMatrix]] = {cameras: {} for cameras in CAMERAS}
    counts: dict[str, int] = {}
    for sample in tqdm(frames, unit="frame", disable=not sys.stderr.isatty()):
        label = table[need_label(sample)]
        groups = ("all", frame_group(sample.name))
        for group in groups:
            counts[group] = counts.get(group, 0) + 1
        for cameras in CAMERAS:
            rgb = sample.rgb if "rgb" in cameras else None
            thermal = sample.thermal if "thermal" in cameras else None
            mask = fit(segmenter(rgb, thermal).mask, label.shape)
            for group in groups:
                matrix = matrices[cameras].setdefault(group, ConfusionMatrix(len(segmenter.classes)))
                matrix.update(mask, label)
    return {
        cameras: {group: {"frames": counts[group], **scores(m, segmenter.classes)} for group, m in by_group.items()}
        for cameras, by_group in matrices.items()
    }


def fit(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Nearest resize of a mask to the label's size (a thermal camera alone may have another one)."""
    if mask.shape == shape:
        return mask
    rows, columns = (np.arange(n) * have // n for n, have in zip(shape, mask.shape, strict=True))
    return mask[rows[:, None], columns[None]]


def scores(matrix: ConfusionMatrix, classes: tuple[str, ...]) -> dict[str, Any]:
    """mIoU and IoU by class, in 0..1; None for a class that does not occur."""
    iou = {name: None if np.isnan(v) else float(v) for name, v in zip(classes, matrix.iou(), strict=True)}
    return {"miou": matrix.miou(), "iou": iou}


def format_table(result: dict[str, Any], classes: tuple[str, ...]) -> str:
    """The scores as text, percent."""
    lines = [f"{'cameras':<12} {'frames':<12} {'n':>4} {'mIoU':>6}  " + " ".join(f"{c[:10]:>10}" for c in classes)]
    for cameras, groups in result.items():
        for group, row in groups.items():
            cells = (f"{'-' if row['iou'][c] is None else format(100 * row['iou'][c], '.1f'):>10}" for c in classes)
            lines.append(f"{cameras:<12} {group:<12} {row['frames']:>4} {100 * row['miou']:>6.1f}  " + " ".join(cells))
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m sartm_core.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", default=DEFAULT, help='a .safetensors file, or "default" [default: default]')
    parser.add_argument("--sam2", help="official SAM2 file, for adapter checkpoints")
    parser.add_argument("--root", help="folder of labelled pairs; without it, synthetic scenes")
    parser.add_argument(
        "--split", default="val", help="name of the split file in --root; '' for all frames [default: val]"
    )
    parser.add_argument(
        "--label-set", default="mfnet", choices=sorted(LABEL_SETS), help="ids of the label files [default: mfnet]"
    )
    parser.add_argument(
        "--synthetic", type=int, default=100, metavar="N", help="synthetic scenes, without --root [default: 100]"
    )
    parser.add_argument(
        "--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS), help="of the synthetic scenes"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda [default: auto]")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for evaluation.json")
    args = parse(parser, argv)
    try:
        segmenter = Segmenter.load(args.checkpoint, device=args.device, sam2=args.sam2)
        if args.root:
            frames, names = open_pairs(args.root, args.split or None), LABEL_SETS[args.label_set].names
        else:
            frames, names = (
                FixedScenes(args.synthetic, SceneConfig(conditions=tuple(args.conditions)), HELD_OUT_SEED),
                MFNET.names,
            )
        result = evaluate(segmenter, frames, names)
    except (ValueError, FileNotFoundError) as error:
        parser.exit(2, f"evaluate: {error}\n")
    path = default_checkpoint() if args.checkpoint == DEFAULT else Path(args.checkpoint)
    source = (
        f"{args.root} ({args.split or 'all'})"
        if args.root
        else f"{args.synthetic} synthetic scenes from seed {HELD_OUT_SEED}"
    )
    protocol = {
        "checkpoint": os.fspath(path.name), "sha256": sha256(path), "frames": source, "device": str(segmenter.device),
        "precision": segmenter.precision, "classes": list(segmenter.classes),
        "convention": "absent classes skipped, 255 ignored, native size",
    }  # fmt: skip
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "evaluation.json").write_text(json.dumps({"protocol": protocol, "scores": result}, indent=2) + "\n")
    print("\n".join(f"{key}: {value}" for key, value in protocol.items()))
    print(format_table(result, segmenter.classes))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
