"""What each figure can be told."""

from __future__ import annotations

from dataclasses import dataclass

from sartm_core.evaluate.config import WeightsAndFrames
from sartm_core.runtime.opening import DEFAULT
from sartm_core.support.fields import at_least, one_of

PICKS = ("auto", "most-improved", "random", "first")
FIGURE_7 = (
    ("(a) without auxiliary head", "without_aux_head"),
    ("(a) SARTM", "full"),
    ("(b) without language", "without_language"),
    ("(b) SARTM", "full"),
)
"""Panels of the paper's figure: title, variant of the components table."""


def named_folder(text: str) -> tuple[str, str]:
    """NAME and DIR of `NAME=DIR`. ValueError when it is not written so."""
    name, _, folder = text.partition("=")
    if not name or not folder:
        raise ValueError(f"QualitativeConfig.others: got {text!r}, expected NAME=DIR: a column title and a folder")
    return name, folder


@dataclass(frozen=True)
class QualitativeConfig(WeightsAndFrames):
    """Figures 4 to 6: frames beside truth and masks, boxes where they differ."""

    baseline: str | None = None
    """Another one with the same classes to compare with."""
    others: tuple[str, ...] = ()
    """Other methods to compare with, each `NAME=DIR`: column title and folder of masks, a `FRAME.png` each with the ids
    or colours of the data set's labels."""
    names: tuple[str, ...] = ()
    """Frames to show, by name; none: `count` frames by `pick`."""
    count: int = 4
    """Number of frames, where they are not named."""
    pick: str = "auto"
    """`most-improved` (mIoU farthest above the best of the baseline and the others), `random`, `first`, or `auto`:
    most-improved where there is something to compare with, else random."""
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
        if self.pick == "most-improved" and not self.compares:
            raise ValueError(
                "QualitativeConfig.pick: most-improved needs --baseline FILE or --others NAME=DIR to compare with"
            )
        if self.others and not self.data:
            raise ValueError("QualitativeConfig.others: masks of a data set's frames; give its folder (--data DIR)")
        titles = [*(named_folder(text)[0] for text in self.others), self.title]
        titles += [self.baseline_title] if self.baseline else []
        if len(set(titles)) < len(titles):
            raise ValueError(f"QualitativeConfig: column titles repeat: {titles}; every column needs its own")
        for name in ("count", "candidates"):
            at_least("QualitativeConfig", name, getattr(self, name), 1)
        at_least("QualitativeConfig", "boxes", self.boxes, 0)

    @property
    def compares(self) -> bool:
        """Whether there are masks beside ours."""
        return bool(self.baseline or self.others)


@dataclass(frozen=True)
class TsneConfig(WeightsAndFrames):
    """Figure 7: the features F~n of labelled cells, laid out in two dimensions by t-SNE."""

    compare: tuple[str, ...] = ()
    """More of them with the same classes and input size, a panel each, at the same cells of the same frames."""
    titles: tuple[str, ...] = ()
    """Panel titles, checkpoint first; none: the names of the run folders."""
    ablation: str | None = None
    """Instead of checkpoints: the --output folder of `sartm ablate --table components`, for the paper's four panels,
    (a) without auxiliary head and with it, (b) without language and with it."""
    run_seed: int = 0
    """Seed of the runs of `ablation` to show."""
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
        if self.ablation and (self.compare or self.checkpoint != DEFAULT):
            raise ValueError("TsneConfig.ablation: names all panels; leave out --checkpoint and --compare")
        panels = len(FIGURE_7) if self.ablation else 1 + len(self.compare)
        if self.titles and len(self.titles) != panels:
            raise ValueError(f"TsneConfig.titles: got {len(self.titles)}, expected one a panel: {panels}")
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
