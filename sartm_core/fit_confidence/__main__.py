r"""Make the confidence of weights mean what it says: fit a temperature and a class bias for each set of cameras.

    sartm fit-confidence --checkpoint FILE.safetensors --data DIR --split val --output NEW.safetensors
    sartm fit-confidence --checkpoint FILE.safetensors --synthetic 64 --output NEW.safetensors

The bias moves masks a little; it is taken only where the mean IoU of these frames does not fall. Training does this by
itself at its end; the command is for older files, and for frames of your own cameras. Take labelled frames that did not
train the weights, and score NEW.safetensors on others (`sartm_core.evaluate`). More: docs/evaluation.md, Confidence.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sartm_core.data.datasets import detect_dataset, open_dataset
from sartm_core.data.layouts import DATASETS
from sartm_core.data.scenes import FixedScenes
from sartm_core.data.sources import Source
from sartm_core.fit_confidence.fit import fit_file
from sartm_core.model.confidence import CAMERAS
from sartm_core.runtime.opening import DEFAULT, checkpoint_path
from sartm_core.support.classes import LABEL_SETS, MFNET
from sartm_core.support.cli import add_config_options, build_config, finish, new_parser, parse
from sartm_core.support.fields import at_least, one_of
from sartm_core.synthetic import SceneConfig


@dataclass(frozen=True)
class FitConfig:
    """Which weights, on which frames."""

    checkpoint: str = DEFAULT
    """A `.safetensors` file of a training run, `default`, the weights shipped with the package, or `hf:OWNER/NAME`."""
    sam2: str | None = None
    """Official SAM2 file, for adapter checkpoints."""
    data: str | None = None
    """Folder of a labelled data set."""
    dataset: str | None = None
    """`folder`, `mfnet`, `pst900` or `fmb`; None: by the folder's layout."""
    split: str = "val"
    """Which of its frames; at most 64 of them are used, evenly spread."""
    label_set: str | None = None
    """Whose ids the label files hold: `mfnet`, `pst900` or `fmb`. None: the data set's own."""
    synthetic: int = 0
    """Number of synthetic scenes, those that training validates on; with a folder they count as much as its frames."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""

    def __post_init__(self) -> None:
        if not (self.data or self.synthetic):
            raise ValueError("FitConfig.data: not set, and no synthetic scenes; give --data DIR or --synthetic N")
        if self.dataset is not None:
            one_of("FitConfig", "dataset", self.dataset, tuple(name for name in DATASETS if name != "synthetic"))
        if self.label_set is not None:
            one_of("FitConfig", "label_set", self.label_set, tuple(LABEL_SETS))
        at_least("FitConfig", "synthetic", self.synthetic, 0)

    def sources(self) -> list[Source]:
        """The frames to fit to."""
        found = []
        if self.data:
            dataset = self.dataset or detect_dataset(self.data)
            frames = open_dataset(dataset, self.data, self.split, self.label_set)
            found.append(Source(dataset, frames, frames.label_set, len(frames)))
        if self.synthetic:
            scenes = FixedScenes(self.synthetic, SceneConfig())
            found.append(Source("synthetic", scenes, MFNET, self.synthetic))
        return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser("fit-confidence", __doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help=".safetensors file to write")
    add_config_options(parser, FitConfig)
    args = parse(parser, argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

    def work() -> None:
        config = build_config(FitConfig, args)
        weights = checkpoint_path(config.checkpoint)
        confidence = fit_file(weights, config.sources(), args.output, config.device, config.sam2)
        for cameras, temperature, bias in zip(CAMERAS, confidence.temperature, confidence.class_bias, strict=True):
            shown = ", ".join(f"{b:.2f}" for b in bias) or "none"
            print(f"{cameras}: temperature {temperature:.3f}, class bias {shown}")
        print(args.output)

    return finish(parser, work, "nothing was written")


if __name__ == "__main__":
    raise SystemExit(main())
