"""soak.png: memory and mask ages over time."""

from __future__ import annotations

import logging
from pathlib import Path

from test.soak.outcome import Outcome

log = logging.getLogger(__name__)
MB = 1e6
HEADROOM = 1.1
MEMORY, AGE = ("VmRSS", "RssAnon", "RssShmem"), "mask age, s"


def draw(path: Path, outcomes: list[Outcome]) -> bool:
    """Write the picture; False when there is nothing to draw or matplotlib is missing (which is logged)."""
    panels = [(o, kind) for o in outcomes for kind in ("memory", "age") if _has(o, kind)]
    if not panels:
        return False
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        log.warning("no %s: matplotlib is not installed", path.name)
        return False
    figure, all_axes = pyplot.subplots(len(panels), 1, figsize=(9, 2.6 * len(panels)), squeeze=False)
    for axes, (outcome, kind) in zip(all_axes[:, 0], panels, strict=True):
        if kind == "age":
            axes.plot(*zip(*outcome.series[AGE], strict=True), ".", markersize=2)
            axes.set_ylabel("mask age, s")
        else:
            for name in MEMORY:
                samples = outcome.series.get(name)
                if samples:
                    axes.plot([x for x, _ in samples], [v / MB for _, v in samples], label=name)
            axes.set_ylabel("memory, MB")
            axes.legend(loc="lower right", fontsize=8)
        axes.set_title(outcome.part, fontsize=9)
        axes.set_xlabel("hostile messages" if outcome.part.startswith("fuzz") else "seconds", fontsize=8)
        axes.grid(alpha=0.3)
        axes.set_ylim(0, axes.get_ylim()[1] * HEADROOM)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return True


def _has(outcome: Outcome, kind: str) -> bool:
    return bool(outcome.series.get(AGE)) if kind == "age" else any(outcome.series.get(name) for name in MEMORY)
