"""What each figure can be told."""

from __future__ import annotations

from dataclasses import dataclass

from sartm_core.evaluate.config import WeightsAndFrames
from sartm_core.support.fields import at_least, one_of

PICKS = ("auto", "most-improved", "random", "first")


@dataclass(frozen=True)
class QualitativeConfig(WeightsAndFrames):
    """Figures 4 to 6: frames beside truth and masks, boxes where they differ."""

    baseline: str | None = None
    """Another one with the same classes to compare with; None for ours alone."""
    names: tuple[str, ...] = ()
    """Frames to show, by name; none: `count` frames by `pick`."""
    count: int = 4
    """Number of frames, where they are not named."""
    pick: str = "auto"
    """`most-improved` (highest mIoU above the baseline's), `random`, `first`, or `auto`: most-improved with a baseline,
    else random."""
    candidates: int = 200
    """Most frames that `most-improved` looks at, spread evenly over the split."""
    seed: int = 0
    """Seed of `random`."""
    boxes: int = 3
    """Most boxes in a frame, around the largest regions; 0 for none."""
    title: str = "SARTM"
    """Column title of the checkpoint."""
    baseline_title: str = "baseline"
    """Column title of the baseline."""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("QualitativeConfig", "pick", self.pick, PICKS)
        if self.pick == "most-improved" and self.baseline is None:
            raise ValueError("QualitativeConfig.pick: most-improved needs --baseline FILE to compare with")
        for name in ("count", "candidates"):
            at_least("QualitativeConfig", name, getattr(self, name), 1)
        at_least("QualitativeConfig", "boxes", self.boxes, 0)


@dataclass(frozen=True)
class TsneConfig(WeightsAndFrames):
    """Figure 7: the features F~n of labelled cells, laid out in two dimensions by t-SNE."""

    compare: tuple[str, ...] = ()
    """More of them with the same classes and input size, a panel each, at the same cells of the same frames."""
    titles: tuple[str, ...] = ()
    """Panel titles, checkpoint first; none: the names of the run folders."""
    frames: int = 100
    """Most frames to take cells from, spread evenly over the split."""
    points: int = 200
    """Most cells of one class."""
    perplexity: float = 30.0
    """Of t-SNE: about how many neighbours a point keeps; less where there are few points."""
    neighbors: int = 5
    """Neighbours that vote in the k-NN accuracy."""
    seed: int = 0
    """Seed of the choice of cells and of t-SNE."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.titles and len(self.titles) != 1 + len(self.compare):
            raise ValueError(
                f"TsneConfig.titles: got {len(self.titles)}, expected one a panel: {1 + len(self.compare)}"
            )
        for name in ("frames", "points", "neighbors", "perplexity"):
            at_least("TsneConfig", name, getattr(self, name), 1)


@dataclass(frozen=True)
class RunConfig:
    """Figures of a training run over its epochs: `ranks`, `curves`."""

    run: str = ""
    """Folder of a training run, with `history.jsonl` and `prototypes/`."""

    def __post_init__(self) -> None:
        if not self.run:
            owner = type(self).__name__
            raise ValueError(f"{owner}.run: not set; give the --output folder of a training run (--run DIR)")


@dataclass(frozen=True)
class SimilarityConfig(RunConfig):
    """Figure 8: similarity of the class prototypes over the epochs of a run, beside that of the class names' text."""

    epochs: tuple[int, ...] = ()
    """Epochs to show; none: the first, a middle one and the last."""
