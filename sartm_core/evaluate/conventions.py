"""The ways published numbers average over classes. Same confusion matrix, different mean.

A class without a true pixel in the evaluated labels is *absent*. If it is predicted somewhere all the same, its IoU and
F1 are 0 in every convention: the false alarms are real. If it is not predicted either, they are 0 / 0, and conventions
differ: `zero` counts 0, `skip` leaves the class out of the mean. Accuracy of an absent class is always 0 / 0.

Class 0 (unlabeled, background) is one of the classes; or it is left out of the mean, and a car seen on background still
costs the car; or it is ignored, as if its pixels were labelled 255, and such a car costs nothing. A car called class 0
costs the car in all of them: the network has that class and chose it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sartm_core.evaluate.metrics import ConfusionMatrix, mean

ALL, NO_BACKGROUND, BACKGROUND_IGNORED = "all", "no-background", "background-ignored"
ZERO, SKIP = "zero", "skip"


@dataclass(frozen=True)
class Convention:
    """One way to average over classes."""

    classes: str
    """`all`: class 0 is one of them; `no-background`: it is left out of the mean; `background-ignored`: its true pixels
    are left out of everything."""
    absent: str
    """A class without a value counts 0 (`zero`) or is left out (`skip`)."""
    usual_for: tuple[str, ...]
    """Data sets whose published numbers are mostly of this kind; for those that none names it is `PLAIN`."""
    text: str
    """Where it is used, in words."""

    @property
    def name(self) -> str:
        """`all/zero` and the like."""
        return f"{self.classes}/{self.absent}"

    def counted(self, matrix: ConfusionMatrix) -> ConfusionMatrix:
        """The pixels that it counts: all, or those whose true class is not 0."""
        return matrix.without(0) if self.classes == BACKGROUND_IGNORED else matrix

    def mean(self, values: np.ndarray) -> float:
        """Mean of (C,) scores of the `counted` pixels, NaN where a class has no value; NaN if none has or is left."""
        if self.absent == ZERO and not np.isnan(values).all():
            values = np.nan_to_num(values, nan=0.0)
        return mean(values if self.classes == ALL else values[1:])

    def number_of_classes(self, num_classes: int) -> int:
        """How many it averages over, those skipped included."""
        return num_classes if self.classes == ALL else num_classes - 1


CONVENTIONS = (
    Convention(ALL, ZERO, ("mfnet", "pst900", "fmb"), "MFNet's 9 classes, PST900's 5, FMB's 15 as in the paper"),
    Convention(ALL, SKIP, (), "most libraries, FMB's 15 of TUNI; what training selects by"),
    Convention(NO_BACKGROUND, ZERO, (), "FMB's 14 with the absent bicycle as 0"),
    Convention(NO_BACKGROUND, SKIP, (), "FMB's 14, bicycle left out"),
    Convention(BACKGROUND_IGNORED, ZERO, (), "FMB's 14 with label 0 as 255, bicycle as 0: SHIFNet"),
    Convention(BACKGROUND_IGNORED, SKIP, (), "FMB's 14 with label 0 as 255, bicycle left out"),
)
"""Every evaluation prints all of them side by side."""
PLAIN = CONVENTIONS[1]


def usual(dataset: str) -> Convention:
    """The convention that numbers published for a data set mostly follow."""
    return next((convention for convention in CONVENTIONS if dataset in convention.usual_for), PLAIN)
