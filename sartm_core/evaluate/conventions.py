"""The ways published numbers average over classes. Same confusion matrix, different mean.

A class without a true pixel in the evaluated labels is *absent*. If it is predicted somewhere all the same, its IoU and
F1 are 0 in every convention: the false alarms are real. If it is not predicted either, they are 0 / 0, and conventions
differ: `zero` counts 0, `skip` leaves the class out of the mean. Accuracy of an absent class is always 0 / 0.

Leaving class 0 out of the mean does not take its pixels away: a car seen on background still costs the car.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sartm_core.evaluate.metrics import mean


@dataclass(frozen=True)
class Convention:
    """One way to average over classes."""

    name: str
    """`all` or `no-background`: which classes; `/zero` or `/skip`: what a class without a value counts."""
    background: bool
    """Whether class 0 (unlabeled, background) is one of the classes."""
    zero: bool
    """A class without a value: counts 0 (True) or is left out (False)."""
    usual_for: tuple[str, ...]
    """Data sets whose published numbers are mostly of this kind; for those that none names it is `PLAIN`."""
    text: str
    """Where it is used, in words."""

    def mean(self, values: np.ndarray) -> float:
        """Mean of (C,) scores, NaN where a class has no value. NaN when no class has one, or none is left."""
        if self.zero and not np.isnan(values).all():
            values = np.nan_to_num(values, nan=0.0)
        return mean(values if self.background else values[1:])

    def classes(self, num_classes: int) -> int:
        """Number of classes it averages over, those left out included."""
        return num_classes if self.background else num_classes - 1


CONVENTIONS = (
    Convention(
        "all/zero", True, True, ("mfnet", "pst900", "fmb"),
        "MFNet's 9 classes, PST900's 5, FMB's 15 as in the paper",
    ),
    Convention(
        "all/skip", True, False, (),
        "most segmentation libraries; what training selects by",
    ),
    Convention("no-background/zero", False, True, (), "FMB's 14 with the absent bicycle as 0"),
    Convention("no-background/skip", False, False, (), "FMB's 14, bicycle left out: the mildest"),
)  # fmt: skip
"""Every evaluation prints all of them side by side."""
PLAIN = CONVENTIONS[1]


def usual(dataset: str) -> Convention:
    """The convention that numbers published for a data set mostly follow."""
    return next((convention for convention in CONVENTIONS if dataset in convention.usual_for), PLAIN)
